//! Comparing crops of 112 by 112 pixels with their mean.

use lfs_faces::image::Part;
use rayon::prelude::*;

use crate::template;

const SIDE: usize = 112;
/// The rows and columns around both eyes that are compared, every second pixel of them.
const ROWS: (usize, usize) = (38, 66);
const COLUMNS: (usize, usize) = (22, 90);
/// What is compared, in pixels.
const HEIGHT: usize = (ROWS.1 - ROWS.0) / 2;
const WIDTH: usize = (COLUMNS.1 - COLUMNS.0) / 2;
const CELLS: usize = HEIGHT * WIDTH;
/// How many sums are kept side by side.
const LANES: usize = 16;
/// How far a crop is shifted.
const REACH: i64 = 8;

/// A crop's brightness, less its mean, over its standard deviation.
pub(super) struct Grey {
    values: Vec<f32>,
    /// Every second row and column, from the first or the second on: `[row parity][column parity]`.
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
    /// From a crop of 112 by 112 pixels.
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

    /// The rows of the part around the eyes, shifted.
    fn rows(&self, dx: i64, dy: i64) -> impl Iterator<Item = &[f32]> {
        let (x, y) = ((COLUMNS.0 as i64 + dx) as usize, (ROWS.0 as i64 + dy) as usize);
        let half = &self.halves[y % 2][x % 2];
        (0..HEIGHT).map(move |row| &half[(y / 2 + row) * (SIDE / 2) + x / 2..][..WIDTH])
    }

    /// The part around the eyes, shifted; standardised.
    fn part(&self, dx: i64, dy: i64) -> Vec<f32> {
        let mut part: Vec<f32> = self.rows(dx, dy).flatten().copied().collect();
        standardise(&mut part);
        part
    }

    /// How well that part agrees with a standardised one: correlation.
    fn agreement(&self, dx: i64, dy: i64, wanted: &[f32]) -> f64 {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function was compiled for. It adds the same numbers in the same order.
            #[allow(unsafe_code)]
            return unsafe { self.agreement_avx2(dx, dy, wanted) };
        }
        self.agreement_any(dx, dy, wanted)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn agreement_avx2(&self, dx: i64, dy: i64, wanted: &[f32]) -> f64 {
        self.agreement_any(dx, dy, wanted)
    }

    #[inline(always)]
    fn agreement_any(&self, dx: i64, dy: i64, wanted: &[f32]) -> f64 {
        let (mut sums, mut squares, mut products) = ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES]);
        for (row, wanted) in self.rows(dx, dy).zip(wanted.chunks_exact(WIDTH)) {
            for (values, wanted) in row.chunks(LANES).zip(wanted.chunks(LANES)) {
                for (k, (v, w)) in values.iter().zip(wanted).enumerate() {
                    sums[k] += v;
                    squares[k] += v * v;
                    products[k] += v * w;
                }
            }
        }
        let total = |lanes: [f32; LANES]| lanes.iter().map(|v| f64::from(*v)).sum::<f64>();
        let n = CELLS as f64;
        let mean = total(sums) / n;
        let deviation = (total(squares) / n - mean * mean).max(0.0).sqrt().max(1e-6);
        // The mean of the wanted part is zero.
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

/// Sums in order, so that the result does not depend on the number of threads.
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

/// How far each crop is from agreeing with the others; the mean is taken again once, after the first shifts.
pub(super) fn wander(crops: &[Grey]) -> Vec<Wander> {
    let mut wanted = mean(&crops.iter().map(|c| c.part(0, 0)).collect::<Vec<_>>());
    let mut best = Vec::new();
    for _ in 0..2 {
        best = crops.par_iter().map(|c| best_shift(c, &wanted)).collect();
        let parts: Vec<_> = crops.iter().zip(&best).map(|(c, &(dx, dy, _))| c.part(dx, dy)).collect();
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
            let agreement = crop.agreement(dx, dy, wanted);
            if agreement > best.2 {
                best = (dx, dy, agreement);
            }
        }
    }
    best
}

/// The part around the eyes that most of the crops show: the median of each cell.
pub(super) struct Typical(Vec<f32>);

impl Typical {
    /// None without crops.
    pub(super) fn of(crops: &[Grey]) -> Option<Self> {
        let parts: Vec<_> = crops.iter().map(|c| c.part(0, 0)).collect();
        let median = |k: usize| {
            let mut values: Vec<f32> = parts.iter().map(|p| p[k]).collect();
            values.sort_by(f32::total_cmp);
            values[values.len() / 2]
        };
        let mut typical: Vec<f32> = (!parts.is_empty()).then(|| (0..CELLS).map(median).collect())?;
        standardise(&mut typical);
        Some(Self(typical))
    }

    /// How well a crop agrees with it: correlation.
    pub(super) fn agreement(&self, crop: &Grey) -> f64 {
        crop.agreement(0, 0, &self.0)
    }
}

/// How much darker than its surroundings the mean crop is at both eyes, and the largest such figure when both are
/// shifted together by up to 12 pixels.
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
