//! Search-Softmax: the parameter a of L5, searched by reward.

use std::collections::BTreeMap;

use lfs_network::random::stream;
use lfs_stage::Result;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::{Adam, Normalise, mean};
use crate::loss::head::within;
use crate::loss::l5::L5;
use crate::method::{Draw, Now, Settings, short};

/// Search-Softmax (Wang et al. 2020, section 3.3, algorithm 1): each epoch trains B models from the same
/// weights with `a = a0 e^{s/3}`, a0 ~ N(mu, sigma^2). The model with the highest reward continues. mu
/// follows eq. 10 with Adam.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Reward {
    /// `paper`: eq. 10 as printed, with rewards as z-scores. `released-code`: a0 = -|N(0, sigma^2)|, with a
    /// mean that stays at 0, as in the authors' program. (It normalises rewards by their range, without
    /// effect; it also has candidates = 8 and copy-momentum = false.)
    pub variant: Variant,
    /// Models to train in each epoch: B.
    #[schemars(range(min = 1, max = 1024))]
    pub candidates: u32,
    /// Standard deviation of a0.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub sigma: f64,
    /// Step size of Adam on mu.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub eta: f64,
    /// Initial mu, and a0 in the fixed epochs.
    #[schemars(range(min = -100.0, max = 0.0))]
    pub start: f64,
    /// Number of first epochs, trained with a0 = start.
    pub fixed_epochs: u32,
    /// Whether the winner's momentum is copied with its weights; if not, each candidate keeps its own.
    pub copy_momentum: bool,
}

/// Which description of the search to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// The paper's equation.
    Paper,
    /// The authors' program.
    ReleasedCode,
}

impl Default for Reward {
    fn default() -> Self {
        Self {
            variant: Variant::Paper,
            candidates: 4,
            sigma: 0.2,
            eta: 0.05,
            start: -1.0,
            fixed_epochs: 2,
            copy_momentum: true,
        }
    }
}

impl Reward {
    fn mu(&self, now: &Now<'_>) -> f64 {
        match self.variant {
            // In the program mu starts at 0 and passes through a ReLU, whose slope there is 0.
            Variant::ReleasedCode => 0.0,
            Variant::Paper => {
                let adam = Adam { eta: self.eta, betas: (0.5, 0.999) };
                let variance = self.sigma * self.sigma;
                mean(&[self.start], variance.max(1e-12), adam, Normalise::ZScore, now.history)[0]
            }
        }
    }
}

impl Settings for Reward {
    type Form = L5;

    fn check(&self) -> Result<()> {
        within("search-softmax.candidates", f64::from(self.candidates), 1.0, 1024.0)?;
        within("search-softmax.sigma", self.sigma, 0.0, 100.0)?;
        within("search-softmax.eta", self.eta, 0.0, 100.0)?;
        within("search-softmax.start", self.start, -100.0, 0.0)
    }

    fn candidates(&self, now: &Now<'_>) -> Vec<Draw<L5>> {
        let form = |a0: f64| L5 { a: short(a0.min(0.0) * libm::exp(now.scale / 3.0)) };
        if now.epoch < self.fixed_epochs {
            let name = format!("a0 = {:.3}", self.start);
            return vec![Draw { name, sample: Vec::new(), form: form(self.start) }];
        }
        let mu = self.mu(now);
        let draw = |index: u32| {
            let mut stream = stream(now.seed, "search a", &[u64::from(now.epoch), u64::from(index)]);
            let normal: f64 = StandardNormal.sample(&mut stream);
            let a0 = short(match self.variant {
                Variant::Paper => mu + self.sigma * normal,
                Variant::ReleasedCode => -(mu + self.sigma * normal).abs(),
            });
            Draw { name: format!("a0 = {a0:.3}"), sample: vec![a0], form: form(a0) }
        };
        (0..self.candidates).map(draw).collect()
    }

    fn wants_reward(&self) -> bool {
        true
    }

    fn copies_momentum(&self) -> bool {
        self.copy_momentum
    }

    fn state(&self, now: &Now<'_>) -> BTreeMap<String, Vec<f64>> {
        BTreeMap::from([("mu".to_owned(), vec![self.mu(now)])])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Past;

    fn a0s(reward: &Reward, epoch: u32, history: &[Past]) -> Vec<f64> {
        let now = Now { seed: 1, epoch, scale: 32.0, history };
        let draws = reward.candidates(&now);
        draws.iter().map(|d| d.form.a / libm::exp(32.0_f64 / 3.0)).collect()
    }

    #[test]
    fn two_epochs_are_fixed_and_then_as_many_are_drawn_as_asked_for() {
        let reward = Reward::default();
        for epoch in [0, 1] {
            let fixed = a0s(&reward, epoch, &[]);
            assert!(fixed.len() == 1 && (fixed[0] + 1.0).abs() < 1e-9);
        }
        assert_eq!(a0s(&reward, 2, &[]).len(), 4);
        assert_eq!(a0s(&reward, 2, &[]), a0s(&reward, 2, &[]));
        assert_ne!(a0s(&reward, 2, &[]), a0s(&reward, 3, &[]));
    }

    #[test]
    fn a_of_one_unit_is_a_margin_of_one_third_at_scale_32() {
        let now = Now { seed: 0, epoch: 0, scale: 32.0, history: &[] };
        let a = Reward::default().candidates(&now)[0].form.a;
        assert!((a + 42_901.7).abs() < 0.1, "{a}");
        assert!((libm::log1p(-a) / 32.0 - 1.0 / 3.0).abs() < 1e-5);
    }

    #[test]
    fn the_paper_s_mean_moves_and_the_released_one_s_does_not() {
        let history = [Past { samples: vec![vec![-1.3], vec![-0.7]], rewards: vec![Some(0.9), Some(0.8)] }];
        let now = Now { seed: 0, epoch: 3, scale: 32.0, history: &history };
        assert!(Reward::default().state(&now)["mu"][0] < -1.04);
        let released = Reward { variant: Variant::ReleasedCode, ..Reward::default() };
        assert_eq!(released.state(&now)["mu"], [0.0]);
        assert!(a0s(&released, 3, &history).iter().all(|a0| *a0 <= 0.0));
    }
}
