//! The model of an identity: one variance within identities and one between them, the same in all directions.
//!
//! A row is the centre of its identity plus a deviation, both Gaussian: centres have variance `between` in
//! each direction, deviations `within`. Given `n` images of an identity with sum `S`, its next image is then
//! Gaussian, too, with mean `b / (n b + w) S` and variance `w + b w / (n b + w)` (the posterior of a mean, as
//! in probabilistic linear discriminant analysis). An identity of two images is therefore vaguer than one of
//! fifty, and one without images carries no information.

use rayon::prelude::*;

use super::space::{Folders, Space, dot};

/// The variances per direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) within: f64,
    pub(crate) between: f64,
}

/// The number of rows sampled to estimate the number of directions.
const SAMPLE: usize = 20_000;

impl Spread {
    /// The log likelihood ratio of a row under an identity with `n` images of sum `S` against the whole
    /// population. `zs` is the product of the row and `S`, `s2` the squared length of `S`, `d` the number of
    /// directions.
    pub(crate) fn evidence(&self, z2: f64, zs: f64, s2: f64, n: f64, d: usize) -> f64 {
        let line = self.line(s2, n, d);
        line.of(z2, zs)
    }

    /// The evidence as a linear function of `z2` and `zs`.
    pub(crate) fn line(&self, s2: f64, n: f64, d: usize) -> Line {
        let (b, w) = (self.between, self.within);
        let g = b / (n * b + w);
        let (v, v0) = (w + g * w, w + b);
        Line {
            zs: g / v,
            z2: 0.5 / v0 - 0.5 / v,
            all: -0.5 * g * g * s2 / v - 0.5 * d as f64 * libm::log(v / v0),
        }
    }

    /// The log likelihood of `n` images with squared sum `s2` as one identity, without the terms that do not
    /// depend on how images are divided.
    pub(crate) fn together(&self, s2: f64, n: f64, d: usize) -> f64 {
        let (b, w) = (self.between, self.within);
        0.5 * b / (w * (n * b + w)) * s2 - 0.5 * d as f64 * libm::log(n * b + w)
    }
}

/// See [`Spread::line`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    zs: f64,
    z2: f64,
    all: f64,
}

impl Line {
    pub(crate) fn of(&self, z2: f64, zs: f64) -> f64 {
        self.zs * zs + self.z2 * z2 + self.all
    }
}

/// Sums of the rows of each class, weighted by confidence in their labels.
pub(crate) struct Trusted {
    sum: Vec<f64>,
    weight: Vec<f64>,
}

impl Trusted {
    pub(crate) fn new(space: &Space<'_>, folders: &Folders, own: &(dyn Fn(usize) -> f64 + Sync)) -> Self {
        let d = space.width();
        let mut sum = vec![0.0; folders.len() * d];
        let weight = sum
            .par_chunks_mut(d)
            .enumerate()
            .map(|(c, sum)| {
                let mut row = vec![0.0; d];
                let mut weight = 0.0;
                for &i in folders.rows(c) {
                    let w = own(i as usize);
                    space.row(i as usize, &mut row);
                    sum.iter_mut().zip(&row).for_each(|(s, x)| *s += w * x);
                    weight += w;
                }
                weight
            })
            .collect();
        Self { sum, weight }
    }

    /// The variances: `within` from the deviations of trusted rows, `between` from the rest of the total
    /// variance.
    pub(crate) fn spread(&self, space: &Space<'_>, own: &dyn Fn(usize) -> f64) -> Spread {
        let d = space.width();
        let (mut square, mut total) = (0.0, 0.0);
        for i in 0..space.len() {
            square += own(i) * space.z2[i];
            total += own(i);
        }
        let (mut explained, mut free) = (0.0, 0.0);
        for (sum, &w) in self.sum.chunks_exact(d).zip(&self.weight) {
            if w > 0.0 {
                explained += dot(sum, sum) / w;
            }
            free += (w - 1.0).max(0.0);
        }
        // A variance of zero would make every difference infinite.
        let whole = (square / total.max(1e-9) / d as f64).max(1e-12);
        let within = ((square - explained) / free.max(1.0) / d as f64).max(1e-6 * whole);
        Spread { within, between: (whole - within).max(1e-3 * whole) }
    }

    /// The effective number of directions in which trusted rows deviate, as a share of all:
    /// `trace(C)^2 / (trace(C^2) d)` of the covariance. Otherwise correlated directions would count as
    /// independent evidence.
    pub(crate) fn directions(&self, space: &Space<'_>, labels: &[u32], own: &dyn Fn(usize) -> f64) -> f64 {
        let (n, d) = (space.len(), space.width());
        let step = n.div_ceil(SAMPLE).max(1);
        let mut rows = Vec::new();
        let mut row = vec![0.0; d];
        for i in (0..n).step_by(step) {
            let c = labels[i] as usize;
            space.row(i, &mut row);
            let (w, r) = (self.weight[c].max(1e-9), own(i).sqrt());
            rows.extend(row.iter().zip(&self.sum[c * d..]).map(|(x, s)| r * (x - s / w)));
        }
        let parts: Vec<(f64, f64)> = (0..d)
            .into_par_iter()
            .map(|a| {
                let mut line = vec![0.0; d];
                for row in rows.chunks_exact(d) {
                    let x = row[a];
                    line.iter_mut().zip(row).for_each(|(l, y)| *l += x * y);
                }
                (line[a], dot(&line, &line))
            })
            .collect();
        let (trace, square) = parts.iter().fold((0.0, 0.0), |(t, s), (a, b)| (t + a, s + b));
        if square > 0.0 { (trace * trace / square / d as f64).clamp(0.0, 1.0) } else { 1.0 }
    }
}
