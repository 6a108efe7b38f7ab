//! A perceptual hash of a face that is robust to scaling, translation, rotation and mirroring.
//!
//! The landmarks align the face to a small upright grey square, so that a cropped, padded, rotated or scaled
//! picture gives the same square. Without landmarks, the whole picture is squeezed into the square. Each bit
//! is the sign of one of the 16 x 16 lowest frequencies of the square's DCT (none of them constant along a
//! side), which change little with compression, brightness and contrast. The template is symmetric, so that
//! the mirrored picture has the same hash with the bits of the odd horizontal frequencies flipped.
//!
//! All arithmetic on pixels and frequencies is in integers, so that an image has the same hash on every
//! machine.

use lfs_faces::dataset::{Points, known};
use lfs_faces::image::Pixels;
use serde::{Deserialize, Serialize};

/// The side of the square.
const SIDE: usize = 64;
/// Frequencies per side.
const WAVES: usize = 16;
/// Bits in a hash.
pub const BITS: u32 = (WAVES * WAVES) as u32;

/// A hash. Bits are ordered by frequency, so that the first words are the most reliable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Look(pub [u64; 4]);

/// The common template of 112 pixels, made symmetric, relative to the centre of the crop.
const TEMPLATE: [[f64; 2]; 5] =
    [[-17.6186, -17.901], [17.6186, -17.901], [0.0, 2.2367], [-14.5903, 22.785], [14.5903, 22.785]];

/// Computes hashes; holds the tables of the transform.
pub struct Hasher {
    /// `waves[k][i]`: the cosine of frequency `k + 1` at pixel `i`, times 1024.
    waves: Vec<[i64; SIDE]>,
    /// Vertical and horizontal frequency of each bit.
    order: Vec<(usize, usize)>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// Makes the tables.
    pub fn new() -> Self {
        let wave = |k: usize| {
            let angle = |i: usize| std::f64::consts::PI * (2 * i + 1) as f64 * k as f64 / (2 * SIDE) as f64;
            std::array::from_fn(|i| (1024.0 * libm::cos(angle(i))).round() as i64)
        };
        Self { waves: (1..=WAVES).map(wave).collect(), order: order() }
    }

    /// The hash of a picture: of its face if at least two landmarks are known.
    pub fn look(&self, pixels: &Pixels, points: Option<&Points>) -> Look {
        let back = points.and_then(fit).unwrap_or_else(|| whole(pixels));
        let square = square(pixels, back);
        // Rows first: [SIDE][WAVES], then columns.
        let mut rows = [[0_i64; WAVES]; SIDE];
        for (out, line) in rows.iter_mut().zip(square.chunks_exact(SIDE)) {
            for (o, wave) in out.iter_mut().zip(&self.waves) {
                *o = wave.iter().zip(line).map(|(w, g)| w * g).sum();
            }
        }
        let mut bits = [0; 4];
        for (n, &(v, u)) in self.order.iter().enumerate() {
            let sum: i64 = self.waves[v].iter().zip(&rows).map(|(w, row)| w * row[u]).sum();
            bits[n / 64] |= u64::from(sum > 0) << (n % 64);
        }
        Look(bits)
    }
}

/// Vertical and horizontal frequency of each bit, minus one, sorted by their sum.
fn order() -> Vec<(usize, usize)> {
    let mut all: Vec<(usize, usize)> = (0..WAVES).flat_map(|v| (0..WAVES).map(move |u| (v, u))).collect();
    all.sort_by_key(|&(v, u)| (v + u, v));
    all
}

/// The bits flipped by mirroring: those of odd horizontal frequencies.
pub const MIRROR: Look = mirror();

const fn mirror() -> Look {
    let (mut bits, mut n, mut sum) = ([0_u64; 4], 0, 0);
    while sum < 2 * WAVES - 1 {
        let mut v = 0;
        while v < WAVES {
            if sum >= v && sum - v < WAVES {
                // Frequencies start at 1.
                if (sum - v).is_multiple_of(2) {
                    bits[n / 64] |= 1 << (n % 64);
                }
                n += 1;
            }
            v += 1;
        }
        sum += 1;
    }
    Look(bits)
}

impl Look {
    /// The hash of the mirrored picture.
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self(std::array::from_fn(|k| self.0[k] ^ MIRROR.0[k]))
    }

    /// The Hamming distance of two pictures, with the second one mirrored or not, whichever is closer.
    pub fn distance(self, other: Self) -> u32 {
        let apart = |flip: &[u64; 4]| -> u32 {
            (0..4).map(|k| (self.0[k] ^ other.0[k] ^ flip[k]).count_ones()).sum()
        };
        apart(&[0; 4]).min(apart(&MIRROR.0))
    }
}

/// Maps pixels of the square to the picture: `(x, y)` to `(a x - b y + tx, b x + a y + ty)`; for a whole
/// picture, with a separate scale for each axis.
struct Back {
    x: [f64; 3],
    y: [f64; 3],
}

/// The least-squares similarity transform from the template, in pixels of the square, to the known points.
fn fit(points: &Points) -> Option<Back> {
    let n = known(points).count();
    if n < 2 {
        return None;
    }
    let unit = SIDE as f64 / 112.0;
    let middle = (SIDE as f64 - 1.0) / 2.0;
    let from = |k: usize| TEMPLATE[k].map(|c| c * unit + middle);
    let to = |k: usize| points[k].map(f64::from);
    let mean = |get: &dyn Fn(usize) -> [f64; 2]| {
        let sum = known(points).map(get).fold([0.0, 0.0], |s, p| [s[0] + p[0], s[1] + p[1]]);
        sum.map(|v| v / n as f64)
    };
    let (ms, md) = (mean(&from), mean(&to));
    let (mut dot, mut cross, mut norm) = (0.0, 0.0, 0.0);
    for k in known(points) {
        let (s, d) = (from(k), to(k));
        let (sx, sy, dx, dy) = (s[0] - ms[0], s[1] - ms[1], d[0] - md[0], d[1] - md[1]);
        dot += sx * dx + sy * dy;
        cross += sx * dy - sy * dx;
        norm += sx * sx + sy * sy;
    }
    let (a, b) = (dot / norm, cross / norm);
    let back =
        Back { x: [a, -b, md[0] - (a * ms[0] - b * ms[1])], y: [b, a, md[1] - (b * ms[0] + a * ms[1])] };
    let sound = back.x.iter().chain(&back.y).all(|v| v.is_finite() && v.abs() < 1e6);
    (sound && a * a + b * b > 1e-6).then_some(back)
}

/// Maps the square to the whole picture, edge to edge.
fn whole(pixels: &Pixels) -> Back {
    let step = |side: u32| f64::from(side) / SIDE as f64;
    let (w, h) = (step(pixels.width), step(pixels.height));
    Back { x: [w, 0.0, w / 2.0 - 0.5], y: [0.0, h, h / 2.0 - 0.5] }
}

/// The grey square, in 1/1000 of a grey level. Each pixel is the mean over a grid of samples, as dense as the
/// pixels of the picture. Outside of the picture is black.
fn square(pixels: &Pixels, back: Back) -> Vec<i64> {
    const POINT: u32 = 16;
    let fixed = |v: f64| (v * f64::from(1 << POINT)).round() as i64;
    let widest = [back.x[0], back.x[1], back.y[0], back.y[1]].iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let n = (widest.ceil() as i64).clamp(2, 8);
    let (x, y) = (back.x.map(fixed), back.y.map(fixed));
    let (w, h) = (i64::from(pixels.width), i64::from(pixels.height));
    let mut out = Vec::with_capacity(SIDE * SIDE);
    for row in 0..SIDE as i64 {
        for column in 0..SIDE as i64 {
            let mut sum = 0;
            for (q, p) in (0..n).flat_map(|q| (0..n).map(move |p| (q, p))) {
                // Sample positions within the pixel, in 1/(2n): the centres of an n by n grid around the
                // centre of the pixel.
                let (u, v) = (2 * n * column + 2 * p + 1 - n, 2 * n * row + 2 * q + 1 - n);
                let at = |c: [i64; 3]| (c[0] * u + c[1] * v) / (2 * n) + c[2];
                sum += grey(pixels, at(x), at(y), w, h, POINT);
            }
            out.push(sum / (n * n));
        }
    }
    out
}

/// Rec. 601 luma in 1/1000, interpolated bilinearly.
fn grey(pixels: &Pixels, x: i64, y: i64, w: i64, h: i64, point: u32) -> i64 {
    let (x0, y0) = (x >> point, y >> point);
    let (fx, fy) = ((x >> (point - 8)) & 255, (y >> (point - 8)) & 255);
    let mut sum = 0;
    for (dx, dy, weight) in
        [(0, 0, (256 - fx) * (256 - fy)), (1, 0, fx * (256 - fy)), (0, 1, (256 - fx) * fy), (1, 1, fx * fy)]
    {
        let (x, y) = (x0 + dx, y0 + dy);
        if (0..w).contains(&x) && (0..h).contains(&y) {
            let at = (y * w + x) as usize * 3;
            let p = &pixels.rgb[at..at + 3];
            sum += weight * (299 * i64::from(p[0]) + 587 * i64::from(p[1]) + 114 * i64::from(p[2]));
        }
    }
    sum >> 16
}
