//! Bootstrap replicates of an evaluation's numbers: of an accuracy and of a TPR at a FAR here, of identification in [`search`].

pub mod search;

use lfs_metrics::Draws;

use crate::definition::{Rule, Trials, Verified, Weighted};
use crate::resample::{Bootstrap, Persons, deviations, second_order, weight};
use crate::tpr_at_far::{TprAtFar, allowed};

/// Replicates of a k-fold accuracy. `persons` are those of each pair: twice the same for a pair of one person.
pub fn accuracy(
    rule: &Rule,
    verified: &Verified,
    trials: &Trials,
    pairs: &[[u32; 2]],
    persons: &Persons,
    bootstrap: &Bootstrap,
) -> Draws {
    // What a pair adds to the mean over folds; the choice of the threshold has no first-order part at its optimum.
    let folds = verified.folds.len() as f64;
    let residual: Vec<f64> = verified
        .correct
        .iter()
        .zip(&trials.fold)
        .map(|(correct, fold)| {
            let fold = &verified.folds[*fold as usize];
            (f64::from(u8::from(*correct)) - fold.accuracy) / (folds * fold.pairs as f64)
        })
        .collect();
    let weighted = Weighted::new(trials, pairs, &residual, rule.cuts);
    let found = bootstrap.sample(persons, |weights| {
        let (accuracy, second) = weighted.accuracy(weights);
        vec![accuracy, second]
    });
    let [values, second] = &found[..] else { return Draws::default() };
    let (value, _) = weighted.accuracy(&vec![1.0; persons.len()]);
    without_second_order(deviations(values, value), second.clone())
}

/// Replicates out of deviations and their second-order part.
pub fn without_second_order(mut first: Vec<f64>, second: Vec<f64>) -> Draws {
    first.iter_mut().zip(&second).for_each(|(first, second)| *first -= second);
    let some = second.iter().any(|s| *s != 0.0);
    Draws { first, second: if some { second } else { Vec::new() } }
}

/// A positive or negative with its weight in a replicate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighed {
    /// The score.
    pub score: f32,
    /// The weight.
    pub weight: f64,
}

/// The threshold at which negatives of at most `allowed` weight are accepted. They are in descending order; where they end before,
/// the last one is the threshold.
pub fn threshold(negatives: impl Iterator<Item = Weighed>, allowed: f64) -> f32 {
    let (mut sum, mut last) = (0.0, f32::NEG_INFINITY);
    for negative in negatives.filter(|n| n.weight > 0.0) {
        sum += negative.weight;
        last = negative.score;
        if sum > allowed * (1.0 + 1e-12) {
            break;
        }
    }
    last
}

/// What is needed of a TPR at a FAR in a replicate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TprDraw {
    /// At the threshold of the replicate.
    pub tpr: f64,
    /// At the threshold of the sample.
    pub tpr_there: f64,
    /// The FAR at the threshold of the sample.
    pub far_there: f64,
    /// The second-order part of that FAR.
    pub far_second: f64,
}

impl TprDraw {
    /// As values of a sample.
    pub fn values(self) -> Vec<f64> {
        vec![self.tpr, self.tpr_there, self.far_there, self.far_second]
    }
}

/// Replicates of TPRs at FARs of pairs.
pub fn pair_tprs(
    ats: &[TprAtFar],
    trials: &Trials,
    pairs: &[[u32; 2]],
    persons: &Persons,
    bootstrap: &Bootstrap,
) -> Vec<Draws> {
    let of = |label: bool| {
        let all = trials.scores.iter().zip(&trials.same).zip(pairs);
        let some = all.filter(|((_, same), _)| **same == label);
        let mut some: Vec<(f32, [u32; 2])> = some.map(|((score, _), pair)| (*score as f32, *pair)).collect();
        some.sort_by(|a, b| b.0.total_cmp(&a.0));
        some
    };
    let (positives, mut negatives) = (of(true), of(false));
    let counts = counts(negatives.iter().map(|n| n.1));
    // A replicate accepts few more than the sample.
    let most = ats.iter().map(|at| search::tail_for(allowed(at.target, at.negatives))).max().unwrap_or(0);
    negatives.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let found = bootstrap.sample(persons, |weights| {
        let all: f64 = counts.iter().map(|(pair, count)| count * weight(weights, *pair)).sum();
        let draw = |at: &TprAtFar| {
            let cut = at.threshold as f32;
            let drawn = negatives.iter().map(|n| Weighed { score: n.0, weight: weight(weights, n.1) });
            let again = threshold(drawn, at.target * all);
            let (mut hits, mut there, mut of) = (0.0, 0.0, 0.0);
            for (score, pair) in &positives {
                let weight = weight(weights, *pair);
                of += weight;
                hits += if *score > again { weight } else { 0.0 };
                there += if *score > cut { weight } else { 0.0 };
            }
            let accepted = || negatives.iter().take_while(|n| n.0 > cut);
            TprDraw {
                tpr: hits / of,
                tpr_there: there / of,
                far_there: accepted().map(|n| weight(weights, n.1)).sum::<f64>() / all,
                far_second: accepted().map(|n| second_order(weights, n.1)).sum::<f64>() / at.negatives as f64,
            }
        };
        ats.iter().flat_map(|at| draw(at).values()).collect()
    });
    let of = |k: usize| found.get(4 * k..4 * k + 4).unwrap_or_default();
    ats.iter().enumerate().map(|(k, at)| tpr(of(k), at.tpr.unwrap_or(0.0), at.far)).collect()
}

/// How often each pair of persons occurs.
fn counts(pairs: impl Iterator<Item = [u32; 2]>) -> Vec<([u32; 2], f64)> {
    let mut all: Vec<[u32; 2]> = pairs.map(|[a, b]| [a.min(b), a.max(b)]).collect();
    all.sort_unstable();
    all.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as f64)).collect()
}

/// Replicates of a TPR at a FAR, out of the values of [`TprDraw`]. The TPR follows the FAR of the sample's threshold by the slope
/// of the ROC, which a regression over the replicates gives; so does its second-order part.
pub fn tpr(found: &[Vec<f64>], tpr: f64, far: f64) -> Draws {
    let [values, there, fars, second] = found else { return Draws::default() };
    let (mut product, mut square) = (0.0, 0.0);
    for ((value, there), at) in values.iter().zip(there).zip(fars) {
        let (moved, off) = (value - there, at - far);
        if moved.is_finite() && off.is_finite() {
            product += moved * off;
            square += off * off;
        }
    }
    let slope = if square > 0.0 { product / square } else { 0.0 };
    let second = second.iter().map(|s| if s.is_finite() { slope * s } else { 0.0 }).collect();
    without_second_order(deviations(values, tpr), second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negatives(all: &[(f32, f64)]) -> impl Iterator<Item = Weighed> {
        all.iter().map(|&(score, weight)| Weighed { score, weight })
    }

    #[test]
    fn the_threshold_is_the_first_negative_that_is_one_too_many() {
        let all = [(0.9, 1.0), (0.8, 0.0), (0.7, 2.0), (0.6, 1.0)];
        assert_eq!(threshold(negatives(&all), 0.0), 0.9);
        assert_eq!(threshold(negatives(&all), 1.0), 0.7);
        assert_eq!(threshold(negatives(&all), 2.9), 0.7);
        assert_eq!(threshold(negatives(&all), 3.0), 0.6);
        // All may pass, as far as they are known.
        assert_eq!(threshold(negatives(&all), 9.0), 0.6);
        assert_eq!(threshold(negatives(&[]), 9.0), f32::NEG_INFINITY);
    }

    #[test]
    fn a_tpr_follows_the_far_by_the_slope_of_the_roc() {
        // The TPR at the replicate's threshold falls by 3 where the FAR of the sample's threshold rises by 1.
        let far = [0.01, 0.02, 0.0];
        let there = [0.5, 0.6, 0.4];
        let values: Vec<f64> = there.iter().zip(far).map(|(t, f)| t - 3.0 * (f - 0.01)).collect();
        let found = vec![values, there.to_vec(), far.to_vec(), vec![0.0, 0.004, -0.002]];
        let draws = tpr(&found, 0.5, 0.01);
        assert!((draws.second[1] + 0.012).abs() < 1e-12 && (draws.second[2] - 0.006).abs() < 1e-12);
        assert!((draws.first[1] - (0.07 + 0.012)).abs() < 1e-12, "{draws:?}");
    }
}
