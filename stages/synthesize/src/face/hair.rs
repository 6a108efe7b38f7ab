//! Hair: a shell around the skull, from the crown down to a line determined by hairline, fringe and length.

use tiny_skia::Pixmap;

use super::camera::{Camera, normal};
use super::raster::{Corner, Frame};
use super::shape::Shape;
use super::tones::Tones;
use crate::factors::Factors;
use crate::rng::{Draw, stream};

const COLUMNS: usize = 73;
const ROWS: usize = 20;
/// From this length on, hair falls over the ears.
const LONG: f32 = 0.42;
/// The size of the texture of strands, in pixels.
const STRANDS: [usize; 2] = [192, 64];

/// Draws the hair.
pub fn draw(frame: &mut Frame, shape: &Shape, camera: &Camera, tones: &Tones, f: &Factors, person: u64) {
    let t = &shape.t;
    let bald = t.ruggedness > 0.62 && t.recession + 0.14 * shape.old > 0.21;
    let length = (t.hair_length + 0.10 * f.hair - 0.28 * (t.ruggedness - 0.35)).clamp(0.0, 1.0);
    let Some(texture) = strands(tones, t.hair_curl, person) else { return };
    let volume = (t.hair_volume * (0.35 + 0.9 * length.min(0.7)) * (1.0 + 0.25 * f.hair)
        + 0.05 * t.hair_curl * length)
        .max(0.018);
    let mut points = Vec::with_capacity(COLUMNS * ROWS);
    let mut rng = stream(person, "locks", &[]);
    let wave = [rng.uniform(0.0, 6.3), rng.uniform(0.0, 6.3), rng.uniform(0.0, 6.3)];
    let top = -t.crown;
    for row in 0..ROWS {
        let s = row as f32 / (ROWS - 1) as f32;
        for column in 0..COLUMNS {
            let phi = (column as f32 / (COLUMNS - 1) as f32 * 2.0 - 1.0) * std::f32::consts::PI;
            let rag = 0.020 * libm::sinf(phi * 17.0 + wave[0]) + 0.014 * libm::sinf(phi * 29.0 + wave[1]);
            let low = edge(shape, phi, length, bald, f) + rag * (0.7 + length);
            let from = if bald { low.min(-0.45) - 0.02 } else { top };
            // Rows are equally spaced in angle near the crown.
            let y = from + (low - from) * libm::powf(1.0 - libm::cosf(s * std::f32::consts::FRAC_PI_2), 0.8);
            let curl = t.hair_curl
                * 0.030
                * (libm::sinf(phi * 13.0 + y * 4.0 + wave[2]) + libm::sinf(phi * 5.0 - y * 15.0));
            // Thin at the hairline in front, and full above.
            let rim = ((low - y) / 0.28).clamp(0.0, 1.0).sqrt();
            let front = ((1.25 - phi.abs()) / 0.4).clamp(0.0, 1.0);
            let fringe = if t.fringe > 0.55 && length > 0.25 { 0.10 } else { 0.0 };
            let loose = (1.0 - front) * ((length - LONG) / 0.15).clamp(0.0, 1.0);
            let thin = 0.02 + fringe + 0.98 * (rim * (1.0 - loose) + loose);
            let mut grow = volume * thin.min(1.0) + curl * rim.max(0.3);
            // Long hair stands off the cheeks and falls straight.
            if y > 0.2 {
                grow += 0.10 * length * (y - 0.2).min(1.0);
            }
            let mut p = shape.base(phi, y.min(1.05), grow + 0.012);
            p[1] = y;
            let up = ((-y - 0.4) / 1.2).clamp(0.0, 1.0);
            p[1] -= volume * 1.25 * up * up;
            if y > 1.05 {
                p[0] *= 1.0 - 0.10 * (y - 1.05);
            }
            points.push((p, phi, y, rim));
        }
    }
    let corners: Vec<Corner> = (0..points.len())
        .map(|k| {
            let (p, phi, y, rim) = points[k];
            let (row, column) = (k / COLUMNS, k % COLUMNS);
            let at = |r: usize, c: usize| points[r * COLUMNS + c].0;
            let (l, r) = (at(row, column.saturating_sub(1)), at(row, (column + 1).min(COLUMNS - 1)));
            let (u, d) = (at(row.saturating_sub(1), column), at((row + 1).min(ROWS - 1), column));
            let mut n =
                normal([r[0] - l[0], r[1] - l[1], r[2] - l[2]], [d[0] - u[0], d[1] - u[1], d[2] - u[2]]);
            if row == 0 {
                n = [0.0, -1.0, 0.0];
            }
            let n = camera.turn(n);
            let lit = camera.lit(n, 0.55 + 0.4 * rim);
            let q = camera.project(p);
            // Strands shine on the crown, where light and view direction meet.
            let gloss = 26.0 * camera.shine(n).sqrt() * (1.0 - 0.7 * t.hair_curl);
            let part = if (phi - 0.5 * t.parting).abs() < 0.07 && y < -0.7 && !bald { 0.72 } else { 1.0 };
            Corner {
                x: q[0],
                y: q[1],
                z: q[2],
                u: (phi / std::f32::consts::PI + 1.0) * 0.5 * (STRANDS[0] - 1) as f32,
                v: ((y + 2.0) / 4.4) * (STRANDS[1] - 1) as f32,
                light: [lit[0] * part, lit[1] * part, lit[2] * part],
                shine: gloss * camera.colour()[1],
            }
        })
        .collect();
    // The inner side is visible only under long hair.
    frame.grid(&corners, COLUMNS, &texture, length < LONG);
}

/// The height down to which hair grows or falls at an azimuth.
fn edge(shape: &Shape, phi: f32, length: f32, bald: bool, f: &Factors) -> f32 {
    let t = &shape.t;
    let a = phi.abs();
    let recede = t.recession + 0.16 * shape.old * t.ruggedness;
    let bell = |d: f32, w: f32| libm::expf(-(d / w) * (d / w));
    let mut hairline = -t.hairline - recede.max(-0.05) * bell(a - 0.62, 0.24) - 0.4 * recede.max(0.0)
        + 0.05 * bell(a, 0.15) * (1.0 + t.blotch_d);
    if t.fringe > 0.55 && length > 0.25 && !bald {
        let depth = (t.fringe - 0.55) * 2.2;
        let sweep = 0.12 * t.parting * phi;
        hairline += (0.16 + 0.36 * depth + 0.05 * f.hair) * bell(a, 0.95) + sweep;
        hairline = hairline.min(-t.brow_height - 0.02);
    }
    // Temples to sideburns, over the ears, to the nape.
    let side = if length < LONG { -0.10 + 0.5 * length } else { 0.25 + (length - LONG) * 3.1 };
    let nape = if length < LONG { 0.75 } else { side.max(0.9) };
    let ease = |from: f32, to: f32, x: f32| {
        let s = ((x - from) / (to - from)).clamp(0.0, 1.0);
        s * s * (3.0 - 2.0 * s)
    };
    let temple = -t.hairline * 0.42;
    if bald && a < 1.2 {
        return -t.crown;
    }
    let mut y = hairline + (temple - hairline) * ease(0.80, 1.12, a);
    y += (side.min(0.22 + length * 2.6) - temple) * ease(1.10, 1.34, a);
    y + (nape - side.min(0.22 + length * 2.6)) * ease(1.75, 2.4, a)
}

/// A texture of strands: streaks for straight hair, clumps for coiled hair.
fn strands(tones: &Tones, curl: f32, person: u64) -> Option<Pixmap> {
    let [w, h] = STRANDS;
    let mut rng = stream(person, "strands", &[]);
    let streak: Vec<f32> = (0..w).map(|_| rng.normal(0.20)).collect();
    let (cw, ch) = (w / 3 + 2, h / 3 + 2);
    let clump: Vec<f32> = (0..cw * ch).map(|_| rng.normal(0.34)).collect();
    let mut data = Vec::with_capacity(w * h * 4);
    for y in 0..h {
        let (v, fy) = (y / 3, (y % 3) as f32 / 3.0);
        for x in 0..w {
            let (u, fx) = (x / 3, (x % 3) as f32 / 3.0);
            let at = v * cw + u;
            let upper = clump[at] + (clump[at + 1] - clump[at]) * fx;
            let lower = clump[at + cw] + (clump[at + cw + 1] - clump[at + cw]) * fx;
            let c = upper + (lower - upper) * fy;
            let s = streak[(x + y / 9) % w] * 0.6 + streak[(x / 5) % w] * 0.5;
            let k = (1.0 + s * (1.0 - 0.8 * curl) + c * curl).clamp(0.4, 1.6);
            data.extend(tones.hair.map(|part| (part * k).clamp(0.0, 255.0) as u8));
            data.push(255);
        }
    }
    Pixmap::from_vec(data, tiny_skia::IntSize::from_wh(w as u32, h as u32)?)
}
