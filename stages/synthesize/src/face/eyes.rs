//! Eyes and brows, drawn on the skin.

use super::brush::{Canvas, mix, oval, polygon, scaled, through};
use super::shape::Shape;
use super::tones::Tones;
use crate::factors::Factors;
use crate::rng::{Draw, stream};

/// Paints both eyes and both brows.
pub fn paint(c: &mut Canvas<'_>, shape: &Shape, tones: &Tones, f: &Factors, person: u64) {
    for side in [-1.0, 1.0] {
        eye(c, shape, tones, f, side);
        brow(c, shape, tones, f, side, person);
    }
}

/// How much the lid droops with age, as a factor on the opening.
fn droop(shape: &Shape) -> f32 {
    1.0 - 0.22 * shape.old
}

fn eye(c: &mut Canvas<'_>, shape: &Shape, tones: &Tones, f: &Factors, side: f32) {
    let t = &shape.t;
    let (w, x0) = (t.eye_width, side * t.eye_distance);
    let open = w * t.eye_open * f.eyes * droop(shape) * (1.0 - 0.18 * shape.smile);
    // `a` runs from the inner corner (-1) to the outer one (1).
    let at = |a: f32, dy: f32| [x0 + side * a * w, dy - a * w * t.eye_tilt];
    let (up, down) = (open * 0.95, open * 0.62);
    let upper = [at(-1.0, 0.012), at(-0.62, -up * 0.66), at(-0.05, -up), at(0.55, -up * 0.78), at(1.0, 0.0)];
    let lower = [at(0.60, down * 0.66), at(0.05, down), at(-0.55, down * 0.70)];
    let mut rim = upper.to_vec();
    rim.extend(lower);
    let dark = mix(scaled(tones.skin, 0.30), [20.0, 12.0, 10.0], 0.6);
    // The white, then iris and pupil, clipped to the lids.
    c.fill(through(&rim, true), [232.0, 226.0, 220.0], 1.0);
    let r = t.iris_size * 1.06;
    let gaze = f.gaze * 0.24 * w;
    let centre = [x0 + gaze, -0.010];
    // The lids may cross in the corners; there the lower one takes precedence.
    let clip = |x: f32, y: f32| [x, y.max(lid_y(&upper, x, side)).min(lid_y(&lower, x, side))];
    let disc = |radius: f32| -> Vec<[f32; 2]> {
        (0..20)
            .map(|k| {
                let a = k as f32 * std::f32::consts::TAU / 20.0;
                clip(centre[0] + radius * libm::cosf(a), centre[1] + radius * libm::sinf(a))
            })
            .collect()
    };
    c.fill(polygon(&disc(r)), scaled(tones.iris, 0.45), 1.0);
    c.fill(polygon(&disc(r * 0.84)), tones.iris, 1.0);
    c.fill(polygon(&disc(r * 0.60)), scaled(tones.iris, 1.22), 0.7);
    c.fill(polygon(&disc(r * 0.40)), [10.0, 8.0, 8.0], 1.0);
    let glint = clip(centre[0] + r * 0.42 * f.light[0].signum(), centre[1] - r * 0.38);
    c.fill(oval(glint, [r * 0.22, r * 0.22]), [255.0, 255.0, 255.0], 0.92);
    // Shadow of the upper lid, lashes, lower rim, corner.
    let mut shade = upper.to_vec();
    shade.extend([at(0.5, -up * 0.45), at(-0.05, -up * 0.62), at(-0.6, -up * 0.36)]);
    c.fill(through(&shade, true), dark, 0.42);
    let lashes = 0.026 + 0.012 * (1.0 - t.ruggedness);
    c.stroke(through(&upper, false), lashes, dark, 0.92);
    c.stroke(
        through(&[at(1.0, 0.0), lower[0], lower[1], lower[2]], false),
        0.013,
        scaled(tones.blush, 0.55),
        0.75,
    );
    c.fill(oval(at(-0.95, 0.014), [0.018, 0.014]), [196.0, 122.0, 112.0], 0.8);
    // The fold above the lid.
    let lift = t.lid + 0.015;
    let fold = [
        at(-0.92, -0.02 - lift * 0.5),
        at(-0.5, -up * 0.78 - lift),
        at(0.05, -up - lift),
        at(0.62, -up * 0.75 - lift),
        at(1.12, 0.01 - lift * 0.4),
    ];
    c.stroke(
        through(&fold, false),
        0.022,
        mix(scaled(tones.skin, 0.5), dark, 0.25),
        0.25 + 5.0 * t.lid.min(0.09),
    );
    let bag = [at(-0.7, down + 0.06), at(0.0, down + 0.10), at(0.75, down + 0.06)];
    c.stroke(through(&bag, false), 0.028, scaled(tones.blush, 0.68), 0.16 + 0.3 * shape.old);
}

/// The height of a lid at `x`, by linear interpolation between its points.
fn lid_y(points: &[[f32; 2]], x: f32, side: f32) -> f32 {
    let key = |p: &[f32; 2]| p[0] * side;
    let x = x * side;
    let (mut before, mut after) = (points[0], points[points.len() - 1]);
    if key(&before) > key(&after) {
        std::mem::swap(&mut before, &mut after);
    }
    for p in points {
        if key(p) <= x && key(p) >= key(&before) {
            before = *p;
        }
        if key(p) >= x && key(p) <= key(&after) {
            after = *p;
        }
    }
    let span = key(&after) - key(&before);
    let s = if span > 1e-6 { ((x - key(&before)) / span).clamp(0.0, 1.0) } else { 0.0 };
    before[1] + (after[1] - before[1]) * s
}

fn brow(c: &mut Canvas<'_>, shape: &Shape, tones: &Tones, f: &Factors, side: f32, person: u64) {
    let t = &shape.t;
    let lift = t.brow_height + 0.055 * f.brow_raise - 0.02 * shape.old;
    let frown = 0.05 * (-f.brow_raise).max(0.0);
    let inner = t.eye_distance - t.brow_length * 0.95 + t.brow_gap + 0.02 - frown;
    let length = 2.0 * t.brow_length;
    let thick = t.brow_thickness * (0.8 + 0.5 * t.ruggedness);
    let spine = |s: f32| -> [f32; 2] {
        let y = -lift
            - t.brow_arch * (1.0 - (2.0 * s - 1.25) * (2.0 * s - 1.25))
            - t.brow_tilt * (s - 0.4) * length * 0.6;
        [side * (inner + s * length), y + frown * (1.0 - s)]
    };
    let half = |s: f32| thick * 0.5 * (0.55 + 1.1 * s * (1.0 - s) * 2.0).min(1.0) * (1.0 - s.powi(3) * 0.8);
    let knots = [0.0, 0.2, 0.45, 0.7, 1.0];
    let mut rim: Vec<[f32; 2]> = knots.iter().map(|&s| [spine(s)[0], spine(s)[1] - half(s)]).collect();
    rim.extend(knots.iter().rev().map(|&s| [spine(s)[0], spine(s)[1] + half(s)]));
    c.fill(through(&rim, true), tones.brows, 0.62);
    let mut rng = stream(person, "brow", &[u64::from(side > 0.0)]);
    for _ in 0..10 {
        let s = rng.uniform(0.0, 1.0);
        let (p, h) = (spine(s), half(s));
        let from = [p[0], p[1] + h * rng.uniform(0.2, 1.1)];
        let to = [p[0] + side * 0.05 * (0.3 + s), p[1] - h * rng.uniform(0.4, 1.2) * (1.0 - 0.6 * s)];
        c.stroke(through(&[from, to], false), 0.012, scaled(tones.brows, 0.75), 0.55);
    }
}
