//! AM-LFS: piecewise linear transforms of the cosine and of the probability.

use lfs_network::functions;
use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::head::{Cosines, Loss, Memory, cross_entropy, within};

/// The transforms of AM-LFS (Li et al. 2019): `f = t(cos theta_y)` and `p_m = tau(p)`, each linear in bins of
/// equal width. Wang et al. 2020 describe only `tau`: `p_m = a_i p + b_i`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PiecewiseLinear {
    /// The transform of the cosine, with bins over [-1, 1]; the identity if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t: Option<Lines>,
    /// The transform of the probability, with bins over [0, 1]; the identity if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tau: Option<Lines>,
}

/// `slopes[i] x + offsets[i]` in the i-th bin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lines {
    /// One slope per bin.
    pub slopes: Vec<f64>,
    /// One offset per bin.
    pub offsets: Vec<f64>,
}

/// The lower bound of a transformed probability, which need not lie in [0, 1]; the upper bound is 1.
pub const LEAST_PROBABILITY: f64 = 1e-30;

impl Lines {
    /// The identity in each of `bins` bins.
    pub fn identity(bins: usize) -> Self {
        Self { slopes: vec![1.0; bins], offsets: vec![0.0; bins] }
    }

    fn apply(&self, x: &Tensor, low: f64, high: f64) -> Tensor {
        let bins = self.slopes.len() as f64;
        // Created on the device of x, since a step that copies from the CPU cannot be recorded.
        let like = |values: &[f64]| {
            let each: Vec<Tensor> =
                values.iter().map(|v| Tensor::full([1], *v, (x.kind(), x.device()))).collect();
            Tensor::cat(&each, 0)
        };
        let bin = tch::no_grad(|| {
            // NaN has no bin, and as an index would abort the program. It gets some bin, and the result is
            // NaN, which is reported as divergence.
            let place = ((x - low) * (bins / (high - low))).nan_to_num(0.0, None, None);
            place.floor().clamp(0.0, bins - 1.0).to_kind(tch::Kind::Int64)
        });
        x * like(&self.slopes).index_select(0, &bin) + like(&self.offsets).index_select(0, &bin)
    }

    fn check(&self, name: &str) -> Result<()> {
        if self.slopes.is_empty() || self.slopes.len() != self.offsets.len() {
            return Err(Failure::new(format!("{name} wants one slope and one offset for each bin")));
        }
        self.slopes.iter().chain(&self.offsets).try_for_each(|&v| within(name, v, -1e6, 1e6))
    }
}

impl PiecewiseLinear {
    /// `s t(cos theta_y)`.
    fn logit(&self, c: &Cosines) -> Tensor {
        match &self.t {
            Some(t) => c.target_cosine(t.apply(&c.own, -1.0, 1.0)) * c.scale,
            None => &c.own * c.scale,
        }
    }
}

impl Loss for PiecewiseLinear {
    fn loss(&self, c: &Cosines, _: &mut Memory) -> Tensor {
        let logit = self.logit(c);
        match &self.tau {
            Some(tau) => {
                let transformed = tau.apply(&functions::sigmoid(&(logit - &c.non_target)), 0.0, 1.0);
                -functions::log(&transformed.clamp(LEAST_PROBABILITY, 1.0))
            }
            None => cross_entropy(&logit, &c.non_target),
        }
    }

    fn clamped(&self, c: &Cosines) -> Option<Tensor> {
        let tau = self.tau.as_ref()?;
        tch::no_grad(|| {
            let transformed = tau.apply(&functions::sigmoid(&(self.logit(c) - &c.non_target)), 0.0, 1.0);
            let outside = transformed.lt(LEAST_PROBABILITY).logical_or(&transformed.gt(1.0));
            Some(outside.to_kind(tch::Kind::Float))
        })
    }

    fn check(&self) -> Result<()> {
        self.t.iter().try_for_each(|t| t.check("t"))?;
        self.tau.iter().try_for_each(|tau| tau.check("tau"))
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        let lines = |slopes: &[f64], offsets: &[f64]| {
            Some(Lines { slopes: slopes.to_vec(), offsets: offsets.to_vec() })
        };
        let tau = lines(&[0.8, 1.1, 0.9, 0.7, 1.2, 0.6], &[0.0, -0.1, 0.05, 0.1, -0.3, 0.2]);
        let t = lines(&[1.1, 0.9, 1.0], &[-0.2, 0.1, -0.3]);
        vec![
            Self { t: None, tau: tau.clone() },
            Self { t: t.clone(), tau: None },
            Self { t, tau },
            Self { t: None, tau: lines(&[1.0, 2.0], &[0.6, -0.9]) },
        ]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        Some(Self { t: Some(Lines::identity(3)), tau: Some(Lines::identity(6)) })
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        let cos = batch.cosines(i)[batch.identity[i]];
        let line = |lines: &Option<Lines>, x: f64, share: f64| match lines {
            Some(l) => {
                let bin = ((share * l.slopes.len() as f64).floor().max(0.0) as usize).min(l.slopes.len() - 1);
                l.slopes[bin] * x + l.offsets[bin]
            }
            None => x,
        };
        let f = line(&self.t, cos, (cos + 1.0) / 2.0);
        let without = batch.margin(i, f);
        let p = libm::exp(-without);
        match &self.tau {
            Some(_) => -libm::log(line(&self.tau, p, p).clamp(LEAST_PROBABILITY, 1.0)),
            None => without,
        }
    }
}
