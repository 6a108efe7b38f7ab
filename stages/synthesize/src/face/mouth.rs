//! The mouth, drawn on the skin.

use super::brush::{Canvas, mix, scaled, through};
use super::shape::Shape;
use super::tones::Tones;
use crate::factors::Factors;

/// Paints the lips and what is visible between them.
pub fn paint(c: &mut Canvas<'_>, shape: &Shape, tones: &Tones, f: &Factors) {
    let t = &shape.t;
    let (w, m, gap) = (shape.corner_phi, shape.mouth_y, shape.gap);
    let thin = 1.0 - 0.28 * shape.old;
    let stretch = 1.0 - 0.22 * shape.smile;
    let (upper, lower) = (t.upper_lip * thin * stretch, t.lower_lip * thin * stretch);
    let corner = |side: f32| [side * w, shape.corner_y];
    // The heights of the rims at a fraction `s` of the half width.
    let bend = |s: f32| (shape.corner_y - m) * s * s;
    let (top, inner_top) = (m - gap - upper, m - gap);
    let (inner_low, low) = (m + gap, m + gap + lower);
    let opening = [
        corner(-1.0),
        [-0.5 * w, inner_top + 0.01 + bend(0.5)],
        [0.0, inner_top + 0.012],
        [0.5 * w, inner_top + 0.01 + bend(0.5)],
        corner(1.0),
        [0.5 * w, inner_low - 0.008 + bend(0.6)],
        [0.0, inner_low],
        [-0.5 * w, inner_low - 0.008 + bend(0.6)],
    ];
    if gap > 0.004 {
        c.fill(through(&opening, true), [48.0, 16.0, 18.0], 1.0);
        let teeth = (gap * 1.5).min(0.075);
        let rim = [
            [-0.72 * w, inner_top + 0.03 + bend(0.72)],
            [-0.4 * w, inner_top + 0.01 + bend(0.4)],
            [0.4 * w, inner_top + 0.01 + bend(0.4)],
            [0.72 * w, inner_top + 0.03 + bend(0.72)],
            [0.45 * w, inner_top + teeth + bend(0.45)],
            [-0.45 * w, inner_top + teeth + bend(0.45)],
        ];
        if f.smile > 0.1 || f.mouth_open > 0.4 {
            c.fill(through(&rim, true), [228.0, 222.0, 210.0], 0.95);
        }
        if f.mouth_open > 0.5 {
            c.spot([0.0, inner_low - 0.03], [0.5 * w, 0.06], [176.0, 84.0, 84.0], 0.8);
        }
    }
    let upper_rim = [
        corner(-1.0),
        [-0.62 * w, top + 0.45 * upper + bend(0.62)],
        [-0.20 * w, top],
        [0.0, top + t.bow],
        [0.20 * w, top],
        [0.62 * w, top + 0.45 * upper + bend(0.62)],
        corner(1.0),
        [0.5 * w, inner_top + 0.012 + bend(0.5)],
        [0.0, inner_top + 0.016],
        [-0.5 * w, inner_top + 0.012 + bend(0.5)],
    ];
    c.fill(through(&upper_rim, true), scaled(tones.lips, 0.86), 0.92);
    let lower_rim = [
        corner(-1.0),
        [-0.5 * w, inner_low - 0.008 + bend(0.6)],
        [0.0, inner_low],
        [0.5 * w, inner_low - 0.008 + bend(0.6)],
        corner(1.0),
        [0.58 * w, low - 0.38 * lower + bend(0.58)],
        [0.22 * w, low],
        [-0.22 * w, low],
        [-0.58 * w, low - 0.38 * lower + bend(0.58)],
    ];
    c.fill(through(&lower_rim, true), tones.lips, 0.92);
    c.spot([0.0, m + gap + lower * 0.5], [0.5 * w, lower * 0.42], scaled(tones.lips, 1.22), 0.6);
    let dark = mix(scaled(tones.lips, 0.35), [30.0, 10.0, 10.0], 0.4);
    if gap <= 0.02 {
        let line = [
            corner(-1.0),
            [-0.45 * w, m + 0.004 + bend(0.45)],
            [0.0, m + 0.012],
            [0.45 * w, m + 0.004 + bend(0.45)],
            corner(1.0),
        ];
        c.stroke(through(&line, false), 0.026, dark, 0.85);
    }
    for side in [-1.0, 1.0] {
        c.spot([side * (w + 0.01), shape.corner_y], [0.06, 0.05], dark, 0.55);
    }
    c.spot([0.0, low + 0.07], [0.26, 0.055], scaled(tones.blush, 0.66), 0.45);
    c.stroke(
        through(&[[-0.035, t.nose_length + 0.17], [-0.045, top - 0.01]], false),
        0.022,
        scaled(tones.blush, 0.75),
        0.30,
    );
    c.stroke(
        through(&[[0.035, t.nose_length + 0.17], [0.045, top - 0.01]], false),
        0.022,
        scaled(tones.blush, 0.75),
        0.30,
    );
}
