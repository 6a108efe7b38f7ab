//! Searches the parameter of a margin loss: random, by reward, on a grid, or by a population.

use std::collections::BTreeMap;

use lfs_network::random::stream;
use lfs_stage::{Failure, Result};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::policy::{Adam, Normalise, mean};
use crate::loss::adaface::AdaFace;
use crate::loss::am_softmax::AmSoftmax;
use crate::loss::arc_softmax::ArcSoftmax;
use crate::loss::circle::Circle;
use crate::loss::curricular::CurricularFace;
use crate::loss::head::{Cosines, Loss, Memory, within};
use crate::loss::l5::L5;
use crate::loss::mv_softmax::MvSoftmax;
use crate::method::{Draw, Now, Past, Settings, short};

/// A search of one parameter of a margin loss, with the other parameters at their defaults. It is a0 for L5
/// (`a = a0 e^{s/3}`, so that a0 = -1 is a margin of about 1/3 at any usual scale), and the margin for all
/// other losses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Search {
    /// The loss.
    pub loss: Searched,
    /// How the parameter is searched.
    pub mode: Mode,
    /// The distribution to draw from, in mode `random` and for the first population.
    pub law: Law,
    /// Models to train in each epoch: B. One in the modes `none` and `random`.
    #[schemars(range(min = 1, max = 1024))]
    pub candidates: u32,
    /// The initial value, also used in the fixed epochs and in mode `none`.
    #[schemars(range(min = -100.0, max = 100.0))]
    pub start: f64,
    /// The lower bound of the grid and the uniform distribution.
    #[schemars(range(min = -100.0, max = 100.0))]
    pub low: f64,
    /// The upper bound of the grid and the uniform distribution.
    #[schemars(range(min = -100.0, max = 100.0))]
    pub high: f64,
    /// Standard deviation of the draws, and of each change in a population.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub sigma: f64,
    /// Step size of Adam on mu, in mode `reward`.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub eta: f64,
    /// Number of first epochs, trained with `start`. Ignored in the modes `grid` and `population`, whose
    /// members differ from the first epoch on.
    pub fixed_epochs: u32,
}

/// How the parameter is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is constant.
    None,
    /// A random draw in each epoch, independent of rewards.
    Random,
    /// Drawn around a mean that is updated from the rewards (Wang et al. 2020, eq. 10). The model with the
    /// highest reward continues.
    Reward,
    /// B evenly spaced values, each trained from beginning to end. The best model is kept.
    Grid,
    /// B members, each with its own weights and value. After each epoch the worst quarter continues from the
    /// weights of the best quarter, with a value near theirs (Jaderberg et al. 2017, "Population Based
    /// Training").
    Population,
}

/// A distribution to draw from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// `-|N(0, sigma^2)|` for L5, `|N(0, sigma^2)|` for margins.
    Folded,
    /// `N(start, sigma^2)`.
    Normal,
    /// Uniform between `low` and `high`.
    Uniform,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            loss: Searched::L5,
            mode: Mode::Reward,
            law: Law::Folded,
            candidates: 4,
            start: -1.0,
            low: -2.0,
            high: 0.0,
            sigma: 0.2,
            eta: 0.05,
            fixed_epochs: 2,
        }
    }
}

/// The searchable losses. A row has the name, the type, the bounds of the parameter, and a constructor from
/// the parameter and the scale.
macro_rules! searchable {
    ($($(#[$about:meta])* $name:ident $text:literal => $loss:ty, $low:literal to $high:literal, $with:expr;)*) => {
        /// A loss with one parameter to search.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum Searched {
            $($(#[$about])* #[serde(rename = $text)] $name,)*
        }

        /// A loss with its parameter set.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub enum Margined {
            $($(#[$about])* #[serde(rename = $text)] $name($loss),)*
        }

        impl Searched {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The bounds of the parameter.
            fn bounds(self) -> (f64, f64) {
                match self { $(Self::$name => ($low, $high),)* }
            }

            /// The loss with its parameter set to `number`, clamped to the bounds.
            fn with(self, number: f64, scale: f64) -> Margined {
                let (low, high) = self.bounds();
                let number = number.clamp(low, high);
                match self {
                    $(Self::$name => {
                        let with: fn(f64, f64) -> $loss = $with;
                        Margined::$name(with(number, scale))
                    })*
                }
            }
        }

        impl Margined {
            fn loss(&self) -> &dyn Loss {
                match self { $(Self::$name(loss) => loss,)* }
            }
        }
    };
}

searchable! {
    /// L5: a0.
    L5 "l5" => L5, -100.0 to 0.0, |a0, scale| L5 { a: short(a0 * libm::exp(scale / 3.0)) };
    /// A margin on the cosine.
    AmSoftmax "am-softmax" => AmSoftmax, 0.0 to 2.0, |margin, _| AmSoftmax { margin, ..Default::default() };
    /// A margin on the angle.
    ArcSoftmax "arc-softmax" => ArcSoftmax, 0.0 to 1.5, |margin, _| ArcSoftmax { margin, ..Default::default() };
    /// MV-Softmax.
    MvSoftmax "mv-softmax" => MvSoftmax, 0.0 to 1.5, |margin, _| MvSoftmax { margin, ..Default::default() };
    /// CurricularFace.
    CurricularFace "curricularface" => CurricularFace, 0.0 to 1.5,
        |margin, _| CurricularFace { margin, ..Default::default() };
    /// AdaFace.
    AdaFace "adaface" => AdaFace, 0.0 to 1.0, |margin, _| AdaFace { margin, ..Default::default() };
    /// Circle loss.
    CircleLoss "circle-loss" => Circle, -1.0 to 1.0, |margin, _| Circle { margin, ..Default::default() };
}

impl Loss for Margined {
    fn loss(&self, c: &Cosines, memory: &mut Memory) -> Tensor {
        self.loss().loss(c, memory)
    }

    fn clamped(&self, c: &Cosines) -> Option<Tensor> {
        self.loss().clamped(c)
    }

    fn a(&self) -> Option<f64> {
        self.loss().a()
    }

    fn check(&self) -> Result<()> {
        self.loss().check()
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        let number = |loss: &Searched| if *loss == Searched::L5 { -0.5 } else { 0.3 };
        Searched::ALL.iter().map(|loss| loss.with(number(loss), 32.0)).collect()
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        Some(Self::AmSoftmax(AmSoftmax { margin: 0.0, easy_margin: false }))
    }

    #[cfg(test)]
    fn oracle(&self, batch: &crate::loss::head::Exact, i: usize) -> f64 {
        self.loss().oracle(batch, i)
    }
}

/// For each member of a population, the member whose weights it continues from. The worst quarter follows the
/// best, unless their rewards are equal. A diverged member has no reward, and follows one of the best that
/// did not diverge.
fn followed(rewards: &[Option<f64>]) -> Vec<usize> {
    let worth = |i: &usize| rewards[*i].unwrap_or(f64::NEG_INFINITY);
    let mut order: Vec<usize> = (0..rewards.len()).collect();
    order.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then(a.cmp(b)));
    let part = rewards.len() / 4;
    let part = if rewards.len() >= 2 { part.max(1) } else { 0 };
    let mut parents: Vec<usize> = (0..rewards.len()).collect();
    for k in 0..part {
        let (best, worst) = (order[k], order[order.len() - 1 - k]);
        if worth(&best) > worth(&worst) {
            parents[worst] = best;
        }
    }
    let diverged = (0..rewards.len()).filter(|i| rewards[*i].is_none() && rewards[order[0]].is_some());
    for i in diverged {
        if parents[i] == i || rewards[parents[i]].is_none() {
            parents[i] = order[0];
        }
    }
    parents
}

impl Search {
    fn is_wide(&self) -> bool {
        matches!(self.mode, Mode::Grid | Mode::Population)
    }

    /// Draws a number.
    fn drawn(&self, now: &Now<'_>, index: u32) -> f64 {
        let mut random = stream(now.seed, "search margin", &[u64::from(now.epoch), u64::from(index)]);
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let number = match self.law {
            Law::Folded => {
                let size = (self.sigma * normal()).abs();
                if self.loss == Searched::L5 { -size } else { size }
            }
            Law::Normal => self.start + self.sigma * normal(),
            Law::Uniform => random.random_range(self.low..=self.high),
        };
        self.within(number)
    }

    /// Clamps a number to the bounds of the loss.
    fn within(&self, number: f64) -> f64 {
        let (low, high) = self.loss.bounds();
        number.clamp(low, high)
    }

    fn mu(&self, now: &Now<'_>) -> f64 {
        let adam = Adam { eta: self.eta, betas: (0.5, 0.999) };
        mean(&[self.start], (self.sigma * self.sigma).max(1e-12), adam, Normalise::ZScore, now.history)[0]
    }

    /// The parameters of a population before this epoch.
    fn population(&self, now: &Now<'_>) -> Vec<f64> {
        let Some(past) = now.history.last() else {
            let first = Now { epoch: 0, ..*now };
            return (0..self.candidates).map(|i| self.drawn(&first, i)).collect();
        };
        let parents = followed(&past.rewards);
        (0..self.candidates)
            .map(|i| {
                let parent = parents.get(i as usize).copied().unwrap_or(0);
                let before = past.samples.get(parent).and_then(|s| s.first()).copied().unwrap_or(self.start);
                if parent == i as usize {
                    return before;
                }
                let mut random = stream(now.seed, "population", &[u64::from(now.epoch), u64::from(i)]);
                let normal: f64 = StandardNormal.sample(&mut random);
                self.within(before + self.sigma * normal)
            })
            .collect()
    }

    fn numbers(&self, now: &Now<'_>) -> Vec<f64> {
        match self.mode {
            Mode::Grid => {
                let steps = f64::from(self.candidates.saturating_sub(1).max(1));
                (0..self.candidates)
                    .map(|i| self.low + (self.high - self.low) * f64::from(i) / steps)
                    .collect()
            }
            Mode::Population => self.population(now),
            Mode::None => vec![self.start],
            Mode::Random => vec![self.drawn(now, 0)],
            Mode::Reward => {
                let mu = self.mu(now);
                let draw = |i: u32| {
                    let mut random = stream(now.seed, "search margin", &[u64::from(now.epoch), u64::from(i)]);
                    let normal: f64 = StandardNormal.sample(&mut random);
                    mu + self.sigma * normal
                };
                (0..self.candidates).map(draw).collect()
            }
        }
    }
}

impl Settings for Search {
    type Form = Margined;

    fn check(&self) -> Result<()> {
        within("search.candidates", f64::from(self.candidates), 1.0, 1024.0)?;
        within("search.sigma", self.sigma, 0.0, 100.0)?;
        within("search.eta", self.eta, 0.0, 100.0)?;
        let (least, greatest) = self.loss.bounds();
        for (name, value, counts) in [
            ("search.start", self.start, !self.is_wide() || self.law == Law::Normal),
            ("search.low", self.low, self.mode == Mode::Grid || self.law == Law::Uniform),
            ("search.high", self.high, self.mode == Mode::Grid || self.law == Law::Uniform),
        ] {
            if counts {
                within(name, value, least, greatest)?;
            }
        }
        if self.low > self.high {
            return Err(Failure::new(format!(
                "search.low is {}, which is above search.high, {}",
                self.low, self.high
            )));
        }
        Ok(())
    }

    fn candidates(&self, now: &Now<'_>) -> Vec<Draw<Margined>> {
        let fixed = now.epoch < self.fixed_epochs && !self.is_wide();
        let numbers = if fixed { vec![self.start] } else { self.numbers(now) };
        let draw = |number: f64| {
            let number = short(number);
            let name = if self.loss == Searched::L5 { "a0" } else { "m" };
            Draw {
                name: format!("{name} = {:.3}", self.within(number)),
                sample: if fixed { Vec::new() } else { vec![number] },
                form: self.loss.with(number, now.scale),
            }
        };
        numbers.into_iter().map(draw).collect()
    }

    fn wants_reward(&self) -> bool {
        matches!(self.mode, Mode::Reward | Mode::Grid | Mode::Population)
    }

    fn parents(&self, past: &Past) -> Option<Vec<usize>> {
        match self.mode {
            Mode::Grid => Some((0..past.rewards.len()).collect()),
            Mode::Population => Some(followed(&past.rewards)),
            _ => None,
        }
    }

    fn state(&self, now: &Now<'_>) -> BTreeMap<String, Vec<f64>> {
        match self.mode {
            Mode::Reward => BTreeMap::from([("mu".to_owned(), vec![self.mu(now)])]),
            _ => BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(search: &Search, epoch: u32, history: &[Past]) -> Vec<f64> {
        let now = Now { seed: 3, epoch, scale: 32.0, history };
        search.candidates(&now).iter().flat_map(|d| d.sample.clone()).collect()
    }

    fn past(samples: &[f64], rewards: &[f64]) -> Past {
        Past {
            samples: samples.iter().map(|x| vec![*x]).collect(),
            rewards: rewards.iter().map(|r| Some(*r)).collect(),
        }
    }

    #[test]
    fn a_grid_keeps_its_numbers_and_each_goes_on_by_itself() {
        let search = Search {
            loss: Searched::AmSoftmax,
            mode: Mode::Grid,
            candidates: 5,
            low: 0.0,
            high: 0.4,
            ..Search::default()
        };
        for (epoch, found) in [0, 1, 7].map(|e| (e, numbers(&search, e, &[]))) {
            for (found, expected) in found.iter().zip([0.0, 0.1, 0.2, 0.3, 0.4]) {
                assert!((found - expected).abs() < 1e-9, "epoch {epoch}");
            }
        }
        assert_eq!(search.parents(&past(&[0.0; 5], &[0.1, 0.9, 0.2, 0.3, 0.4])), Some(vec![0, 1, 2, 3, 4]));
        // A grid of one is the lower bound.
        assert_eq!(numbers(&Search { candidates: 1, ..search }, 0, &[]), [0.0]);
    }

    #[test]
    fn the_worst_of_a_population_follow_the_best_with_a_number_near_theirs() {
        let search = Search {
            loss: Searched::ArcSoftmax,
            mode: Mode::Population,
            candidates: 8,
            sigma: 0.01,
            law: Law::Uniform,
            low: 0.0,
            high: 1.0,
            ..Search::default()
        };
        let first = numbers(&search, 0, &[]);
        assert!(first.iter().all(|m| (0.0..=1.0).contains(m)) && first[0] != first[1]);
        let history = [past(&first, &[0.5, 0.9, 0.1, 0.6, 0.8, 0.2, 0.7, 0.65])];
        let parents = search.parents(&history[0]).unwrap();
        assert_eq!(parents, [0, 1, 1, 3, 4, 4, 6, 7]);
        let second = numbers(&search, 1, &history);
        for (i, parent) in parents.iter().enumerate() {
            let apart = (second[i] - first[*parent]).abs();
            assert!(if *parent == i { apart == 0.0 } else { apart > 0.0 && apart < 0.06 });
        }
        assert_eq!(followed(&[Some(0.5), Some(0.5)]), [0, 1]);
        assert_eq!(followed(&[Some(0.5)]), [0]);
        assert_eq!(followed(&[None, Some(0.5), None, Some(0.4), None]), [1, 1, 1, 3, 1]);
    }

    #[test]
    fn rewarded_numbers_move_the_mean_and_random_ones_do_not() {
        let reward = Search { fixed_epochs: 0, ..Search::default() };
        let history = [past(&[-1.3, -0.7], &[0.9, 0.8])];
        let now = Now { seed: 0, epoch: 1, scale: 32.0, history: &history };
        assert!((reward.state(&now)["mu"][0] + 1.05).abs() < 1e-6);
        let random = Search { mode: Mode::Random, ..reward };
        assert_eq!(numbers(&random, 4, &history), numbers(&random, 4, &[]));
        assert!((0..50).all(|e| numbers(&random, e, &[])[0] <= 0.0));
    }

    #[test]
    fn no_number_leaves_the_bounds_of_its_loss() {
        for loss in Searched::ALL.iter().copied() {
            for number in [-1e3, -0.4, 0.0, 0.4, 1e3] {
                Loss::check(&loss.with(number, 32.0)).unwrap();
            }
        }
    }

    #[test]
    fn bounds_that_a_loss_cannot_have_are_refused_by_name() {
        let grid = Search { loss: Searched::AmSoftmax, mode: Mode::Grid, ..Search::default() };
        assert!(grid.check().unwrap_err().to_string().contains("search.low is -2"));
        let turned = Search { low: -0.5, high: -1.0, ..Search::default() };
        assert!(turned.check().unwrap_err().to_string().contains("above search.high"));
        Search::default().check().unwrap();
    }
}
