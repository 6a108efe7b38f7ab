//! From scores, labels and folds to a verification accuracy, by a named definition.
//!
//! The same scores give different accuracies in different tools, so every number carries the name of its
//! definition. A definition is a [`Rule`]: how the threshold is chosen on the training folds, when a pair of
//! the test fold counts as correct, and which spread is printed. Each has its own file.

mod exact;
mod facexzoo;
mod insightface;
mod paper;
mod verify;
mod weighted;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use exact::best_cut;
pub use verify::{Fold, Trials, Verified, verify};
pub use weighted::{Cuts, Weighted};

/// How a number was computed. Numbers of different definitions are not comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definition {
    /// Ten-fold accuracy at the cosine threshold that is best on the training folds.
    Exact,
    /// As the InsightFace tools compute it: ten-fold accuracy, and the numbers of IJB.
    Insightface,
    /// Ten-fold accuracy as FaceX-Zoo computes it.
    Facexzoo,
    /// Ten-fold accuracy as the paper's own code computes it.
    Paper,
    /// TPR at a FAR from exact order statistics of the negatives.
    OrderStatistics,
    /// Share of ordered mate pairs whose score reaches the probe's k-th best distractor.
    MateRank,
    /// Share of probes whose best mate reaches their k-th best other gallery image.
    ClosedSet,
    /// Share of mate pairs above every distractor of the probe and above a threshold; FAR counts probes.
    OpenSet,
    /// Error rates at one cosine threshold common to all groups.
    GlobalThreshold,
}

impl Definition {
    /// The name in `metrics.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Insightface => "insightface",
            Self::Facexzoo => "facexzoo",
            Self::Paper => "paper",
            Self::OrderStatistics => "order-statistics",
            Self::MateRank => "mate-rank",
            Self::ClosedSet => "closed-set",
            Self::OpenSet => "open-set",
            Self::GlobalThreshold => "global-threshold",
        }
    }
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The definitions of k-fold verification accuracy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    /// The cosine threshold between neighbouring training scores that maximises accuracy.
    #[default]
    Exact,
    /// Squared L2 distance < t, t = 0, 0.01 .. 3.99, the first that maximises accuracy.
    Insightface,
    /// Cosine, 1000 steps between the extremes, argmax(TPR - FPR), strict comparisons.
    Facexzoo,
    /// 1000-bin histogram between the extremes, argmax((TPR + 1 - FPR) / 2), accept >=.
    Paper,
}

impl Verification {
    /// All four definitions.
    pub const ALL: [Self; 4] = [Self::Exact, Self::Insightface, Self::Facexzoo, Self::Paper];

    /// The rule of the definition.
    pub fn rule(self) -> &'static Rule {
        match self {
            Self::Exact => &exact::RULE,
            Self::Insightface => &insightface::RULE,
            Self::Facexzoo => &facexzoo::RULE,
            Self::Paper => &paper::RULE,
        }
    }
}

/// A definition of k-fold verification accuracy.
pub struct Rule {
    /// Its name.
    pub definition: Definition,
    /// The unit of the threshold.
    pub unit: Unit,
    /// The threshold, from the scores (cosines) and labels (`true` = same person) of the training folds. Both
    /// labels must occur.
    pub threshold: fn(&[f64], &[bool]) -> f64,
    /// The thresholds from which it chooses, for scores and labels in descending order of scores.
    pub cuts: fn(&[f64], &[bool]) -> Cuts,
    /// Whether the decision on a pair of the test fold is correct: (score, threshold, same).
    pub correct: fn(f64, f64, bool) -> bool,
    /// (standard deviation, standard error of the mean) of the accuracies of the folds.
    pub spread: fn(&[f64]) -> (f64, f64),
}

/// The unit of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Cosine similarity, -1 to 1; higher is more similar.
    Cosine,
    /// Squared Euclidean distance of unit vectors, 0 to 4: `2 - 2 cos`; lower is more similar.
    SquaredDistance,
}

impl Unit {
    /// The name, as in `metrics.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::SquaredDistance => "squared-distance",
        }
    }
}

/// The squared Euclidean distance of two unit vectors from their cosine: 0 to 4.
fn squared_distance(cosine: f64) -> f64 {
    2.0 - 2.0 * cosine
}

/// Mean and standard deviation, with the denominator `n - ddof` (deviation 0 if that is not positive).
pub(crate) fn mean_std(values: &[f64], ddof: usize) -> (f64, f64) {
    let n = values.len();
    if n == 0 {
        return (0.0, 0.0);
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let square = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
    let std = if n > ddof { (square / (n - ddof) as f64).sqrt() } else { 0.0 };
    (mean, std)
}

/// Population standard deviation, and the usual standard error of the mean (sample deviation / sqrt(n)).
fn population_spread(folds: &[f64]) -> (f64, f64) {
    (mean_std(folds, 0).1, mean_std(folds, 1).1 / (folds.len() as f64).sqrt())
}

#[cfg(test)]
mod tests;
