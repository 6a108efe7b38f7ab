//! Random-Softmax: a random draw of a in each epoch.

use lfs_network::random::stream;
use lfs_stage::Result;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::loss::head::within;
use crate::loss::l5::L5;
use crate::method::{Draw, Now, Settings, short};

/// Random-Softmax: `a = -|N(0, sigma^2)| e^{s/3}`, drawn in each epoch (the distribution of the code released
/// with Search-Softmax).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Random {
    /// Standard deviation before the factor e^{s/3}.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub sigma: f64,
}

impl Default for Random {
    fn default() -> Self {
        Self { sigma: 0.2 }
    }
}

impl Settings for Random {
    type Form = L5;

    fn check(&self) -> Result<()> {
        within("random-softmax.sigma", self.sigma, 0.0, 100.0)
    }

    fn candidates(&self, now: &Now<'_>) -> Vec<Draw<L5>> {
        let normal: f64 = StandardNormal.sample(&mut stream(now.seed, "random a", &[u64::from(now.epoch)]));
        let a0 = short(-(self.sigma * normal).abs());
        let form = L5 { a: short(a0 * libm::exp(now.scale / 3.0)) };
        vec![Draw { name: format!("a0 = {a0:.3}"), sample: vec![a0], form }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_epoch_has_its_own_a_at_or_below_zero_and_it_is_the_same_when_asked_again() {
        let draw = |epoch| {
            let now = Now { seed: 5, epoch, scale: 32.0, history: &[] };
            Random::default().candidates(&now).remove(0).form.a
        };
        let all: Vec<f64> = (0..200).map(draw).collect();
        assert!(all.iter().all(|a| *a <= 0.0));
        assert!((1..200).all(|i| all[i] != all[i - 1]));
        assert_eq!(draw(7), all[7]);
        // The mean of a folded normal is sigma sqrt(2 / pi).
        let mean = all.iter().sum::<f64>() / 200.0 / libm::exp(32.0_f64 / 3.0);
        assert!((mean + 0.2 * (2.0 / std::f64::consts::PI).sqrt()).abs() < 0.03, "{mean}");
    }
}
