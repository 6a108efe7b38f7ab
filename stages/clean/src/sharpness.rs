//! The sharpness of a picture, for comparison with others of its set.

use lfs_faces::image::Pixels;

/// The logarithm of the mean squared Laplacian of the luma, divided by the luma's variance. Dividing by the
/// variance makes it independent of exposure and contrast. 0 for a picture of one colour or with fewer than 3
/// pixels in a direction.
pub(crate) fn sharpness(p: &Pixels) -> f64 {
    let (w, h) = (p.width as usize, p.height as usize);
    if w < 3 || h < 3 {
        return 0.0;
    }
    // Rec. 601 luma in 1/1000.
    let luma: Vec<i64> = p
        .rgb
        .as_chunks::<3>()
        .0
        .iter()
        .map(|p| 299 * i64::from(p[0]) + 587 * i64::from(p[1]) + 114 * i64::from(p[2]))
        .collect();
    let mean = luma.iter().sum::<i64>() as f64 / luma.len() as f64;
    let variance = luma.iter().map(|x| (*x as f64 - mean).powi(2)).sum::<f64>() / luma.len() as f64;
    let mut edges = 0.0;
    for y in 1..h - 1 {
        for x in 1..w - 1 {
            let k = y * w + x;
            let curve = luma[k - 1] + luma[k + 1] + luma[k - w] + luma[k + w] - 4 * luma[k];
            edges += (curve as f64).powi(2);
        }
    }
    let edges = edges / ((w - 2) * (h - 2)) as f64;
    if variance > 0.0 { libm::log((edges + 1e-9) / variance) } else { 0.0 }
}

/// A sharpness is low if it is this many standard deviations below the median (estimated from the median
/// absolute deviation).
const LOW: f64 = 4.0;
/// With fewer pictures, sharpness is not judged.
const ENOUGH: usize = 20;

/// The bound below which a picture is blurred, from the sharpness values of a set.
pub(crate) fn bound(mut all: Vec<f64>) -> f64 {
    if all.len() < ENOUGH {
        return f64::NEG_INFINITY;
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let middle = median(&mut all);
    let mut off: Vec<f64> = all.iter().map(|x| (x - middle).abs()).collect();
    middle - LOW * 1.4826 * median(&mut off).max(1e-3)
}
