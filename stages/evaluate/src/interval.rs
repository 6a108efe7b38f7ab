//! Bootstrap intervals over identities.
//!
//! Pairs that share a person are not independent, so persons are resampled, not pairs. In a replicate, person
//! i is drawn w_i times (with replacement, as many draws as persons). A pair of i and j then counts w_i w_j
//! times, a pair of one person w_i times. Thresholds are not re-estimated. The interval is the percentile
//! interval. Replicate r draws from its own stream (seed, r), so the result does not depend on the number of
//! threads.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// How intervals are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// The number of replicates; 0 gives no interval.
    pub replicates: u32,
    /// The seed of the draws.
    pub seed: u64,
    /// The coverage probability of the interval: 0.95.
    pub confidence: f64,
}

/// An outcome, right or wrong, with the persons that it depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// The persons; twice the same one for a pair of one person.
    pub persons: [u32; 2],
    /// The value to average: 1 for right and 0 for wrong, or a sum over a person's trials.
    pub hits: f64,
    /// The number of trials that this stands for.
    pub of: f64,
}

/// An interval, and the standard deviation over the replicates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The standard deviation over the replicates, which is a standard error.
    pub std: f64,
}

impl Bootstrap {
    /// The interval of `sum(w hits) / sum(w of)`; none without replicates or with fewer than two persons.
    pub fn ratio(&self, trials: &[Trial]) -> Option<Interval> {
        let persons = present(trials.iter().flat_map(|t| t.persons));
        self.statistics(&persons, |weights| vec![share(weights, trials)]).into_iter().next().flatten()
    }

    /// The intervals of several statistics of the persons' weights, from the same draws. Persons are those
    /// with `takes_part`. Replicates in which a statistic is undefined are left out of its interval.
    pub fn statistics(
        &self,
        takes_part: &[bool],
        statistics: impl Fn(&[f64]) -> Vec<Option<f64>> + Sync,
    ) -> Vec<Option<Interval>> {
        let persons: Vec<usize> =
            takes_part.iter().enumerate().filter(|(_, p)| **p).map(|(i, _)| i).collect();
        if persons.len() < 2 {
            return Vec::new();
        }
        let replicates: Vec<Vec<Option<f64>>> = (0..self.replicates)
            .into_par_iter()
            .map(|replicate| {
                let mut random = ChaCha8Rng::seed_from_u64(self.seed);
                random.set_stream(u64::from(replicate));
                let mut weights = vec![0.0; takes_part.len()];
                for _ in 0..persons.len() {
                    weights[persons[random.random_range(0..persons.len())]] += 1.0;
                }
                statistics(&weights)
            })
            .collect();
        let count = replicates.first().map_or(0, Vec::len);
        (0..count).map(|k| self.summary(replicates.iter().filter_map(|r| r[k]).collect())).collect()
    }

    fn summary(&self, mut values: Vec<f64>) -> Option<Interval> {
        if values.is_empty() {
            return None;
        }
        let std = crate::definition::mean_std(&values, 1).1;
        values.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.confidence) / 2.0;
        Some(Interval { low: quantile(&values, tail), high: quantile(&values, 1.0 - tail), std })
    }
}

/// `sum(w hits) / sum(w of)`; none if nothing was drawn.
pub fn share(weights: &[f64], trials: &[Trial]) -> Option<f64> {
    let (mut hits, mut of) = (0.0, 0.0);
    for t in trials {
        let w = weight(weights, t.persons);
        hits += w * t.hits;
        of += w * t.of;
    }
    (of > 0.0).then(|| hits / of)
}

/// The weight of a trial in a replicate.
pub fn weight(weights: &[f64], [a, b]: [u32; 2]) -> f64 {
    let w = weights[a as usize];
    if a == b { w } else { w * weights[b as usize] }
}

/// Which persons occur.
pub fn present(persons: impl Iterator<Item = u32>) -> Vec<bool> {
    let mut out = Vec::new();
    for p in persons {
        if out.len() <= p as usize {
            out.resize(p as usize + 1, false);
        }
        out[p as usize] = true;
    }
    out
}

/// The q-quantile of sorted values, linear between neighbours.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOW: Bootstrap = Bootstrap { replicates: 400, seed: 7, confidence: 0.95 };

    fn own(person: u32, hits: f64) -> Trial {
        Trial { persons: [person; 2], hits, of: 1.0 }
    }

    #[test]
    fn the_interval_of_a_share_has_the_width_of_the_binomial() {
        let trials: Vec<Trial> = (0..400).map(|i| own(i, f64::from(u8::from(i % 4 != 0)))).collect();
        let got = HOW.ratio(&trials).unwrap();
        let expected = (0.75_f64 * 0.25 / 400.0).sqrt();
        assert!((got.std / expected - 1.0).abs() < 0.15, "{got:?}");
        assert!(got.low < 0.75 && 0.75 < got.high);
    }

    #[test]
    fn trials_of_one_person_count_as_one_draw() {
        // 400 trials of 4 persons, all right or all wrong for each: no better than 4 trials.
        let trials: Vec<Trial> = (0..400).map(|i| own(i % 4, f64::from(u8::from(i % 4 != 0)))).collect();
        let expected = (0.75_f64 * 0.25 / 4.0).sqrt();
        let got = HOW.ratio(&trials).unwrap();
        assert!((got.std / expected - 1.0).abs() < 0.15, "{got:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_on_any_number_of_threads() {
        let trials: Vec<Trial> = (0..50).map(|i| own(i, f64::from(i % 2))).collect();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| HOW.ratio(&trials))
        };
        assert_eq!(on(1), on(3));
        assert_ne!(on(1), Bootstrap { seed: 8, ..HOW }.ratio(&trials));
    }

    #[test]
    fn nothing_to_resample_gives_no_interval() {
        assert_eq!(HOW.ratio(&[]), None);
        assert_eq!(HOW.ratio(&[own(0, 1.0)]), None);
        assert_eq!(Bootstrap { replicates: 0, ..HOW }.ratio(&[own(0, 1.0), own(1, 1.0)]), None);
    }

    #[test]
    fn a_pair_of_two_persons_counts_the_product_of_their_draws() {
        assert_eq!(weight(&[2.0, 3.0], [0, 1]), 6.0);
        assert_eq!(weight(&[2.0, 3.0], [1, 1]), 3.0);
    }
}
