//! Compares crops of 112 by 112 pixels with their mean.

use lfs_faces::image::Part;
use rayon::prelude::*;

use crate::template;

const SIDE: usize = 112;
/// The part of a crop that is compared, at every second pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    top: usize,
    left: usize,
    /// In compared pixels.
    height: usize,
    width: usize,
}

/// The surroundings of both eyes.
const EYES: Window = Window { top: 38, left: 22, height: 14, width: 34 };
/// From the brows to the mouth.
pub(super) const FACE: Window = Window { top: 30, left: 22, height: 30, width: 34 };

/// The number of parallel sums.
const LANES: usize = 16;
/// The maximum shift of a crop, in pixels.
const REACH: i64 = 8;

/// The brightness of a crop, standardised.
pub(super) struct Grey {
    values: Vec<f32>,
    /// Every second row and column, starting with the first or the second: `[row parity][column parity]`.
    halves: [[Vec<f32>; 2]; 2],
}

/// The shift at which a crop agrees best with the mean.
pub(super) struct Wander {
    /// How far from the median shift of all, in pixels.
    pub(super) shift: f64,
    /// The correlation there.
    pub(super) agreement: f64,
}

impl Grey {
    /// Converts a crop of 112 by 112 pixels.
    pub(super) fn new(crop: &Part) -> Self {
        let sum = |p: &[u8; 4]| f32::from(p[0]) + 2.0 * f32::from(p[1]) + f32::from(p[2]);
        let mut values: Vec<f32> = crop.pixels.iter().map(sum).collect();
        standardise(&mut values);
        let half = |y0: usize, x0: usize| {
            let mut half = Vec::with_capacity(SIDE * SIDE / 4);
            for row in values.chunks_exact(SIDE).skip(y0).step_by(2) {
                half.extend(row.as_chunks::<2>().0.iter().map(|two| two[x0]));
            }
            half
        };
        let halves = [[half(0, 0), half(0, 1)], [half(1, 0), half(1, 1)]];
        Self { values, halves }
    }

    /// The rows of a window, shifted.
    fn rows(&self, window: Window, dx: i64, dy: i64) -> impl Iterator<Item = &[f32]> {
        let (x, y) = ((window.left as i64 + dx) as usize, (window.top as i64 + dy) as usize);
        let half = &self.halves[y % 2][x % 2];
        (0..window.height).map(move |row| &half[(y / 2 + row) * (SIDE / 2) + x / 2..][..window.width])
    }

    /// The content of a shifted window, standardised.
    fn part(&self, window: Window, dx: i64, dy: i64) -> Vec<f32> {
        let mut part: Vec<f32> = self.rows(window, dx, dy).flatten().copied().collect();
        standardise(&mut part);
        part
    }

    /// The correlation of a shifted window with standardised values.
    fn agreement(&self, window: Window, dx: i64, dy: i64, wanted: &[f32]) -> f64 {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the required instructions. The function sums the same numbers in the same order.
            #[allow(unsafe_code)]
            return unsafe { self.agreement_avx2(window, dx, dy, wanted) };
        }
        self.agreement_any(window, dx, dy, wanted)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn agreement_avx2(&self, window: Window, dx: i64, dy: i64, wanted: &[f32]) -> f64 {
        self.agreement_any(window, dx, dy, wanted)
    }

    #[inline(always)]
    fn agreement_any(&self, window: Window, dx: i64, dy: i64, wanted: &[f32]) -> f64 {
        let (mut sums, mut squares, mut products) = ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
        for (row, wanted) in self.rows(window, dx, dy).zip(wanted.chunks_exact(window.width)) {
            for (values, wanted) in row.chunks(LANES).zip(wanted.chunks(LANES)) {
                for (k, (v, w)) in values.iter().zip(wanted).enumerate() {
                    sums[k] += v;
                    squares[k] += v * v;
                    products[k] += v * w;
                }
            }
        }
        let total = |lanes: [f32; LANES]| lanes.iter().map(|v| f64::from(*v)).sum::<f64>();
        let n = (window.height * window.width) as f64;
        let mean = total(sums) / n;
        let deviation = (total(squares) / n - mean * mean).max(0.0).sqrt().max(1e-6);
        // The mean of `wanted` is zero.
        total(products) / n / deviation
    }
}

fn standardise(values: &mut [f32]) {
    let n = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
    let scale = 1.0 / variance.sqrt().max(1e-6);
    for v in values {
        *v = (*v - mean) * scale;
    }
}

/// Sums in a fixed order, so that the result does not depend on the number of threads.
fn mean(parts: &[Vec<f32>]) -> Vec<f32> {
    let mut mean = vec![0.0; parts.first().map_or(0, Vec::len)];
    for part in parts {
        for (m, v) in mean.iter_mut().zip(part) {
            *m += v;
        }
    }
    standardise(&mut mean);
    mean
}

/// The shift of each crop to the best agreement with the mean, which is computed again once after the first shifts.
pub(super) fn wander(crops: &[Grey]) -> Vec<Wander> {
    let mut wanted = mean(&crops.iter().map(|c| c.part(EYES, 0, 0)).collect::<Vec<_>>());
    let mut best = Vec::new();
    for _ in 0..2 {
        best = crops.par_iter().map(|c| best_shift(c, &wanted)).collect();
        let parts: Vec<_> = crops.iter().zip(&best).map(|(c, &(dx, dy, _))| c.part(EYES, dx, dy)).collect();
        wanted = mean(&parts);
    }
    let middle = |mut values: Vec<i64>| {
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    };
    let mx = middle(best.iter().map(|b| b.0).collect());
    let my = middle(best.iter().map(|b| b.1).collect());
    let distance = |dx: i64, dy: i64| (((dx - mx) * (dx - mx) + (dy - my) * (dy - my)) as f64).sqrt();
    best.iter().map(|&(dx, dy, agreement)| Wander { shift: distance(dx, dy), agreement }).collect()
}

fn best_shift(crop: &Grey, wanted: &[f32]) -> (i64, i64, f64) {
    let mut best = (0, 0, f64::MIN);
    for dy in -REACH..=REACH {
        for dx in -REACH..=REACH {
            let agreement = crop.agreement(EYES, dx, dy, wanted);
            if agreement > best.2 {
                best = (dx, dy, agreement);
            }
        }
    }
    best
}

/// The typical crop around the eyes: the median of each pixel.
pub(super) struct Typical(Window, Vec<f32>);

impl Typical {
    /// None if there are no crops.
    pub(super) fn of(crops: &[Grey]) -> Option<Self> {
        Self::in_window(EYES, crops)
    }

    /// The same for another window.
    pub(super) fn in_window(window: Window, crops: &[Grey]) -> Option<Self> {
        let parts: Vec<_> = crops.iter().map(|c| c.part(window, 0, 0)).collect();
        let median = |k: usize| {
            let mut values: Vec<f32> = parts.iter().map(|p| p[k]).collect();
            values.sort_by(f32::total_cmp);
            values[values.len() / 2]
        };
        let mut typical: Vec<f32> =
            (!parts.is_empty()).then(|| (0..window.height * window.width).map(median).collect())?;
        standardise(&mut typical);
        Some(Self(window, typical))
    }

    /// The correlation of a crop with the typical one.
    pub(super) fn agreement(&self, crop: &Grey) -> f64 {
        crop.agreement(self.0, 0, 0, &self.1)
    }

    /// The best correlation among shifts by up to two pixels.
    pub(super) fn best_agreement(&self, crop: &Grey) -> f64 {
        let shifts = [-2, 0, 2].into_iter().flat_map(|dy| [-2, 0, 2].map(|dx| (dx, dy)));
        shifts.map(|(dx, dy)| crop.agreement(self.0, dx, dy, &self.1)).fold(f64::MIN, f64::max)
    }
}

/// How much darker the mean crop is at both eyes than around them, and the largest such figure if both are shifted together by up
/// to 12 pixels.
pub(super) fn eyes(crops: &[Grey]) -> (f64, f64) {
    let mut mean = vec![0.0_f32; SIDE * SIDE];
    for crop in crops {
        for (m, v) in mean.iter_mut().zip(&crop.values) {
            *m += v / crops.len() as f32;
        }
    }
    let darkness = |dx: i64, dy: i64| {
        let (mut inside, mut around) = ((0.0, 0.0), (0.0, 0.0));
        for eye in &template::POINTS[..2] {
            for y in 0..SIDE {
                for x in 0..SIDE {
                    let (ex, ey) = (x as f64 - eye[0] - dx as f64, y as f64 - eye[1] - dy as f64);
                    let distance = ex * ex + ey * ey;
                    let value = f64::from(mean[y * SIDE + x]);
                    if distance <= 25.0 {
                        inside = (inside.0 + value, inside.1 + 1.0);
                    } else if (64.0..=196.0).contains(&distance) {
                        around = (around.0 + value, around.1 + 1.0);
                    }
                }
            }
        }
        around.0 / around.1 - inside.0 / inside.1
    };
    let shifts = (-4..=4).flat_map(|dy| (-4..=4).map(move |dx| (3 * dx, 3 * dy)));
    (darkness(0, 0), shifts.map(|(dx, dy)| darkness(dx, dy)).fold(f64::MIN, f64::max))
}
