//! A k-fold accuracy of weighted pairs, with the thresholds chosen again: what a bootstrap needs in every replicate.
//!
//! The pairs are sorted once. A threshold is then a number of accepted pairs, and one pass over the pairs of a replicate gives the
//! best threshold of all folds. The thresholds of a grid are those of all pairs, whatever a replicate draws.

use super::Trials;

/// The thresholds from which a definition chooses.
#[derive(Debug, Clone, PartialEq)]
pub struct Cuts {
    /// How many of the pairs each accepts, by descending score; ascending.
    pub accepted: Vec<usize>,
    /// Which of equally good ones is taken: that with the highest number, of equal numbers the first.
    pub preference: Vec<f64>,
    /// Whether the mean of TPR and 1 - FPR is maximised; else the accuracy.
    pub balanced: bool,
}

impl Cuts {
    /// The cuts of a grid of thresholds, each with the number of accepted pairs. `first` is the one that is preferred.
    pub(super) fn grid(accepted: impl Iterator<Item = usize>, first: Preferred, balanced: bool) -> Self {
        let mut accepted: Vec<usize> = accepted.collect();
        accepted.sort_unstable();
        // Thresholds between the same two scores do not differ.
        accepted.dedup();
        let preference = match first {
            Preferred::Strict => vec![0.0; accepted.len()],
            Preferred::Lenient => (0..accepted.len()).map(|i| i as f64).collect(),
        };
        Self { accepted, preference, balanced }
    }
}

/// Which of equally good thresholds of a grid is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preferred {
    /// That which accepts the fewest pairs.
    Strict,
    /// That which accepts the most.
    Lenient,
}

/// Pairs, ready to be weighted.
#[derive(Debug)]
pub struct Weighted {
    /// Pairs by descending score.
    order: Vec<u32>,
    same: Vec<bool>,
    fold: Vec<u32>,
    folds: usize,
    cuts: Cuts,
}

/// The weights of a fold's pairs: those of one person and of two, of all and of the accepted ones.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    positives: f64,
    negatives: f64,
    accepted_positives: f64,
    accepted_negatives: f64,
}

impl Sums {
    fn right(&self) -> f64 {
        self.accepted_positives + self.negatives - self.accepted_negatives
    }

    fn all(&self) -> f64 {
        self.positives + self.negatives
    }

    /// How good the threshold is for all pairs but those of a fold.
    fn without(&self, fold: &Self, balanced: bool) -> f64 {
        if !balanced {
            return self.right() - fold.right();
        }
        let share = |above: f64, of: f64| if of > 0.0 { above / of } else { 0.0 };
        share(self.accepted_positives - fold.accepted_positives, self.positives - fold.positives)
            - share(self.accepted_negatives - fold.accepted_negatives, self.negatives - fold.negatives)
    }
}

impl Weighted {
    /// Sorts the pairs; `cuts` gets the scores and labels in descending order of scores.
    pub fn new(trials: &Trials, cuts: fn(&[f64], &[bool]) -> Cuts) -> Self {
        let mut order: Vec<u32> = (0..trials.scores.len() as u32).collect();
        order.sort_by(|&i, &j| trials.scores[j as usize].total_cmp(&trials.scores[i as usize]));
        let scores: Vec<f64> = order.iter().map(|&i| trials.scores[i as usize]).collect();
        let same: Vec<bool> = order.iter().map(|&i| trials.same[i as usize]).collect();
        let fold: Vec<u32> = order.iter().map(|&i| trials.fold[i as usize]).collect();
        let folds = fold.iter().max().map_or(0, |f| *f as usize + 1);
        Self { cuts: cuts(&scores, &same), order, same, fold, folds }
    }

    /// The mean accuracy of the folds that have any weight; NaN where none has. `weights` has one number a pair.
    pub fn accuracy(&self, weights: &[f64]) -> f64 {
        let mut folds = vec![Sums::default(); self.folds];
        for (place, &i) in self.order.iter().enumerate() {
            let sums = &mut folds[self.fold[place] as usize];
            *if self.same[place] { &mut sums.positives } else { &mut sums.negatives } += weights[i as usize];
        }
        let mut total = Sums::default();
        for sums in &folds {
            total.positives += sums.positives;
            total.negatives += sums.negatives;
        }
        // Of each fold: how good the best threshold of the others is, its preference, and what it decides rightly.
        let mut best = vec![(f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0); self.folds];
        let mut next = 0;
        for (&accepted, &preference) in self.cuts.accepted.iter().zip(&self.cuts.preference) {
            for place in next..accepted {
                let weight = weights[self.order[place] as usize];
                let sums = &mut folds[self.fold[place] as usize];
                if self.same[place] {
                    sums.accepted_positives += weight;
                    total.accepted_positives += weight;
                } else {
                    sums.accepted_negatives += weight;
                    total.accepted_negatives += weight;
                }
            }
            next = accepted;
            for (best, fold) in best.iter_mut().zip(&folds) {
                let good = total.without(fold, self.cuts.balanced);
                if good > best.0 || (good == best.0 && preference > best.1) {
                    *best = (good, preference, fold.right());
                }
            }
        }
        let weighed = || best.iter().zip(&folds).filter(|(_, fold)| fold.all() > 0.0);
        weighed().map(|(best, fold)| best.2 / fold.all()).sum::<f64>() / weighed().count() as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::definition::{Verification, verify};

    /// Ten folds of pairs whose scores overlap.
    fn overlapping(pairs: usize, seed: u64) -> Trials {
        let mut trials = Trials::default();
        let mut state = seed;
        for i in 0..pairs {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let unit = (state >> 11) as f64 / (1_u64 << 53) as f64;
            let same = i % 2 == 0;
            trials.scores.push(if same { 0.35 } else { 0.0 } + unit * 0.6);
            trials.same.push(same);
            trials.fold.push((i * 10 / pairs) as u32);
        }
        trials
    }

    #[test]
    fn with_equal_weights_it_is_the_definitions_number_but_for_single_pairs() {
        let trials = overlapping(2000, 1);
        for definition in Verification::ALL {
            let rule = definition.rule();
            let printed = verify(rule, &trials).unwrap().value;
            let got = Weighted::new(&trials, rule.cuts).accuracy(&vec![1.0; 2000]);
            // The cuts of all pairs are not those of nine folds alone.
            assert!((got - printed).abs() < 2.5 / 2000.0, "{definition:?}: {got} {printed}");
        }
    }

    #[test]
    fn a_pair_without_weight_is_no_pair() {
        let trials = overlapping(400, 2);
        let rule = Verification::Exact.rule();
        let mut weights = vec![1.0; 400];
        let mut fewer = Trials::default();
        for (i, weight) in weights.iter_mut().enumerate() {
            if i % 7 == 3 {
                *weight = 0.0;
                continue;
            }
            fewer.scores.push(trials.scores[i]);
            fewer.same.push(trials.same[i]);
            fewer.fold.push(trials.fold[i]);
        }
        let got = Weighted::new(&trials, rule.cuts).accuracy(&weights);
        let expected = verify(rule, &fewer).unwrap().value;
        assert!((got - expected).abs() < 2.5 / 343.0, "{got} {expected}");
    }

    proptest! {
        #[test]
        fn no_weights_make_it_panic(weights in prop::collection::vec(0_u8..3, 40), seed in any::<u64>()) {
            let weights: Vec<f64> = weights.iter().map(|w| f64::from(*w)).collect();
            let trials = overlapping(40, seed);
            for definition in Verification::ALL {
                let got = Weighted::new(&trials, definition.rule().cuts).accuracy(&weights);
                prop_assert!(got.is_nan() || (0.0..=1.0).contains(&got));
            }
        }
    }
}
