//! Cross-validation shared by all definitions: leave one fold out, choose the threshold on the others,
//! evaluate on it.

use lfs_stage::{Failure, Result};

use super::{Definition, Rule, Unit};

/// Scored pairs with labels and folds: three vectors of the same length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trials {
    /// Cosines.
    pub scores: Vec<f64>,
    /// Whether both images show the same person.
    pub same: Vec<bool>,
    /// The fold of each pair, from 0.
    pub fold: Vec<u32>,
}

impl Trials {
    /// The scores of the pairs of one person and of two, each in descending order.
    pub fn split(&self) -> (Vec<f32>, Vec<f32>) {
        let of = |label: bool| {
            let some = self.scores.iter().zip(&self.same).filter(|(_, same)| **same == label);
            let mut some: Vec<f32> = some.map(|(score, _)| *score as f32).collect();
            some.sort_unstable_by(|a, b| b.total_cmp(a));
            some
        };
        (of(true), of(false))
    }
}

/// One fold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fold {
    /// The share of its pairs that are decided correctly.
    pub accuracy: f64,
    /// The threshold chosen on the other folds.
    pub threshold: f64,
    /// The number of its pairs.
    pub pairs: usize,
}

/// The result of a definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The definition.
    pub definition: Definition,
    /// The unit of the thresholds.
    pub unit: Unit,
    /// The mean of the folds' accuracies.
    pub value: f64,
    /// The standard deviation over the folds, as the definition prints it.
    pub std: f64,
    /// The standard error of the mean, as the definition computes it.
    pub stderr: f64,
    /// The folds in order.
    pub folds: Vec<Fold>,
    /// For each pair, whether it was decided correctly while its fold was left out.
    pub correct: Vec<bool>,
}

impl Verified {
    /// The mean of the folds' thresholds.
    pub fn threshold(&self) -> f64 {
        self.folds.iter().map(|f| f.threshold).sum::<f64>() / self.folds.len() as f64
    }
}

/// Applies a definition. There can be any number of pairs and of folds from two.
///
/// # Errors
/// If a fold is empty, its training folds lack one of the two labels, or a score is not finite.
pub fn verify(rule: &Rule, trials: &Trials) -> Result<Verified> {
    if let Some(i) = trials.scores.iter().position(|s| !s.is_finite()) {
        return Err(Failure::new(format!("the score of pair {i} is {}, not a number", trials.scores[i]))
            .help("check the embeddings of its two images"));
    }
    let count = trials.fold.iter().max().map_or(0, |f| *f + 1);
    if count < 2 {
        return Err(Failure::new(format!(
            "`{}` needs at least 2 folds, one to test and the others to choose a threshold; the list has {count}",
            rule.definition
        )));
    }
    let mut folds = Vec::with_capacity(count as usize);
    let mut correct = vec![false; trials.scores.len()];
    for fold in 0..count {
        let (mut scores, mut same) = (Vec::new(), Vec::new());
        for (i, _) in trials.fold.iter().enumerate().filter(|(_, f)| **f != fold) {
            scores.push(trials.scores[i]);
            same.push(trials.same[i]);
        }
        for label in [true, false] {
            if !same.contains(&label) {
                return Err(Failure::new(format!(
                    "without fold {} no pair of {} is left to choose a threshold on",
                    fold + 1,
                    if label { "one person" } else { "two persons" }
                )));
            }
        }
        let threshold = (rule.threshold)(&scores, &same);
        let (mut pairs, mut right) = (0, 0);
        for (i, _) in trials.fold.iter().enumerate().filter(|(_, f)| **f == fold) {
            correct[i] = (rule.correct)(trials.scores[i], threshold, trials.same[i]);
            pairs += 1;
            right += usize::from(correct[i]);
        }
        if pairs == 0 {
            return Err(Failure::new(format!("fold {} has no pair", fold + 1))
                .help("all its images are missing; see the overlap and clean reports of this test set"));
        }
        folds.push(Fold { accuracy: right as f64 / pairs as f64, threshold, pairs });
    }
    let accuracies: Vec<f64> = folds.iter().map(|f| f.accuracy).collect();
    let (std, stderr) = (rule.spread)(&accuracies);
    let value = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
    Ok(Verified { definition: rule.definition, unit: rule.unit, value, std, stderr, folds, correct })
}

/// The smallest and the largest score.
pub(super) fn extremes(scores: &[f64]) -> (f64, f64) {
    scores.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), &s| (lo.min(s), hi.max(s)))
}
