//! AM-LFS: the slopes and offsets of piecewise linear transforms, searched by reward.

use std::collections::BTreeMap;

use lfs_network::random::stream;
use lfs_stage::Result;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::{Adam, Normalise, mean};
use crate::loss::am_lfs::{Lines, PiecewiseLinear};
use crate::loss::head::within;
use crate::method::{Draw, Now, Settings, short};

/// AM-LFS (Li et al. 2019): each epoch trains B models from the same weights, each with slopes and offsets
/// drawn from N(mu, variance I). The model with the highest reward continues. mu starts at the identity and
/// is updated from the rewards with Adam.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AmLfs {
    /// What is transformed: `tau`, the probability (as the authors of Search-Softmax describe AM-LFS); `t`,
    /// the cosine; `both`.
    pub transform: Transform,
    /// Bins of each transform: M. Each bin has a slope and an offset.
    #[schemars(range(min = 1, max = 100))]
    pub bins: u32,
    /// Models to train in each epoch: B (32 in a public re-implementation on CIFAR-10).
    #[schemars(range(min = 1, max = 1024))]
    pub candidates: u32,
    /// Variance of each slope and offset.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub variance: f64,
    /// Step size of Adam on mu.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub eta: f64,
    /// Number of first epochs, trained with the identity.
    pub fixed_epochs: u32,
}

/// What AM-LFS transforms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// The probability.
    Tau,
    /// The cosine.
    T,
    /// Both.
    Both,
}

impl Default for AmLfs {
    fn default() -> Self {
        Self { transform: Transform::Tau, bins: 6, candidates: 4, variance: 0.2, eta: 0.05, fixed_epochs: 2 }
    }
}

impl AmLfs {
    fn bins(&self) -> usize {
        self.bins.max(1) as usize
    }

    /// The slopes and offsets of t, then those of tau, for the transforms that are used.
    fn identity(&self) -> Vec<f64> {
        let bins = self.bins();
        let one = [vec![1.0; bins], vec![0.0; bins]].concat();
        if self.transform == Transform::Both { one.repeat(2) } else { one }
    }

    fn form(&self, numbers: &[f64]) -> PiecewiseLinear {
        let bins = self.bins();
        let mut all = numbers
            .chunks_exact(2 * bins)
            .map(|part| Lines { slopes: part[..bins].to_vec(), offsets: part[bins..].to_vec() });
        let t = if self.transform == Transform::Tau { None } else { all.next() };
        let tau = if self.transform == Transform::T { None } else { all.next() };
        PiecewiseLinear { t, tau }
    }

    fn mu(&self, now: &Now<'_>) -> Vec<f64> {
        let adam = Adam { eta: self.eta, betas: (0.9, 0.999) };
        mean(&self.identity(), self.variance.max(1e-12), adam, Normalise::ZScore, now.history)
    }
}

impl Settings for AmLfs {
    type Form = PiecewiseLinear;

    fn check(&self) -> Result<()> {
        within("am-lfs.bins", f64::from(self.bins), 1.0, 100.0)?;
        within("am-lfs.candidates", f64::from(self.candidates), 1.0, 1024.0)?;
        within("am-lfs.variance", self.variance, 0.0, 100.0)?;
        within("am-lfs.eta", self.eta, 0.0, 100.0)
    }

    fn candidates(&self, now: &Now<'_>) -> Vec<Draw<PiecewiseLinear>> {
        if now.epoch < self.fixed_epochs {
            let form = self.form(&self.identity());
            return vec![Draw { name: "identity".to_owned(), sample: Vec::new(), form }];
        }
        let mu = self.mu(now);
        let draw = |index: u32| {
            let mut stream = stream(now.seed, "search am-lfs", &[u64::from(now.epoch), u64::from(index)]);
            let mut normal = || -> f64 { StandardNormal.sample(&mut stream) };
            let sample: Vec<f64> = mu.iter().map(|m| short(m + self.variance.sqrt() * normal())).collect();
            Draw { name: format!("candidate {index}"), form: self.form(&sample), sample }
        };
        (0..self.candidates).map(draw).collect()
    }

    fn wants_reward(&self) -> bool {
        true
    }

    fn state(&self, now: &Now<'_>) -> BTreeMap<String, Vec<f64>> {
        BTreeMap::from([("mu".to_owned(), self.mu(now))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_at_the_identity_and_then_draws_two_numbers_a_bin() {
        for (transform, numbers) in [(Transform::Tau, 12), (Transform::T, 12), (Transform::Both, 24)] {
            let settings = AmLfs { transform, ..AmLfs::default() };
            let now = |epoch| Now { seed: 0, epoch, scale: 32.0, history: &[] };
            let first = settings.candidates(&now(0));
            assert_eq!(first.len(), 1);
            let lines = first[0].form.tau.as_ref().or(first[0].form.t.as_ref()).unwrap();
            assert_eq!(*lines, Lines::identity(6));
            let drawn = settings.candidates(&now(2));
            assert!(drawn.len() == 4 && drawn.iter().all(|d| d.sample.len() == numbers));
            assert_eq!(drawn[0].form.t.is_some(), transform != Transform::Tau);
            assert_eq!(drawn[0].form.tau.is_some(), transform != Transform::T);
        }
    }
}
