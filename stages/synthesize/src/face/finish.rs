//! Turns the drawing into a photograph: downscaled, blurred, noisy.

use lfs_faces::image::Pixels;
use rand_chacha::rand_core::RngCore;
use tiny_skia::Pixmap;

use crate::factors::Factors;
use crate::rng::stream;

/// Drawn pixels for each pixel of the result, along each side.
pub const ZOOM: u32 = 2;

/// Averages, blurs, adds noise.
pub fn finish(drawn: &Pixmap, f: &Factors) -> Pixels {
    let [w, h] = f.size;
    let mut picture = shrink(drawn, w as usize, h as usize);
    if f.blur > 0.3 {
        blur(&mut picture, w as usize, h as usize, f.blur);
    }
    let mut rng = stream(f.background, "noise", &[]);
    let mut bytes = vec![0; picture.len() * 2];
    if f.noise > 0.3 {
        rng.fill_bytes(&mut bytes);
    }
    // The sum of two uniform bytes has a triangular distribution, which is close enough to sensor noise; its standard deviation is
    // 104.5.
    let gain = f.noise / 104.5;
    let rgb = picture
        .iter()
        .zip(bytes.as_chunks::<2>().0)
        .map(|(p, b)| {
            let grain = if f.noise > 0.3 { (f32::from(b[0]) + f32::from(b[1]) - 255.0) * gain } else { 0.0 };
            (p + grain + 0.5).clamp(0.0, 255.0) as u8
        })
        .collect();
    Pixels { width: w, height: h, rgb }
}

fn shrink(drawn: &Pixmap, w: usize, h: usize) -> Vec<f32> {
    let data = drawn.data();
    let row = drawn.width() as usize * 4;
    let mut out = Vec::with_capacity(w * h * 3);
    for y in 0..h {
        for x in 0..w {
            let at = 2 * y * row + 8 * x;
            for k in 0..3 {
                let sum = u32::from(data[at + k])
                    + u32::from(data[at + 4 + k])
                    + u32::from(data[at + row + k])
                    + u32::from(data[at + row + 4 + k]);
                out.push(sum as f32 * 0.25);
            }
        }
    }
    out
}

/// A separable Gaussian blur.
fn blur(picture: &mut [f32], w: usize, h: usize, sigma: f32) {
    let radius = (sigma * 2.5).ceil().max(1.0) as isize;
    let weights: Vec<f32> =
        (-radius..=radius).map(|d| libm::expf(-0.5 * (d as f32 / sigma).powi(2))).collect();
    let sum: f32 = weights.iter().sum();
    let mut pass = |count: usize, length: usize, at: &dyn Fn(usize, usize) -> usize| {
        let mut line = vec![0.0; length];
        for i in 0..count {
            for (j, v) in line.iter_mut().enumerate() {
                let mut total = 0.0;
                for (k, weight) in weights.iter().enumerate() {
                    let from = (j as isize + k as isize - radius).clamp(0, length as isize - 1) as usize;
                    total += weight * picture[at(i, from)];
                }
                *v = total / sum;
            }
            for (j, v) in line.iter().enumerate() {
                picture[at(i, j)] = *v;
            }
        }
    };
    pass(h * 3, w, &|i, j| (i / 3 * w + j) * 3 + i % 3);
    pass(w * 3, h, &|i, j| (j * w + i / 3) * 3 + i % 3);
}
