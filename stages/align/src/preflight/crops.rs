//! Comparing crops of 112 by 112 pixels with their mean.

use lfs_faces::image::Pixels;
use rayon::prelude::*;

use crate::template;

const SIDE: usize = 112;
/// The rows and columns around both eyes that are compared, every second pixel of them.
const ROWS: (usize, usize) = (38, 66);
const COLUMNS: (usize, usize) = (22, 90);
/// Every number of pixels in a part.
const CELLS: usize = (ROWS.1 - ROWS.0) / 2 * ((COLUMNS.1 - COLUMNS.0) / 2);
/// How far a crop is shifted.
const REACH: i64 = 8;

/// A crop's brightness, less its mean, over its standard deviation.
pub(super) struct Grey(Vec<f32>);

/// The shift at which a crop agrees best with the mean.
pub(super) struct Wander {
    /// How far from the median shift of all, in pixels.
    pub(super) shift: f64,
    /// The correlation there.
    pub(super) agreement: f64,
}

impl Grey {
    pub(super) fn new(pixels: &Pixels) -> Self {
        let sum = |p: &[u8; 3]| f32::from(p[0]) + 2.0 * f32::from(p[1]) + f32::from(p[2]);
        let mut grey: Vec<f32> = pixels.rgb.as_chunks::<3>().0.iter().map(sum).collect();
        standardise(&mut grey);
        Self(grey)
    }

    /// The part around the eyes, shifted; standardised.
    fn part(&self, dx: i64, dy: i64) -> Vec<f32> {
        let mut part = Vec::with_capacity(CELLS);
        for y in (ROWS.0..ROWS.1).step_by(2) {
            let row = &self.0[(y as i64 + dy) as usize * SIDE..][..SIDE];
            part.extend((COLUMNS.0..COLUMNS.1).step_by(2).map(|x| row[(x as i64 + dx) as usize]));
        }
        standardise(&mut part);
        part
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
            let agreement = correlation(&crop.part(dx, dy), wanted);
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
        correlation(&crop.part(0, 0), &self.0)
    }
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    f64::from(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>()) / CELLS as f64
}

/// How much darker than its surroundings the mean crop is at both eyes, and the largest such figure when both are
/// shifted together by up to 12 pixels.
pub(super) fn eyes(crops: &[Grey]) -> (f64, f64) {
    let mut mean = vec![0.0_f32; SIDE * SIDE];
    for crop in crops {
        for (m, v) in mean.iter_mut().zip(&crop.0) {
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
