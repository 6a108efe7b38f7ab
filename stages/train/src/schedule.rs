//! The learning rate: a pure function of epoch and step.

use serde::{Deserialize, Serialize};

use crate::method::short;
use crate::spec::Params;

/// The learning rate over one epoch, interpolated linearly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ramp {
    /// Before the first step.
    pub from: f64,
    /// At the last step.
    pub to: f64,
}

impl Ramp {
    /// The learning rate of a step, counted from 0.
    pub fn at(self, step: u64, steps: u64) -> f64 {
        self.from + (self.to - self.from) * (step + 1) as f64 / steps.max(1) as f64
    }
}

/// The learning rate of an epoch, counted from 0: a linear warm-up, then a drop at each milestone.
pub fn ramp(p: &Params, epoch: u32) -> Ramp {
    let passed = p.milestones.iter().filter(|m| **m <= epoch).count();
    let full = p.lr * p.gamma.powi(i32::try_from(passed).unwrap_or(i32::MAX));
    let share = |epoch: u32| if epoch >= p.warmup { 1.0 } else { f64::from(epoch) / f64::from(p.warmup) };
    let to = share(epoch + 1);
    let from = if epoch < p.warmup { full * share(epoch) } else { full };
    Ramp { from: short(from), to: short(full * to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Params {
        toml::from_str(&format!("method = \"softmax\"\n{text}")).unwrap()
    }

    #[test]
    fn the_rate_falls_by_gamma_at_each_milestone() {
        let p = params("lr = 0.1\nmilestones = [4, 8, 10]");
        let rates: Vec<f64> = (0..12).map(|epoch| ramp(&p, epoch).at(0, 10)).collect();
        for (epoch, rate) in rates.iter().enumerate() {
            let expected = [0.1, 0.01, 0.001, 0.0001][[4, 8, 10].iter().filter(|m| **m <= epoch).count()];
            assert!((rate - expected).abs() < 1e-12, "{epoch} {rate}");
        }
    }

    #[test]
    fn the_warm_up_rises_in_a_straight_line_across_epochs() {
        let p = params("lr = 0.3\nwarmup = 2\nmilestones = []");
        let steps: Vec<f64> =
            (0..3).flat_map(|e| (0..2).map(move |s| (e, s))).map(|(e, s)| ramp(&p, e).at(s, 2)).collect();
        for (found, expected) in steps.iter().zip([0.075, 0.15, 0.225, 0.3, 0.3, 0.3]) {
            assert!((found - expected).abs() < 1e-12, "{steps:?}");
        }
    }
}
