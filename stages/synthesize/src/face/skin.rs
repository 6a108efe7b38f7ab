//! The skin as a texture over azimuth and height: tone, blotches, freckles, wrinkles, beard.

use tiny_skia::{Pixmap, Transform};

use super::brush::{Canvas, mix, oval, scaled, through};
use super::shape::Shape;
use super::tones::Tones;
use super::{eyes, mouth};
use crate::factors::Factors;
use crate::rng::{Draw, stream};

/// Largest azimuth on the texture, to either side.
pub const PHI: f32 = 1.9;
/// Height of the texture's upper rim.
pub const TOP: f32 = -1.30;
/// Height of the texture's lower rim.
pub const BOTTOM: f32 = 1.80;
/// The texture's size, pixels.
pub const SIZE: [u32; 2] = [212, 180];

/// The position of a point of the skin in the texture, in pixels.
pub fn place(phi: f32, y: f32) -> [f32; 2] {
    [(phi / PHI + 1.0) * 0.5 * SIZE[0] as f32, (y - TOP) / (BOTTOM - TOP) * SIZE[1] as f32]
}

/// Paints the skin of a head.
pub fn paint(shape: &Shape, tones: &Tones, f: &Factors, person: u64) -> Option<Pixmap> {
    let mut pixmap = Pixmap::new(SIZE[0], SIZE[1])?;
    pixmap.fill(super::brush::colour(tones.skin, 1.0));
    let (sx, sy) = (SIZE[0] as f32 * 0.5 / PHI, SIZE[1] as f32 / (BOTTOM - TOP));
    let view = Transform::from_row(sx, 0.0, 0.0, sy, SIZE[0] as f32 * 0.5, -TOP * sy);
    let mut c = Canvas { pixmap: &mut pixmap, view };
    tone(&mut c, shape, tones);
    beard(&mut c, shape, tones, person);
    spots(&mut c, shape, tones, person);
    wrinkles(&mut c, shape, tones);
    nose(&mut c, shape, tones);
    mouth::paint(&mut c, shape, tones, f);
    eyes::paint(&mut c, shape, tones, f, person);
    Some(pixmap)
}

/// Variations of tone over blood vessels and bones, and the person's own blotches.
fn tone(c: &mut Canvas<'_>, shape: &Shape, tones: &Tones) {
    let t = &shape.t;
    let (light, dark) = (scaled(tones.skin, 1.10), scaled(tones.skin, 0.80));
    for side in [-1.0, 1.0] {
        c.spot([side * 0.62, 0.52], [0.42, 0.36], tones.blush, 0.40);
        c.spot(
            [side * t.eye_distance, 0.14],
            [0.26, 0.13],
            mix(dark, tones.blush, 0.4),
            0.30 + 0.25 * shape.old,
        );
        c.spot([side * t.eye_distance * 0.95, -0.08], [0.30, 0.16], dark, 0.08 + 1.3 * t.socket);
        c.spot([side * 1.25, 0.4], [0.5, 0.9], dark, 0.25);
    }
    c.spot([0.0, t.nose_length], [0.24, 0.22], tones.blush, 0.42);
    c.spot([0.0, shape.chin_y - 0.15], [0.3, 0.2], tones.blush, 0.22);
    c.spot([0.0, -0.55], [0.7, 0.35], light, 0.25);
    // Four fixed patterns, weighted by the person's vector.
    let patterns = [
        (t.blotch_a, [(-0.75, 0.25, 0.30), (0.30, -0.60, 0.34), (0.85, 0.85, 0.30), (-0.20, 1.25, 0.24)]),
        (t.blotch_b, [(0.75, 0.20, 0.30), (-0.45, -0.62, 0.30), (-0.80, 0.95, 0.32), (0.25, 1.30, 0.22)]),
        (t.blotch_c, [(0.0, -0.70, 0.36), (-0.55, 0.62, 0.26), (0.62, 0.60, 0.26), (0.0, 0.28, 0.16)]),
        (t.blotch_d, [(-1.0, -0.30, 0.34), (1.0, -0.25, 0.34), (-0.42, 1.22, 0.24), (0.48, 1.12, 0.24)]),
    ];
    for (weight, places) in patterns {
        for (k, (x, y, r)) in places.into_iter().enumerate() {
            let w = if k % 2 == 0 { weight } else { -weight };
            let to = if w > 0.0 { mix(tones.blush, dark, 0.45) } else { light };
            c.spot([x, y], [r, r], to, 0.55 * w.abs());
        }
    }
}

/// Freckles, moles and age spots.
fn spots(c: &mut Canvas<'_>, shape: &Shape, tones: &Tones, person: u64) {
    let t = &shape.t;
    let mut rng = stream(person, "freckles", &[]);
    let brown = [tones.skin[0] * 0.66, tones.skin[1] * 0.52, tones.skin[2] * 0.44];
    for _ in 0..(t.freckles.max(0.0) * 90.0) as usize {
        let (x, y) = (rng.normal(0.42), 0.32 + rng.normal(0.20));
        let r = rng.uniform(0.010, 0.024);
        c.fill(oval([x, y], [r, r]), brown, 0.55);
    }
    for _ in 0..(shape.old * shape.old * 14.0) as usize {
        let (x, y, r) = (rng.uniform(-1.1, 1.1), rng.uniform(-0.8, 0.9), rng.uniform(0.02, 0.06));
        c.spot([x, y], [r, r], brown, 0.5);
    }
    let dark = scaled(tones.skin, 0.36);
    for (x, y, r) in [(t.mole_x, t.mole_y, t.mole_size), (t.mole2_x, t.mole2_y, t.mole2_size)] {
        if r > 0.0 {
            c.fill(oval([x, y], [0.014 + r, 0.014 + r]), dark, 0.9);
        }
    }
}

/// Wrinkles, and the folds that every face has.
fn wrinkles(c: &mut Canvas<'_>, shape: &Shape, tones: &Tones) {
    let (t, old) = (&shape.t, shape.old);
    let line = mix(scaled(tones.skin, 0.55), tones.blush, 0.2);
    let fold = 0.10 + 0.45 * old + 0.30 * shape.smile;
    for side in [-1.0_f32, 1.0] {
        let from = [side * (t.nose_width * 0.95 + 0.02), t.nose_length - 0.06];
        let to = [side * (shape.corner_phi + 0.09), shape.corner_y + 0.02];
        let middle = [0.5 * (from[0] + to[0]) + side * 0.07, 0.5 * (from[1] + to[1]) - 0.02];
        c.stroke(through(&[from, middle, to], false), 0.035, line, fold.min(0.7));
        if old > 0.1 {
            let (ex, edge) = (t.eye_distance, t.eye_width);
            for k in 0..3 {
                let dy = (k as f32 - 1.0) * 0.07;
                let a = [side * (ex + edge + 0.05), dy * 0.6];
                c.stroke(
                    through(&[a, [side * (ex + edge + 0.19), dy * 1.7 + 0.02]], false),
                    0.016,
                    line,
                    0.7 * old,
                );
            }
            c.stroke(
                through(&[[side * (ex - 0.14), 0.17], [side * ex, 0.235], [side * (ex + 0.15), 0.19]], false),
                0.022,
                line,
                0.65 * old,
            );
            let jowl = [
                [side * (shape.corner_phi + 0.05), shape.corner_y + 0.07],
                [side * (shape.corner_phi + 0.08), shape.corner_y + 0.30],
            ];
            c.stroke(through(&jowl, false), 0.022, line, 0.55 * old);
        }
    }
    for k in 0..3 {
        let y = -0.46 - 0.13 * k as f32;
        let wave = 0.02 * t.blotch_b;
        let path = through(&[[-0.55, y + 0.03], [-0.2, y - wave], [0.2, y + wave], [0.55, y + 0.03]], false);
        c.stroke(path, 0.017, line, 0.65 * (old - 0.12 * k as f32).max(0.0));
    }
    if t.ruggedness > 0.5 || old > 0.4 {
        for side in [-1.0_f32, 1.0] {
            let a = 0.35 * (t.ruggedness - 0.3).max(0.0) * (0.3 + old);
            c.stroke(through(&[[side * 0.06, -0.30], [side * 0.05, -0.14]], false), 0.018, line, a);
        }
    }
}

/// Beard, moustache and stubble.
fn beard(c: &mut Canvas<'_>, shape: &Shape, tones: &Tones, person: u64) {
    let t = &shape.t;
    let strength = (t.ruggedness - 0.45).max(0.0) * 1.8;
    if strength <= 0.02 {
        return;
    }
    let full = ((t.beard - 0.45) * 2.4).clamp(0.0, 1.0);
    let hair = mix(mix(tones.skin, tones.brows, 0.6), tones.brows, full);
    let alpha = (strength * (0.22 + 0.75 * full)).min(0.92);
    let m = shape.mouth_y;
    let cheek = m - 0.22 + 0.3 * (1.0 - full);
    let rim = [
        [-1.42, 0.25],
        [-1.15, 0.62],
        [-0.72, cheek],
        [-0.48, m - 0.10],
        [-0.36, m + 0.16],
        [0.0, m + 0.24],
        [0.36, m + 0.16],
        [0.48, m - 0.10],
        [0.72, cheek],
        [1.15, 0.62],
        [1.42, 0.25],
        [1.5, 1.2],
        [0.9, 1.75],
        [0.0, 1.78],
        [-0.9, 1.75],
        [-1.5, 1.2],
    ];
    c.fill(through(&rim, true), hair, alpha * 0.8);
    let lip = t.nose_length + 0.13;
    let moustache = [
        [-0.44, m - 0.02],
        [-0.22, lip + 0.04],
        [0.0, lip + 0.07],
        [0.22, lip + 0.04],
        [0.44, m - 0.02],
        [0.2, m - 0.10],
        [0.0, m - 0.13],
        [-0.2, m - 0.10],
    ];
    c.fill(through(&moustache, true), hair, alpha * if t.blotch_c > -0.2 { 0.9 } else { 0.3 });
    let mut rng = stream(person, "beard", &[]);
    for _ in 0..(70.0 * alpha) as usize {
        let (x, y) = (rng.normal(0.55), rng.uniform(m - 0.1, 1.7));
        if x.abs() < 0.34 && (y - m).abs() < 0.2 {
            continue;
        }
        let tone = if rng.chance(0.5) { scaled(tones.brows, 0.7) } else { scaled(tones.skin, 0.9) };
        c.stroke(through(&[[x, y], [x + rng.normal(0.02), y + 0.06]], false), 0.018, tone, 0.35 * alpha);
    }
}

/// Nostrils, and the creases of the wings.
fn nose(c: &mut Canvas<'_>, shape: &Shape, tones: &Tones) {
    let t = &shape.t;
    let (tip, half) = (t.nose_length, t.nose_width);
    let dark = [tones.skin[0] * 0.26, tones.skin[1] * 0.16, tones.skin[2] * 0.15];
    let crease = scaled(tones.blush, 0.62);
    c.spot([0.0, tip + 0.12], [half * 1.15, 0.085], crease, 0.60);
    for side in [-1.0_f32, 1.0] {
        let x = side * half * 0.46;
        c.spot([x, tip + 0.085], [half * 0.36, 0.052], dark, 0.95);
        c.fill(oval([x, tip + 0.085], [half * 0.21, 0.024]), dark, 0.75);
        let wing = [
            [side * half * 0.88, tip - 0.13],
            [side * half * 1.13, tip - 0.03],
            [side * half * 0.98, tip + 0.075],
        ];
        c.stroke(through(&wing, false), 0.028, crease, 0.62);
        c.spot([side * (0.05 + t.bridge_width), 0.12], [0.07, 0.26], crease, 0.22);
    }
}
