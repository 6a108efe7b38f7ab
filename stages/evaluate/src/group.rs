//! Error rates of groups at one global threshold.
//!
//! Ten-fold accuracy chooses a threshold for each group, but a deployed system has one for all. Therefore
//! false match and false non-match rates of every group are given at a common threshold, with the gap
//! (largest minus smallest), the ratio (largest over smallest) and bootstrap intervals over identities.

use lfs_metrics::draws::quantiles;
use lfs_metrics::{Draws, Figure, GroupRates, OneGroup};

use crate::definition::{Definition, Trials};
use crate::draws::without_second_order;
use crate::resample::{Bootstrap, Persons, deviations, distinct, second_order, weight};

/// A group's scored pairs.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The group's name.
    pub name: &'a str,
    /// Its pairs.
    pub trials: &'a Trials,
    /// The persons of each pair.
    pub persons: &'a [[u32; 2]],
}

/// How the common threshold is chosen; in every replicate again.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Chosen {
    BestAccuracy,
    Far(f64),
}

/// A pair of any group.
struct Pair {
    score: f64,
    same: bool,
    group: usize,
    persons: [u32; 2],
}

/// The pairs of all groups by descending score.
struct Pairs {
    groups: usize,
    all: Vec<Pair>,
}

/// The error rates at the threshold that is best for the pairs of all groups together, then at the threshold of each FAR that
/// these pairs resolve.
pub fn rates(
    groups: &[Member<'_>],
    fars: &[f64],
    persons: &Persons,
    bootstrap: &Bootstrap,
) -> Vec<GroupRates> {
    let mut all: Vec<Pair> = Vec::new();
    for (group, member) in groups.iter().enumerate() {
        let pairs = member.trials.scores.iter().zip(&member.trials.same).zip(member.persons);
        all.extend(pairs.map(|((score, same), persons)| Pair {
            score: *score,
            same: *same,
            group,
            persons: *persons,
        }));
    }
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    let negatives = all.iter().filter(|pair| !pair.same).count();
    let pairs = Pairs { groups: groups.len(), all };
    let mut rules = vec![("best accuracy of all groups together".to_owned(), Chosen::BestAccuracy)];
    for &far in fars.iter().filter(|far| **far * negatives as f64 >= 1.0) {
        rules.push((format!("FAR={far:e} over all groups together"), Chosen::Far(far)));
    }
    rules.into_iter().map(|(rule, chosen)| pairs.at(groups, rule, chosen, persons, bootstrap)).collect()
}

impl Pairs {
    /// How many pairs are accepted at the threshold that weighted pairs choose. Ties are decided together.
    fn accepted(&self, chosen: Chosen, weights: &[f64]) -> usize {
        let total = |same: bool| {
            let pairs = self.all.iter().filter(|pair| pair.same == same);
            pairs.map(|pair| weight(weights, pair.persons)).sum::<f64>()
        };
        let allowed = match chosen {
            Chosen::Far(far) => far * total(false) * (1.0 + 1e-12),
            Chosen::BestAccuracy => f64::INFINITY,
        };
        let (mut false_matches, mut right, mut best) = (0.0, 0.0, (0.0, 0.0, 0));
        let mut at = 0;
        for ties in self.all.chunk_by(|a, b| a.score == b.score) {
            for pair in ties {
                let weight = weight(weights, pair.persons);
                right += if pair.same { weight } else { -weight };
                false_matches += if pair.same { 0.0 } else { weight };
            }
            at += ties.len();
            if false_matches > allowed {
                break;
            }
            let gap = match (chosen, self.all.get(at)) {
                (Chosen::BestAccuracy, Some(next)) => ties[0].score - next.score,
                (Chosen::BestAccuracy, None) => -1.0,
                (Chosen::Far(_), _) => 0.0,
            };
            let better = match chosen {
                Chosen::BestAccuracy => right > best.0 || (right == best.0 && gap > best.1),
                Chosen::Far(_) => true,
            };
            if better {
                best = (right, gap, at);
            }
        }
        best.2
    }

    /// False match rates of the groups, then false non-match rates; NaN where a group has no such pair.
    fn rates(&self, accepted: usize, weights: impl Fn(&Pair) -> f64) -> Vec<f64> {
        let (mut errors, mut all) = (vec![0.0; 2 * self.groups], vec![0.0; 2 * self.groups]);
        for (k, pair) in self.all.iter().enumerate() {
            let place = if pair.same { self.groups + pair.group } else { pair.group };
            let weight = weights(pair);
            all[place] += weight;
            if (k < accepted) != pair.same {
                errors[place] += weight;
            }
        }
        errors.iter().zip(all).map(|(errors, all)| errors / all).collect()
    }

    fn at(
        &self,
        groups: &[Member<'_>],
        rule: String,
        chosen: Chosen,
        persons: &Persons,
        bootstrap: &Bootstrap,
    ) -> GroupRates {
        let n = self.groups;
        let one = vec![1.0; persons.len()];
        let there = self.accepted(chosen, &one);
        let value = self.rates(there, |_| 1.0);
        let count = |same: bool, g: usize| {
            self.all.iter().filter(|pair| pair.same == same && pair.group == g).count() as u64
        };
        let counts: Vec<u64> = [false, true].iter().flat_map(|s| (0..n).map(|g| count(*s, g))).collect();
        let found = bootstrap.sample(persons, |weights| {
            let again = self.accepted(chosen, weights);
            let mut values = self.rates(again, |pair| weight(weights, pair.persons));
            let mut second = vec![0.0; n];
            for (k, pair) in self.all.iter().enumerate().filter(|(_, pair)| !pair.same) {
                let error = f64::from(u8::from(k < there));
                second[pair.group] += second_order(weights, pair.persons) * (error - value[pair.group]);
            }
            values.extend(second.iter().zip(&counts).map(|(sum, count)| sum / *count as f64));
            values
        });
        let draws = |k: usize| match found.get(k) {
            Some(values) => {
                let second = if k < n { found[2 * n + k].clone() } else { Vec::new() };
                without_second_order(deviations(values, value[k]), second)
            }
            None => Draws::default(),
        };
        let draws: Vec<Draws> = (0..2 * n).map(draws).collect();
        let figure = |k: usize| {
            let there = counts[k] > 0;
            let persons = distinct(groups[k % n].persons.iter().flatten());
            let spread = bootstrap.spread(value[k], &draws[k], counts[k], persons);
            Figure {
                value: there.then_some(value[k]),
                interval: spread.filter(|_| there).map(|spread| spread.interval),
            }
        };
        let ends = |kind: usize, of: fn(&[f64]) -> Option<f64>| {
            let place = |g: usize| kind * n + g;
            let some: Vec<usize> = (0..n).map(place).filter(|k| counts[*k] > 0).collect();
            let values: Vec<f64> = some.iter().map(|k| value[*k]).collect();
            let each: Vec<Vec<f64>> = some.iter().map(|k| draws[*k].replicates(value[*k])).collect();
            let replicates = each.first().map_or(0, Vec::len);
            let drawn = (0..replicates).map(|r| {
                let rates: Vec<f64> = each.iter().map(|rates| rates[r].clamp(0.0, 1.0)).collect();
                of(&rates)
            });
            let drawn: Option<Vec<f64>> = drawn.collect();
            Figure {
                value: of(&values),
                interval: drawn.and_then(|drawn| quantiles(drawn, bootstrap.confidence)),
            }
        };
        let threshold = match (self.all.get(there.wrapping_sub(1)), self.all.get(there), chosen) {
            (None, ..) => 2.0,
            (_, None, _) => -2.0,
            (Some(a), Some(b), Chosen::BestAccuracy) => a.score.midpoint(b.score),
            (_, Some(b), Chosen::Far(_)) => b.score,
        };
        GroupRates {
            rule,
            definition: Definition::GlobalThreshold.name().to_owned(),
            threshold,
            groups: groups
                .iter()
                .enumerate()
                .map(|(i, g)| OneGroup {
                    name: g.name.to_owned(),
                    false_match: figure(i),
                    false_non_match: figure(n + i),
                    negatives: counts[i],
                    positives: counts[n + i],
                })
                .collect(),
            false_match_gap: ends(0, gap),
            false_match_ratio: ends(0, ratio),
            false_non_match_gap: ends(1, gap),
            false_non_match_ratio: ends(1, ratio),
        }
    }
}

fn extremes(rates: &[f64]) -> (f64, f64) {
    rates.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), r| (low.min(*r), high.max(*r)))
}

fn gap(rates: &[f64]) -> Option<f64> {
    let (low, high) = extremes(rates);
    (!rates.is_empty()).then_some(high - low)
}

/// None where the least rate is 0.
fn ratio(rates: &[f64]) -> Option<f64> {
    let (low, high) = extremes(rates);
    (low > 0.0 && low.is_finite()).then(|| high / low)
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
        let names: Vec<String> = (0..20).map(|i| i.to_string()).collect();
        let persons = Persons::new("tests", names.iter().map(String::as_str));
        let got = rates(&groups, &[0.25, 0.01], &persons, &how);
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
