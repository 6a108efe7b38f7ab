//! Resampling of persons.
//!
//! Comparisons that share a person are not independent, so persons are resampled, not comparisons. In replicate r a person weighs
//! w times, with w from a Poisson distribution of mean 1; a comparison of persons i and j weighs `w_i w_j`, one of a single
//! person `w_i`. Thresholds are chosen again. A weight follows from the seed, r and the person's name alone, so that the replicates
//! of two evaluations on the same persons belong together ([`Draws`]), whatever the number of threads.

use std::collections::BTreeSet;

use lfs_metrics::{Draws, Resampling, student, wilson};
use rayon::prelude::*;

/// How intervals are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// The number of replicates; 0 gives no interval.
    pub replicates: u32,
    /// The seed of the weights.
    pub seed: u64,
    /// The probability that an interval is to cover: 0.95.
    pub confidence: f64,
}

/// The persons of a set, numbered from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persons {
    family: String,
    keys: Vec<u64>,
}

impl Persons {
    /// Persons by name. Among families equal names are different persons.
    pub fn new<'a>(family: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        let key = |name: &str| {
            let digest = blake3::hash(format!("{family}\0{name}").as_bytes());
            let (first, _) = digest.as_bytes().split_at(8);
            first.iter().fold(0, |key, byte| key << 8 | u64::from(*byte))
        };
        Self { family: family.to_owned(), keys: names.into_iter().map(key).collect() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Bootstrap {
    /// What the file says of it; none without replicates.
    pub fn resampling(&self, persons: &Persons) -> Option<Resampling> {
        (self.replicates > 1).then(|| Resampling {
            seed: self.seed,
            replicates: self.replicates,
            persons: persons.family.clone(),
        })
    }

    /// The values of `statistic` for the weights of each replicate: `[statistic][replicate]`. A value that does not exist in a
    /// replicate is NaN. Empty without replicates.
    pub fn sample(&self, persons: &Persons, statistic: impl Fn(&[f64]) -> Vec<f64> + Sync) -> Vec<Vec<f64>> {
        if self.replicates < 2 || persons.len() < 2 {
            return Vec::new();
        }
        let all: Vec<Vec<f64>> = (0..self.replicates)
            .into_par_iter()
            .map_init(
                || vec![0.0; persons.len()],
                |weights, replicate| {
                    let round = mix(self.seed ^ mix(u64::from(replicate)));
                    for (weight, key) in weights.iter_mut().zip(&persons.keys) {
                        *weight = poisson(mix(key ^ round));
                    }
                    statistic(weights)
                },
            )
            .collect();
        let count = all.first().map_or(0, Vec::len);
        (0..count).map(|k| all.iter().map(|values| values[k]).collect()).collect()
    }

    /// The standard error, Wilson's interval and the bootstrap's of a share with these replicates, which rests on `trials`
    /// comparisons of `persons` persons.
    pub fn spread(&self, share: f64, draws: &Draws, trials: u64, persons: usize) -> Option<Spread> {
        let variance = draws.variance()?;
        let t = student::quantile(self.confidence, persons.saturating_sub(1).max(1) as f64);
        Some(Spread {
            standard_error: variance.sqrt(),
            interval: wilson::interval(share, variance, trials as f64, t),
            bootstrap: draws.interval(share, self.confidence)?,
        })
    }
}

/// How sure a share is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Its standard error over persons.
    pub standard_error: f64,
    /// Wilson's interval.
    pub interval: [f64; 2],
    /// The bootstrap's interval.
    pub bootstrap: [f64; 2],
}

/// How many different persons there are.
pub fn distinct<'a>(persons: impl Iterator<Item = &'a u32>) -> usize {
    persons.collect::<BTreeSet<&u32>>().len()
}

/// The weight of a comparison of these persons: twice the same for a comparison of one person.
pub fn weight(weights: &[f64], [a, b]: [u32; 2]) -> f64 {
    let w = weights[a as usize];
    if a == b { w } else { w * weights[b as usize] }
}

/// The second-order part of the weight; 0 for a comparison of one person.
pub fn second_order(weights: &[f64], [a, b]: [u32; 2]) -> f64 {
    if a == b { 0.0 } else { (weights[a as usize] - 1.0) * (weights[b as usize] - 1.0) }
}

/// The deviations from `value` of replicates; where the number does not exist in a replicate, it does not deviate.
pub fn deviations(values: &[f64], value: f64) -> Vec<f64> {
    values.iter().map(|v| if v.is_finite() { v - value } else { 0.0 }).collect()
}

/// A bijection that spreads every bit over all others (the finaliser of SplitMix64).
fn mix(key: u64) -> u64 {
    let x = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// A number from a Poisson distribution of mean 1, from 64 random bits.
fn poisson(bits: u64) -> f64 {
    // P(w <= k) 2^64, rounded; beyond 9 there is less than one in a million.
    const BELOW: [u64; 10] = below();
    const FIRST: [u8; 1 << FIRST_BITS] = first(&BELOW);
    // The first bits decide but for the few values of them within which a limit lies.
    match FIRST[(bits >> (64 - FIRST_BITS)) as usize] {
        UNDECIDED => BELOW.iter().take_while(|limit| bits >= **limit).count() as f64,
        weight => f64::from(weight),
    }
}

const FIRST_BITS: u32 = 12;
const UNDECIDED: u8 = u8::MAX;

/// The weight for each value of the first bits.
const fn first(below: &[u64; 10]) -> [u8; 1 << FIRST_BITS] {
    let mut out = [UNDECIDED; 1 << FIRST_BITS];
    let mut at = 0;
    while at < out.len() {
        let from = (at as u64) << (64 - FIRST_BITS);
        let to = from | (u64::MAX >> FIRST_BITS);
        let (mut low, mut high, mut k) = (0, 0, 0);
        while k < below.len() {
            if from >= below[k] {
                low += 1;
            }
            if to >= below[k] {
                high += 1;
            }
            k += 1;
        }
        if low == high {
            out[at] = low;
        }
        at += 1;
    }
    out
}

const fn below() -> [u64; 10] {
    let mut out = [0; 10];
    let (mut k, mut term, mut sum) = (0, 0.367_879_441_171_442_33, 0.0);
    while k < 10 {
        sum += term;
        out[k] = (sum * 18_446_744_073_709_551_616.0) as u64;
        k += 1;
        term /= k as f64;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOW: Bootstrap = Bootstrap { replicates: 2000, seed: 7, confidence: 0.95 };

    fn persons(count: u32) -> Persons {
        let names: Vec<String> = (0..count).map(|i| format!("person {i}")).collect();
        Persons::new("tests", names.iter().map(String::as_str))
    }

    /// The share of hits, one trial a person.
    fn share(hits: &[f64]) -> Draws {
        let value = hits.iter().sum::<f64>() / hits.len() as f64;
        let of = |w: &[f64]| {
            let all: f64 = w.iter().sum();
            vec![w.iter().zip(hits).map(|(w, h)| w * h).sum::<f64>() / all]
        };
        let got = HOW.sample(&persons(hits.len() as u32), of);
        Draws { first: deviations(&got[0], value), second: Vec::new() }
    }

    #[test]
    fn weights_have_mean_and_variance_one_and_do_not_depend_on_each_other() {
        let all = HOW.sample(&persons(50), <[f64]>::to_vec);
        let n = f64::from(HOW.replicates);
        let mean = |a: &[f64]| a.iter().sum::<f64>() / n;
        for a in &all {
            let square: Vec<f64> = a.iter().map(|w| (w - 1.0) * (w - 1.0)).collect();
            assert!((mean(a) - 1.0).abs() < 0.1 && (mean(&square) - 1.0).abs() < 0.2);
        }
        for b in &all[1..] {
            let both: Vec<f64> = all[0].iter().zip(b).map(|(x, y)| (x - 1.0) * (y - 1.0)).collect();
            assert!(mean(&both).abs() < 0.12, "{}", mean(&both));
        }
        let zeros = all.iter().flatten().filter(|w| **w == 0.0).count() as f64 / (50.0 * n);
        assert!((zeros - 0.3679).abs() < 0.01, "{zeros}");
    }

    #[test]
    fn a_share_of_independent_persons_has_the_binomials_error() {
        let hits: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i % 4 != 0))).collect();
        let error = share(&hits).standard_error().unwrap();
        let expected = (0.75_f64 * 0.25 / 400.0).sqrt();
        assert!((error / expected - 1.0).abs() < 0.08, "{error} {expected}");
    }

    #[test]
    fn a_persons_weight_depends_on_the_name_alone() {
        let (few, many) =
            (HOW.sample(&persons(3), <[f64]>::to_vec), HOW.sample(&persons(9), <[f64]>::to_vec));
        assert_eq!(few[2], many[2]);
        let other = Persons::new("others", ["person 0", "person 1", "person 2"]);
        assert_ne!(few, HOW.sample(&other, <[f64]>::to_vec));
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| HOW.sample(&persons(9), <[f64]>::to_vec))
        };
        assert_eq!(on(1), on(3));
        assert_ne!(few, Bootstrap { seed: 8, ..HOW }.sample(&persons(3), <[f64]>::to_vec));
    }

    #[test]
    fn nothing_to_resample_gives_no_replicates() {
        assert!(HOW.sample(&persons(1), <[f64]>::to_vec).is_empty());
        assert!(Bootstrap { replicates: 0, ..HOW }.sample(&persons(9), <[f64]>::to_vec).is_empty());
        assert_eq!(HOW.spread(0.5, &Draws::default(), 10, 5), None);
    }

    #[test]
    fn comparisons_of_two_persons_that_do_not_depend_on_persons_have_the_binomials_error() {
        // Each person is in one comparison as the first and in another as the second; every tenth is an error.
        let count = 1000_u32;
        let error = |i: u32| f64::from(u8::from(i % 10 == 3));
        let pairs: Vec<[u32; 2]> = (0..count).map(|i| [i, (i * 7 + 13) % count]).collect();
        let of = |w: &[f64]| {
            let all: f64 = pairs.iter().map(|p| weight(w, *p)).sum();
            let wrong: f64 = (0..count).zip(&pairs).map(|(i, p)| weight(w, *p) * error(i)).sum();
            let second: f64 =
                (0..count).zip(&pairs).map(|(i, p)| second_order(w, *p) * (error(i) - 0.1)).sum();
            vec![wrong / all, second / f64::from(count)]
        };
        let got = HOW.sample(&persons(count), of);
        let first: Vec<f64> = got[0].iter().zip(&got[1]).map(|(a, b)| a - b - 0.1).collect();
        let plain = Draws { first: deviations(&got[0], 0.1), second: Vec::new() };
        let draws = Draws { first, second: got[1].clone() };
        let expected = (0.1_f64 * 0.9 / f64::from(count)).sqrt();
        let ratio = draws.standard_error().unwrap() / expected;
        assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
        // As it is without the correction.
        let ratio = plain.standard_error().unwrap() / expected;
        assert!(ratio > 1.5, "{ratio}");
    }
}
