//! Error rates of groups at one global threshold.
//!
//! Ten-fold accuracy chooses a threshold for each group, but a deployed system has one for all. Therefore
//! false match and false non-match rates of every group are given at a common threshold, with the gap
//! (largest minus smallest), the ratio (largest over smallest) and bootstrap intervals over identities.

use crate::definition::{Definition, Trials, best_cut};
use crate::interval::{Bootstrap, Interval, Trial, present, share};
use crate::metrics::{Figure, GroupRates, OneGroup};
use crate::tpr_at_far::tpr_at_far;

/// The scored pairs of a group.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The group's name.
    pub name: &'a str,
    /// Its pairs.
    pub trials: &'a Trials,
    /// The persons of each pair.
    pub persons: &'a [[u32; 2]],
}

/// The error rates at the threshold that is best for all pairs together, then at the threshold of each FAR
/// that the pairs of all groups together can resolve.
pub fn rates(groups: &[Member<'_>], fars: &[f64], bootstrap: &Bootstrap) -> Vec<GroupRates> {
    let scores: Vec<f64> = groups.iter().flat_map(|g| &g.trials.scores).copied().collect();
    let same: Vec<bool> = groups.iter().flat_map(|g| &g.trials.same).copied().collect();
    let mut thresholds = vec![("best accuracy of all groups together".to_owned(), best_cut(&scores, &same))];
    let of = |label: bool| {
        let both = scores.iter().zip(&same).filter(|(_, s)| **s == label);
        both.map(|(s, _)| *s as f32).collect::<Vec<f32>>()
    };
    let (positives, mut negatives) = (of(true), of(false));
    negatives.sort_unstable_by(|a, b| b.total_cmp(a));
    for &far in fars {
        let at = tpr_at_far(far, &positives, &negatives, negatives.len() as u64);
        if at.tpr.is_some() {
            thresholds.push((format!("FAR={far:e} over all groups together"), at.threshold));
        }
    }
    thresholds.into_iter().map(|(rule, t)| at_threshold(groups, rule, t, bootstrap)).collect()
}

fn at_threshold(groups: &[Member<'_>], rule: String, threshold: f64, bootstrap: &Bootstrap) -> GroupRates {
    // [group][0 = false match, 1 = false non-match]
    let trials: Vec<[Vec<Trial>; 2]> =
        groups.iter().map(|g| [false, true].map(|l| errors(g, l, threshold))).collect();
    let persons = present(groups.iter().flat_map(|g| g.persons).flatten().copied());
    let value = all(&trials, plain);
    let intervals = bootstrap.statistics(&persons, |weights| all(&trials, |t| share(weights, t)));
    let figure = |k: usize| Figure {
        value: value[k],
        interval: intervals.get(k).copied().flatten().map(|i: Interval| [i.low, i.high]),
    };
    let n = groups.len();
    GroupRates {
        rule,
        definition: Definition::GlobalThreshold,
        threshold,
        groups: groups
            .iter()
            .enumerate()
            .map(|(i, g)| OneGroup {
                name: g.name.to_owned(),
                false_match: figure(i),
                false_non_match: figure(n + i),
                negatives: trials[i][0].len() as u64,
                positives: trials[i][1].len() as u64,
            })
            .collect(),
        false_match_gap: figure(2 * n),
        false_match_ratio: figure(2 * n + 1),
        false_non_match_gap: figure(2 * n + 2),
        false_non_match_ratio: figure(2 * n + 3),
    }
}

/// The pairs of one label, with 1 for a wrong decision.
fn errors(group: &Member<'_>, label: bool, threshold: f64) -> Vec<Trial> {
    let pairs = group.trials.scores.iter().zip(&group.trials.same).zip(group.persons);
    pairs
        .filter(|((_, same), _)| **same == label)
        .map(|((score, same), persons)| Trial {
            persons: *persons,
            hits: f64::from(u8::from((*score > threshold) != *same)),
            of: 1.0,
        })
        .collect()
}

fn plain(trials: &[Trial]) -> Option<f64> {
    (!trials.is_empty()).then(|| trials.iter().map(|t| t.hits).sum::<f64>() / trials.len() as f64)
}

/// False match rates of the groups, then false non-match rates, then gap and ratio of the former and of the
/// latter.
fn all(trials: &[[Vec<Trial>; 2]], rate: impl Fn(&[Trial]) -> Option<f64>) -> Vec<Option<f64>> {
    let mut out = Vec::with_capacity(2 * trials.len() + 4);
    let mut ends = Vec::with_capacity(4);
    for kind in 0..2 {
        let rates: Vec<Option<f64>> = trials.iter().map(|t| rate(&t[kind])).collect();
        let known: Vec<f64> = rates.iter().copied().flatten().collect();
        let high = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let low = known.iter().copied().fold(f64::INFINITY, f64::min);
        ends.push((!known.is_empty()).then_some(high - low));
        ends.push((low > 0.0 && low.is_finite()).then(|| high / low));
        out.extend(rates);
    }
    out.extend(ends);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(scores: &[f64], same: &[bool], from: u32) -> (Trials, Vec<[u32; 2]>) {
        let trials = Trials { scores: scores.to_vec(), same: same.to_vec(), fold: vec![0; scores.len()] };
        let persons =
            (0..scores.len() as u32).map(|i| [from + i, if same[i as usize] { from + i } else { from }]);
        (trials, persons.collect())
    }

    #[test]
    fn one_threshold_serves_all_groups_and_shows_who_pays() {
        let labels = [true, true, false, false];
        let (a, pa) = member(&[0.9, 0.8, 0.1, 0.2], &labels, 0);
        let (b, pb) = member(&[0.7, 0.35, 0.5, 0.1], &labels, 10);
        let groups =
            [Member { name: "A", trials: &a, persons: &pa }, Member { name: "B", trials: &b, persons: &pb }];
        let how = Bootstrap { replicates: 200, seed: 1, confidence: 0.95 };
        let got = rates(&groups, &[0.25, 0.01], &how);
        // The best common threshold is between 0.5 and 0.7 (or 0.2 and 0.35, but that gap is narrower).
        assert!((got[0].threshold - 0.6).abs() < 1e-12);
        let rate = |g: usize| (got[0].groups[g].false_match.value, got[0].groups[g].false_non_match.value);
        assert_eq!(rate(0), (Some(0.0), Some(0.0)));
        assert_eq!(rate(1), (Some(0.0), Some(0.5)));
        assert_eq!(got[0].false_non_match_gap.value, Some(0.5));
        // A ratio to a rate of zero is undefined.
        assert_eq!(got[0].false_non_match_ratio.value, None);
        assert!(got[0].false_non_match_gap.interval.is_some());
        // Four negatives resolve a FAR of 0.25, but not of 0.01.
        assert_eq!(got.len(), 2);
        assert!(got[1].rule.starts_with("FAR=2.5e-1"));
        assert_eq!(got[1].groups[1].false_match.value, Some(0.5));
    }
}
