//! Normalisation of rewards, and gradient ascent on the mean of a Gaussian policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::method::Past;

/// How the rewards of an epoch are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// (reward - mean) / standard deviation.
    ZScore,
    /// 2 (reward - mean) / (highest - lowest).
    Range,
}

impl Normalise {
    /// The normalised rewards of an epoch; zeros if all are equal.
    pub fn apply(self, rewards: &[f64]) -> Vec<f64> {
        let n = rewards.len().max(1) as f64;
        let mean = rewards.iter().sum::<f64>() / n;
        let spread = match self {
            Self::ZScore => (rewards.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n).sqrt(),
            Self::Range => {
                let highest = rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let lowest = rewards.iter().copied().fold(f64::INFINITY, f64::min);
                (highest - lowest) / 2.0
            }
        };
        rewards.iter().map(|r| if spread > 1e-12 { (r - mean) / spread } else { 0.0 }).collect()
    }
}

/// The parameters of Adam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Step size.
    pub eta: f64,
    /// The decay rates of the running means of the gradient and of its square.
    pub betas: (f64, f64),
}

/// The mean of a Gaussian policy `N(mu, variance I)` after the epochs of `history`.
///
/// Each epoch with drawn candidates gives one step of Adam upwards along
/// `(1/B) sum_i R_i (x_i - mu) / variance` (Wang et al. 2020, eq. 10).
pub fn mean(start: &[f64], variance: f64, adam: Adam, normalise: Normalise, history: &[Past]) -> Vec<f64> {
    let mut mu = start.to_vec();
    let (mut first, mut second) = (vec![0.0; mu.len()], vec![0.0; mu.len()]);
    let mut steps = 0;
    for past in history {
        // A diverged candidate has no reward. It counts as the lowest of the others, so that it does not set
        // the scale.
        let least = past.rewards.iter().flatten().copied().reduce(f64::min);
        let drawn: Vec<(&Vec<f64>, f64)> = past
            .samples
            .iter()
            .zip(&past.rewards)
            .filter(|(sample, _)| sample.len() == mu.len())
            .filter_map(|(sample, reward)| Some((sample, reward.or(least)?)))
            .collect();
        if drawn.is_empty() || mu.is_empty() {
            continue;
        }
        steps += 1;
        let rewards = normalise.apply(&drawn.iter().map(|(_, reward)| *reward).collect::<Vec<f64>>());
        for k in 0..mu.len() {
            let sum: f64 = drawn.iter().zip(&rewards).map(|((x, _), r)| r * (x[k] - mu[k]) / variance).sum();
            let gradient = sum / drawn.len() as f64;
            first[k] = adam.betas.0 * first[k] + (1.0 - adam.betas.0) * gradient;
            second[k] = adam.betas.1 * second[k] + (1.0 - adam.betas.1) * gradient * gradient;
            let m = first[k] / (1.0 - adam.betas.0.powi(steps));
            let v = second[k] / (1.0 - adam.betas.1.powi(steps));
            mu[k] += adam.eta * m / (v.sqrt() + 1e-8);
        }
    }
    mu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_normalise_give_the_printed_formulas() {
        let z = Normalise::ZScore.apply(&[0.6, 0.8]);
        assert!((z[0] + 1.0).abs() < 1e-12 && (z[1] - 1.0).abs() < 1e-12);
        let range = Normalise::Range.apply(&[0.5, 0.6, 0.9]);
        for (found, reward) in range.iter().zip([0.5, 0.6, 0.9]) {
            assert!((found - 2.0 * (reward - 2.0 / 3.0) / 0.4).abs() < 1e-12);
        }
        assert_eq!(Normalise::ZScore.apply(&[0.7, 0.7]), [0.0, 0.0]);
    }

    #[test]
    fn the_mean_moves_towards_what_was_rewarded_and_stays_where_nothing_was() {
        let adam = Adam { eta: 0.05, betas: (0.5, 0.999) };
        let past = |rewards: [f64; 2]| Past {
            samples: vec![vec![-1.2], vec![-0.8]],
            rewards: rewards.map(Some).into(),
        };
        let go = |history: &[Past]| mean(&[-1.0], 0.04, adam, Normalise::ZScore, history)[0];
        // The first step of Adam has the length eta for any gradient.
        assert!((go(&[past([0.9, 0.8])]) + 1.05).abs() < 1e-6);
        assert!((go(&[past([0.8, 0.9])]) + 0.95).abs() < 1e-6);
        assert_eq!(go(&[past([0.8, 0.8])]), -1.0);
        assert_eq!(go(&[Past { samples: vec![vec![]], rewards: vec![Some(0.9)] }]), -1.0);
        assert!(go(&[past([0.9, 0.8]), past([0.9, 0.8])]) < go(&[past([0.9, 0.8])]));
    }
}
