//! Warping a picture.

use lfs_faces::image::Pixels;

use crate::transform::Similarity;

/// Bits behind the point of a source coordinate.
const POINT: u32 = 32;

/// The square crop of `size` by `size` pixels whose pixel `(x, y)` shows the place that `transform` brings to `(x, y)`:
/// bilinear, integer coordinates at pixel centres, black outside of the picture, as OpenCV's `warpAffine`.
///
/// All arithmetic on pixels is in integers (coordinates with 32 bits behind the point, weights of 8 bits), so that the
/// result does not depend on the processor. None when the transform has no inverse.
pub fn warp(source: &Pixels, transform: &Similarity, size: u32) -> Option<Pixels> {
    let back = transform.inverse()?;
    let fixed = |v: f64| (v * (1_u64 << POINT) as f64).round() as i64;
    let (step_x, step_y) = (fixed(back.a), fixed(back.b));
    let (w, h) = (i64::from(source.width), i64::from(source.height));
    let stride = source.width as usize * 3;
    let mut rgb = vec![0_u8; size as usize * size as usize * 3];
    for (row, line) in rgb.chunks_exact_mut(size as usize * 3).enumerate() {
        let start = back.apply([0.0, row as f64]);
        let (mut x, mut y) = (fixed(start[0]), fixed(start[1]));
        for out in line.as_chunks_mut::<3>().0 {
            // Half a weight is added, so that a weight is rounded, not cut.
            let (xr, yr) = (x.saturating_add(1 << (POINT - 9)), y.saturating_add(1 << (POINT - 9)));
            let (x0, y0) = (xr >> POINT, yr >> POINT);
            let (fx, fy) = ((xr >> (POINT - 8)) as u32 & 255, (yr >> (POINT - 8)) as u32 & 255);
            let weights = [(256 - fx) * (256 - fy), fx * (256 - fy), (256 - fx) * fy, fx * fy];
            if x0 >= 0 && y0 >= 0 && x0 + 1 < w && y0 + 1 < h {
                let at = y0 as usize * stride + x0 as usize * 3;
                let (top, bottom) = (&source.rgb[at..at + 6], &source.rgb[at + stride..at + stride + 6]);
                for c in 0..3 {
                    let sum = weights[0] * u32::from(top[c])
                        + weights[1] * u32::from(top[c + 3])
                        + weights[2] * u32::from(bottom[c])
                        + weights[3] * u32::from(bottom[c + 3]);
                    out[c] = ((sum + (1 << 15)) >> 16) as u8;
                }
            } else if x0 >= -1 && y0 >= -1 && x0 < w && y0 < h {
                *out = edge(source, x0, y0, weights);
            }
            x = x.saturating_add(step_x);
            y = y.saturating_add(step_y);
        }
    }
    Some(Pixels { width: size, height: size, rgb })
}

/// A pixel some of whose four neighbours lie outside of the picture: these are black.
fn edge(source: &Pixels, x0: i64, y0: i64, weights: [u32; 4]) -> [u8; 3] {
    let (w, h) = (i64::from(source.width), i64::from(source.height));
    let mut sums = [1_u32 << 15; 3];
    for ((dx, dy), weight) in [(0, 0), (1, 0), (0, 1), (1, 1)].into_iter().zip(weights) {
        let (x, y) = (x0 + dx, y0 + dy);
        if x >= 0 && y >= 0 && x < w && y < h {
            let at = (y * w + x) as usize * 3;
            for (sum, value) in sums.iter_mut().zip(&source.rgb[at..at + 3]) {
                *sum += weight * u32::from(*value);
            }
        }
    }
    sums.map(|s| (s >> 16) as u8)
}
