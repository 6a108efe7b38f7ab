//! A k-fold accuracy of weighted pairs, with the thresholds chosen again: what a bootstrap needs in every replicate.
//!
//! The pairs are sorted once. A threshold is then a number of accepted pairs, and pairs between the same two thresholds of one fold
//! and label are a group. A replicate sums the weights of each group, and one pass over the sums gives the best threshold of all
//! folds. The thresholds of a grid are those of all pairs, whatever a replicate draws.

use super::Trials;
use crate::resample::{second_order, weight};

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
    /// The persons of each pair, by group.
    pairs: Vec<[u32; 2]>,
    /// What each pair adds to the accuracy in the first order.
    residuals: Vec<f64>,
    /// Sorted by cut.
    groups: Vec<Group>,
    folds: usize,
    cuts: Cuts,
}

/// Pairs of one fold and one label that no cut separates.
#[derive(Debug, Clone, Copy)]
struct Group {
    /// The index of the first cut that accepts them; the number of cuts if none does.
    cut: usize,
    fold: usize,
    same: bool,
    /// Whether each pair is of one person.
    single: bool,
    /// The index after its last pair.
    end: usize,
}

/// Weights of pairs of one person and of two.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    positives: f64,
    negatives: f64,
}

impl Sums {
    fn add(&mut self, same: bool, weight: f64) {
        *if same { &mut self.positives } else { &mut self.negatives } += weight;
    }

    fn all(&self) -> f64 {
        self.positives + self.negatives
    }
}

/// Of each fold: the best threshold of the others. Arrays, so that a processor compares several folds at once.
struct Best {
    /// How good it is.
    good: Vec<f64>,
    preference: Vec<f64>,
    /// The accepted pairs of one person less those of two, in the fold.
    net: Vec<f64>,
}

impl Best {
    fn none(folds: usize) -> Self {
        let lowest = vec![f64::NEG_INFINITY; folds];
        Self { good: lowest.clone(), preference: lowest, net: vec![0.0; folds] }
    }

    /// Takes a threshold where it is better.
    fn consider(&mut self, good: &[f64], preference: f64, net: &[f64]) {
        let own = self.good.iter_mut().zip(&mut self.preference).zip(&mut self.net);
        for (((best, before), chosen), (&good, &net)) in own.zip(good.iter().zip(net)) {
            let better = (good > *best) | ((good == *best) & (preference > *before));
            *best = if better { good } else { *best };
            *before = if better { preference } else { *before };
            *chosen = if better { net } else { *chosen };
        }
    }
}

impl Weighted {
    /// Sorts the pairs. `persons` has those of each pair, `residuals` what each adds to the accuracy in the first order; `cuts` gets
    /// the scores and labels in descending order of scores.
    pub fn new(
        trials: &Trials,
        persons: &[[u32; 2]],
        residuals: &[f64],
        cuts: fn(&[f64], &[bool]) -> Cuts,
    ) -> Self {
        let mut order: Vec<usize> = (0..trials.scores.len()).collect();
        order.sort_by(|&i, &j| trials.scores[j].total_cmp(&trials.scores[i]));
        let scores: Vec<f64> = order.iter().map(|&i| trials.scores[i]).collect();
        let same: Vec<bool> = order.iter().map(|&i| trials.same[i]).collect();
        let cuts = cuts(&scores, &same);
        // Cuts are numbers of accepted pairs, ascending: a pair is accepted from the first cut on that is beyond its place.
        let mut placed: Vec<(usize, u32, bool, bool, usize)> = order
            .iter()
            .enumerate()
            .map(|(place, &i)| {
                let cut = cuts.accepted.partition_point(|accepted| *accepted <= place);
                (cut, trials.fold[i], trials.same[i], persons[i][0] == persons[i][1], i)
            })
            .collect();
        placed.sort_unstable();
        let mut groups: Vec<Group> = Vec::new();
        for (at, &(cut, fold, same, single, _)) in placed.iter().enumerate() {
            let fold = fold as usize;
            let here = |g: &&mut Group| (g.cut, g.fold, g.same, g.single) == (cut, fold, same, single);
            match groups.last_mut().filter(here) {
                Some(group) => group.end = at + 1,
                None => groups.push(Group { cut, fold, same, single, end: at + 1 }),
            }
        }
        Self {
            pairs: placed.iter().map(|p| persons[p.4]).collect(),
            residuals: placed.iter().map(|p| residuals[p.4]).collect(),
            groups,
            folds: trials.fold.iter().max().map_or(0, |f| *f as usize + 1),
            cuts,
        }
    }

    /// The mean accuracy of the folds that have any weight, NaN where none has, and the second-order part of the accuracy.
    /// `weights` has one number a person.
    pub fn accuracy(&self, weights: &[f64]) -> (f64, f64) {
        let mut second = 0.0;
        let mut sums = Vec::with_capacity(self.groups.len());
        let mut folds = vec![Sums::default(); self.folds];
        let mut total = Sums::default();
        let mut from = 0;
        for group in &self.groups {
            let pairs = &self.pairs[from..group.end];
            let sum = if group.single {
                pairs.iter().map(|pair| weights[pair[0] as usize]).sum()
            } else {
                let mut sum = 0.0;
                for (pair, residual) in pairs.iter().zip(&self.residuals[from..group.end]) {
                    sum += weight(weights, *pair);
                    second += second_order(weights, *pair) * residual;
                }
                sum
            };
            folds[group.fold].add(group.same, sum);
            total.add(group.same, sum);
            sums.push(sum);
            from = group.end;
        }
        let accuracy = self.best(&sums, &folds, total);
        (accuracy, second)
    }

    /// The mean accuracy with the best threshold of the other folds, out of the weights of the groups.
    fn best(&self, sums: &[f64], folds: &[Sums], total: Sums) -> f64 {
        let mut best = Best::none(self.folds);
        let mut accepted = vec![Sums::default(); self.folds];
        let (mut net, mut good) = (vec![0.0; self.folds], vec![0.0; self.folds]);
        let mut all = Sums::default();
        let mut groups = self.groups.iter().zip(sums).peekable();
        for (cut, &preference) in self.cuts.preference.iter().enumerate() {
            while let Some((group, sum)) = groups.next_if(|(group, _)| group.cut == cut) {
                let here = &mut accepted[group.fold];
                here.add(group.same, *sum);
                net[group.fold] = here.positives - here.negatives;
                all.add(group.same, *sum);
            }
            if self.cuts.balanced {
                let share = |above: f64, of: f64| if of > 0.0 { above / of } else { 0.0 };
                for ((good, here), fold) in good.iter_mut().zip(&accepted).zip(folds) {
                    *good = share(all.positives - here.positives, total.positives - fold.positives)
                        - share(all.negatives - here.negatives, total.negatives - fold.negatives);
                }
            } else {
                // The right decisions of the other folds, but for the number of all their negatives.
                let all = all.positives - all.negatives;
                good.iter_mut().zip(&net).for_each(|(good, net)| *good = all - net);
            }
            best.consider(&good, preference, &net);
        }
        let weighed = || best.net.iter().zip(folds).filter(|(_, fold)| fold.all() > 0.0);
        weighed().map(|(net, fold)| (net + fold.negatives) / fold.all()).sum::<f64>()
            / weighed().count() as f64
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

    /// The accuracy with a weight for each pair.
    fn accuracy(trials: &Trials, definition: Verification, weights: &[f64]) -> f64 {
        let n = trials.scores.len() as u32;
        let alone: Vec<[u32; 2]> = (0..n).map(|i| [i, i]).collect();
        let residuals = vec![0.0; n as usize];
        Weighted::new(trials, &alone, &residuals, definition.rule().cuts).accuracy(weights).0
    }

    #[test]
    fn with_equal_weights_it_is_the_definitions_number_but_for_single_pairs() {
        let trials = overlapping(2000, 1);
        for definition in Verification::ALL {
            let rule = definition.rule();
            let printed = verify(rule, &trials).unwrap().value;
            let got = accuracy(&trials, definition, &vec![1.0; 2000]);
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
        let got = accuracy(&trials, Verification::Exact, &weights);
        let expected = verify(rule, &fewer).unwrap().value;
        assert!((got - expected).abs() < 2.5 / 343.0, "{got} {expected}");
    }

    #[test]
    fn the_second_order_part_is_that_of_pairs_of_two_persons() {
        let trials = Trials {
            scores: vec![0.9, 0.1, 0.8, 0.2],
            same: vec![true, false, true, false],
            fold: vec![0, 0, 1, 1],
        };
        let persons = [[0, 0], [0, 1], [1, 1], [1, 2]];
        let weighted =
            Weighted::new(&trials, &persons, &[0.5, 0.25, 0.5, -0.125], Verification::Exact.rule().cuts);
        let (accuracy, second) = weighted.accuracy(&[3.0, 0.0, 2.0]);
        // Weights 3 and 0, 0 and 0: fold 1 has none. Second order: (3 - 1)(0 - 1) / 4 - (0 - 1)(2 - 1) / 8.
        assert_eq!((accuracy, second), (1.0, -0.375));
    }

    proptest! {
        #[test]
        fn no_weights_make_it_panic(weights in prop::collection::vec(0_u8..3, 40), seed in any::<u64>()) {
            let weights: Vec<f64> = weights.iter().map(|w| f64::from(*w)).collect();
            let trials = overlapping(40, seed);
            for definition in Verification::ALL {
                let got = accuracy(&trials, definition, &weights);
                prop_assert!(got.is_nan() || (0.0..=1.0).contains(&got));
            }
        }
    }
}
