//! How sure a number of the table is: a cell, a mean of cells, a difference of rows.
//!
//! All of these are sums of cells, each with a weight. What varies is estimated from what was repeated:
//!
//! - several worlds: the sum in each world is one observation. Its deviation covers everything that differs between worlds:
//!   images, persons, trainings.
//! - one world, several trainings: the variance over persons, of the sum's bootstrap replicates, and the variance over trainings,
//!   `s^2 / n`, add up. The degrees of freedom are Satterthwaite's (Biometrics Bulletin 1946).
//! - one training: the variance over persons alone. It says nothing of the method, which may be luckier the next time.
//!
//! Sums are formed replicate by replicate, so that rows are compared in pairs: both are tested on the same persons.

use std::collections::BTreeSet;

use lfs_metrics::{Draws, student, wilson};

use crate::table::{Cell, Over, Source};

/// The probability that an interval is to cover.
pub const CONFIDENCE: f64 = 0.95;

/// A number with its standard error.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// What the error covers; none where nothing is known of it.
    pub error: Option<Error>,
    /// How many worlds.
    pub worlds: usize,
    /// How many trainings in each, at least.
    pub trainings: usize,
}

/// A standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Error {
    /// The standard error.
    pub standard: f64,
    /// Its degrees of freedom.
    pub freedom: f64,
    /// What it covers.
    pub over: Over,
    /// The part over persons; none over worlds, which differ in all.
    pub persons: Option<f64>,
    /// The part over trainings; none of a single one.
    pub trainings: Option<f64>,
}

impl Error {
    /// Half the interval.
    pub fn half(&self) -> f64 {
        student::quantile(CONFIDENCE, self.freedom) * self.standard
    }
}

impl Estimate {
    /// The sum of some cells. None where no world and seed is in all of them, or a cell has no value in one.
    pub fn of(parts: &[(f64, &Cell)]) -> Option<Self> {
        let all: Vec<(f64, Vec<&Source>)> =
            parts.iter().map(|(weight, cell)| (*weight, cell.sources.iter().collect())).collect();
        Self::sum(&all)
    }

    fn sum(parts: &[(f64, Vec<&Source>)]) -> Option<Self> {
        let worlds: BTreeSet<&str> = parts.first()?.1.iter().map(|s| s.world()).collect();
        let of_world = |world: &str| -> Vec<(f64, Vec<&Source>)> {
            let some = |sources: &[&'_ Source]| sources.iter().any(|s| s.world() == world);
            debug_assert!(some(&parts[0].1));
            parts
                .iter()
                .map(|(w, sources)| (*w, sources.iter().copied().filter(|s| s.world() == world).collect()))
                .collect()
        };
        let each: Vec<InWorld> = worlds.iter().filter_map(|world| InWorld::of(&of_world(world))).collect();
        let trainings = each.iter().map(|world| world.trainings).min()?;
        let values: Vec<f64> = each.iter().map(|world| world.value).collect();
        let (value, square) = mean_variance(&values);
        let error = match each.as_slice() {
            [only] => only.error(),
            _ => Some(Error {
                standard: (square / values.len() as f64).sqrt(),
                freedom: values.len() as f64 - 1.0,
                over: Over::Worlds,
                persons: None,
                trainings: None,
            }),
        };
        Some(Self { value, error, worlds: each.len(), trainings })
    }

    /// The 95 % interval.
    pub fn interval(&self) -> Option<[f64; 2]> {
        self.error.map(|error| [self.value - error.half(), self.value + error.half()])
    }

    /// The 95 % interval of a share, which stays within 0 and 1.
    pub fn share(&self, trials: u64) -> Option<[f64; 2]> {
        let error = self.error?;
        let t = student::quantile(CONFIDENCE, error.freedom);
        Some(wilson::interval(self.value, error.standard.powi(2), trials as f64, t))
    }

    /// The two-sided p-value of the hypothesis that the number is `null`.
    pub fn p_value(&self, null: f64) -> Option<f64> {
        self.error.map(|error| {
            let off = self.value - null;
            if error.standard > 0.0 {
                student::p_value(off / error.standard, error.freedom)
            } else {
                f64::from(u8::from(off == 0.0))
            }
        })
    }

    /// The one-sided p-value of the hypothesis that the number is at most `null`.
    pub fn p_above(&self, null: f64) -> Option<f64> {
        let two = self.p_value(null)?;
        Some(if self.value > null { two / 2.0 } else { 1.0 - two / 2.0 })
    }

    /// Whether a verdict on methods can rest on it: one training of a method may be luckier than another.
    pub fn is_repeated(&self) -> bool {
        self.worlds > 1 || self.trainings > 1
    }

    /// What would resolve a number of the size `least`, found with a probability of 80 %.
    pub fn wanted(&self, least: f64) -> Option<String> {
        let error = self.error?;
        let z = student::at(0.5 + CONFIDENCE / 2.0, f64::INFINITY) + student::at(0.8, f64::INFINITY);
        let allowed = (least / z).powi(2);
        let count = |variance: f64, allowed: f64| (variance / allowed).ceil().max(2.0);
        match error.over {
            Over::Worlds => {
                let variance = error.standard.powi(2) * self.worlds as f64;
                Some(format!("{} worlds", count(variance, allowed)))
            }
            Over::PersonsAndTrainings => {
                let persons = error.persons.unwrap_or(0.0).powi(2);
                let variance = error.trainings.unwrap_or(0.0).powi(2) * self.trainings as f64;
                if persons >= allowed {
                    return Some(format!(
                        "more persons ({:.0} times as many), or several worlds",
                        (persons / allowed).ceil().max(2.0)
                    ));
                }
                Some(format!("{} trainings", count(variance, allowed - persons)))
            }
            Over::Persons => Some("several trainings".to_owned()),
        }
    }
}

/// The sum in one world.
struct InWorld {
    value: f64,
    trainings: usize,
    /// The variance over persons of the mean over trainings.
    persons: Option<f64>,
    /// The variance of the mean over trainings.
    between: Option<f64>,
}

impl InWorld {
    fn of(parts: &[(f64, Vec<&Source>)]) -> Option<Self> {
        let first: Vec<&str> = parts.first()?.1.iter().map(|s| s.training()).collect();
        let seeds: Vec<&str> = first
            .into_iter()
            .filter(|seed| parts.iter().all(|(_, sources)| sources.iter().any(|s| s.training() == *seed)))
            .collect();
        if seeds.is_empty() {
            return None;
        }
        let mut values = Vec::with_capacity(seeds.len());
        let mut used: Vec<(f64, &Source)> = Vec::new();
        for seed in &seeds {
            let mut value = 0.0;
            for (weight, sources) in parts {
                let source = sources.iter().find(|s| s.training() == *seed)?;
                value += weight * source.value?;
                used.push((weight / seeds.len() as f64, source));
            }
            values.push(value);
        }
        let (value, square) = mean_variance(&values);
        let between = (values.len() > 1).then(|| square / values.len() as f64);
        Some(Self { value, trainings: values.len(), persons: over_persons(&used), between })
    }

    fn error(&self) -> Option<Error> {
        let persons = self.persons.map(f64::sqrt);
        match (self.persons, self.between) {
            (Some(p), Some(t)) => {
                let freedom = self.trainings as f64 - 1.0;
                // All of the doubt over trainings is in one part, of few degrees of freedom.
                let freedom = if t > 0.0 { freedom * ((p + t) / t).powi(2) } else { f64::INFINITY };
                Some(Error {
                    standard: (p + t).sqrt(),
                    freedom,
                    over: Over::PersonsAndTrainings,
                    persons,
                    trainings: Some(t.sqrt()),
                })
            }
            (Some(p), None) => Some(Error {
                standard: p.sqrt(),
                freedom: f64::INFINITY,
                over: Over::Persons,
                persons,
                trainings: None,
            }),
            (None, _) => None,
        }
    }
}

/// The variance over persons of a sum of results: of its replicates, where all have replicates of the same draws; else of results
/// that are taken as independent.
fn over_persons(parts: &[(f64, &Source)]) -> Option<f64> {
    let drawn = parts.first()?.1.drawn;
    if drawn.is_some() && parts.iter().all(|(_, source)| source.drawn == drawn) {
        let draws = parts.iter().map(|(weight, source)| (*weight, &source.draws));
        if let Some(variance) = Draws::combined(draws).and_then(|draws| draws.variance()) {
            return Some(variance);
        }
    }
    parts.iter().map(|(weight, source)| source.standard_error.map(|e| (weight * e).powi(2))).sum()
}

/// The mean, and the sample variance (0 of a single number).
fn mean_variance(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, if values.len() > 1 { square / (n - 1.0) } else { 0.0 })
}

/// Holm's correction (Scandinavian Journal of Statistics 1979): p-values that may be compared with one level for all.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut least = 0.0_f64;
    for (rank, i) in order.into_iter().enumerate() {
        least = least.max((p_values[i] * (p_values.len() - rank) as f64).min(1.0));
        corrected[i] = least;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A result: its world and training, its value, and replicates of a chosen size.
    fn source(world: &str, seed: &str, value: f64, draws: &[f64]) -> Source {
        Source {
            seed: Some(seed.to_owned()),
            world: (!world.is_empty()).then(|| world.to_owned()),
            value: Some(value),
            draws: Draws { first: draws.to_vec(), second: Vec::new() },
            drawn: (!draws.is_empty()).then_some((0, draws.len() as u32)),
            ..Source::default()
        }
    }

    fn cell(sources: Vec<Source>) -> Cell {
        Cell { sources, ..Cell::default() }
    }

    const DRAWS: [f64; 4] = [0.01, -0.01, 0.01, -0.01];

    #[test]
    fn two_networks_on_the_same_persons_are_compared_in_pairs() {
        let a = cell(vec![source("", "0", 0.9, &DRAWS)]);
        let b = cell(vec![source("", "0", 0.8, &DRAWS)]);
        let of = |weight_b| Estimate::of(&[(1.0, &a), (weight_b, &b)]).unwrap().error.unwrap();
        assert_eq!(of(-1.0).standard, 0.0);
        let variance = 4.0 * 1e-4 / 3.0;
        assert!((of(1.0).standard.powi(2) - 4.0 * variance).abs() < 1e-12);
        assert_eq!(of(1.0).over, Over::Persons);
        // Other draws do not belong together.
        let mut other = b.clone();
        other.sources[0].drawn = Some((1, 4));
        other.sources[0].standard_error = Some(0.03);
        assert_eq!(Estimate::of(&[(1.0, &a), (-1.0, &other)]).unwrap().error, None);
        let mut known = a.clone();
        known.sources[0].standard_error = Some(0.04);
        let both = Estimate::of(&[(1.0, &known), (-1.0, &other)]).unwrap().error.unwrap();
        assert!((both.standard - 0.05).abs() < 1e-12);
    }

    #[test]
    fn persons_and_trainings_add_up_with_few_degrees_of_freedom() {
        let values = [0.90, 0.92, 0.94];
        let some = values.iter().zip(["0", "1", "2"]).map(|(v, seed)| source("", seed, *v, &DRAWS));
        let got = Estimate::of(&[(1.0, &cell(some.collect()))]).unwrap();
        let (error, persons, trainings) = (got.error.unwrap(), 4.0 * 1e-4 / 3.0, 4e-4 / 3.0);
        assert!((got.value - 0.92).abs() < 1e-12 && got.is_repeated());
        assert!((error.standard.powi(2) - (persons + trainings)).abs() < 1e-12);
        assert!((error.freedom - 8.0).abs() < 1e-9, "{error:?}");
        assert!((error.half() / error.standard - 2.306).abs() < 1e-3);
        let [low, high] = got.share(6000).unwrap();
        assert!(0.85 < low && low < 0.9 && 0.92 < high && high < 1.0, "{low} {high}");
    }

    #[test]
    fn worlds_are_the_observations_where_there_are_several() {
        let a = [("a", 0.90, 0.86), ("b", 0.94, 0.93), ("c", 0.80, 0.76)];
        let row = |pick: fn(&(&'static str, f64, f64)) -> f64| {
            cell(a.iter().flat_map(|w| ["0", "1"].map(|seed| source(w.0, seed, pick(w), &DRAWS))).collect())
        };
        let got = Estimate::of(&[(1.0, &row(|w| w.1)), (-1.0, &row(|w| w.2))]).unwrap();
        let error = got.error.unwrap();
        assert_eq!((got.worlds, got.trainings, error.over, error.freedom), (3, 2, Over::Worlds, 2.0));
        assert!((got.value - 0.03).abs() < 1e-12);
        assert!((error.standard - (3e-4_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(got.wanted(0.01).unwrap(), "24 worlds");
    }

    #[test]
    fn only_what_all_parts_have_is_compared() {
        let a = cell(vec![source("", "0", 0.9, &DRAWS), source("", "1", 0.7, &DRAWS)]);
        let b = cell(vec![source("", "1", 0.6, &DRAWS)]);
        let got = Estimate::of(&[(1.0, &a), (-1.0, &b)]).unwrap();
        assert!((got.value - 0.1).abs() < 1e-12 && !got.is_repeated());
        assert_eq!(Estimate::of(&[(1.0, &a), (1.0, &cell(vec![source("", "2", 0.6, &DRAWS)]))]), None);
        assert_eq!(Estimate::of(&[]), None);
    }

    #[test]
    fn p_values_are_those_of_students_test() {
        let worlds = ["a", "b", "c", "d"].iter().zip([0.01, 0.03, 0.02, 0.04]);
        let some = cell(worlds.map(|(w, v)| source(w, "0", v, &[])).collect());
        let got = Estimate::of(&[(1.0, &some)]).unwrap();
        // t = 0.025 / (0.0129099 / 2) = 3.873 with 3 degrees of freedom: p = 0.0305.
        assert!((got.p_value(0.0).unwrap() - 0.0305).abs() < 5e-4);
        assert!((got.p_above(0.0).unwrap() - 0.0152).abs() < 3e-4);
        assert!((got.p_above(0.05).unwrap() - 0.9848).abs() < 3e-4);
    }

    #[test]
    fn holm_multiplies_by_the_number_of_hypotheses_that_are_left() {
        assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
