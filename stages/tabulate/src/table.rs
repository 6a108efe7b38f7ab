//! `table.json`: the table from which all other formats are rendered. Values are fractions, 0 to 1.

use std::collections::BTreeMap;

use lfs_metrics::Draws;
use serde::{Deserialize, Serialize};

/// The table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The heading.
    pub title: String,
    /// The source of the reference numbers; empty for none.
    pub reference: String,
    /// The columns, in the paper's order of test sets.
    pub columns: Vec<Column>,
    /// The rows, in the paper's order of methods.
    pub rows: Vec<Row>,
    /// The columns of the average; empty if there is none.
    pub averaged: Vec<String>,
    /// The claims of the manifest, or those of the paper, with the ruling on each.
    #[serde(default)]
    pub claims: Vec<Judged>,
    /// Sentences derived from the numbers.
    pub findings: Vec<String>,
    /// Notes for the reader.
    pub notes: Vec<String>,
}

/// A column. All its cells have the same definition and the same treatment of mirror images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, such as `LFW`.
    pub name: String,
    /// The test set.
    pub set: String,
    /// A description of the protocol.
    pub protocol: String,
    /// The definition's name.
    pub definition: String,
    /// The treatment of mirror images.
    pub flip: String,
}

impl Column {
    /// Whether it is a k-fold accuracy: only these are averaged.
    pub fn is_accuracy(&self) -> bool {
        ["exact", "insightface", "facexzoo", "paper"].contains(&self.definition.as_str())
    }
}

/// A row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name, such as `AM-Softmax`.
    pub name: String,
    /// The labels that identify it.
    pub labels: BTreeMap<String, String>,
    /// Its cells, one per column; none if nothing was evaluated.
    pub cells: Vec<Option<Cell>>,
    /// The mean over [`Table::averaged`].
    pub average: Option<Average>,
}

/// The mean of a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Average {
    /// The mean.
    pub value: f64,
    /// Its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// How it compares with the highest mean.
    pub verdict: Option<Verdict>,
}

/// A cell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The mean over trainings, then over worlds; none if one of them is not resolved.
    pub value: Option<f64>,
    /// The number of worlds.
    pub worlds: usize,
    /// The number of trainings in each world, at least.
    pub trainings: usize,
    /// The sample standard deviation over trainings, or over worlds if there are several.
    pub std: Option<f64>,
    /// The standard error of the value.
    pub standard_error: Option<f64>,
    /// Its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// What the error and the interval cover.
    pub over: Option<Over>,
    /// The p-value of the difference to the best of the column, after Holm's correction over the table.
    pub p: Option<f64>,
    /// How it compares with the best of its column.
    pub verdict: Option<Verdict>,
    /// The paper's number.
    pub reference: Option<f64>,
    /// Ours minus the paper's; none if the two are not comparable.
    pub difference: Option<f64>,
    /// Why the two are not comparable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomparable: Option<String>,
    /// The results that it was computed from.
    pub sources: Vec<Source>,
}

/// What a standard error covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// Other persons, with the same network.
    Persons,
    /// Other persons and other trainings.
    PersonsAndTrainings,
    /// Other worlds, with other persons and other trainings.
    Worlds,
}

impl Over {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Persons => "persons",
            Self::PersonsAndTrainings => "persons and trainings",
            Self::Worlds => "worlds",
        }
    }
}

/// How a cell compares with the best of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is the best.
    Best,
    /// The difference to the best may be chance.
    NotSignificant,
    /// It is below the best by more than chance.
    Below,
}

/// A claim with the ruling on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The claim.
    pub claim: String,
    /// The ruling.
    pub ruling: Ruling,
    /// The smallest difference that matters.
    pub margin: f64,
    /// The claim on each group of columns.
    pub parts: Vec<Part>,
    /// Why it was not tested fairly.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A claim on one group of columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The columns in words.
    pub columns: String,
    /// The difference.
    pub difference: f64,
    /// Its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// What the interval covers.
    pub over: Option<Over>,
    /// The p-value after Holm's correction over the claims of the table; none of single trainings.
    pub p: Option<f64>,
    /// The ruling.
    pub ruling: Ruling,
    /// What would resolve a difference of one point, if the claim is not resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
}

/// A ruling on a claim.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// Confirmed.
    Holds,
    /// Confirmed on one group of columns, not on the other.
    HoldsInPart,
    /// Refuted.
    DoesNotHold,
    /// Neither.
    #[default]
    NotResolved,
    /// The comparison is no test of the claim, whatever the numbers.
    NotTestedFairly,
}

impl Ruling {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::HoldsInPart => "holds in part",
            Self::DoesNotHold => "does not hold",
            Self::NotResolved => "not resolved",
            Self::NotTestedFairly => "not tested fairly",
        }
    }
}

/// One result that a cell was computed from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The node: `evaluate[method=softmax,seed=0,set=lfw]`.
    pub from: String,
    /// The seed, if the node has that label.
    pub seed: Option<String>,
    /// The world, if the node has that label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world: Option<String>,
    /// Its value.
    pub value: Option<f64>,
    /// Its standard error over persons.
    pub standard_error: Option<f64>,
    /// Its interval over persons.
    pub interval: Option<[f64; 2]>,
    /// The number of scored pairs.
    pub pairs: u64,
    /// The number of pairs in the list.
    pub listed: u64,
    /// The number of pairs of one person.
    pub positives: u64,
    /// The number of pairs of two persons.
    pub negatives: u64,
    /// The threshold.
    pub threshold: Option<f64>,
    /// The unit of the threshold.
    pub unit: Option<String>,
    /// Whether the lists have the official size.
    pub official: bool,
    /// Whether the loss was chosen by the accuracy on this very set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub selected_here: bool,
    /// Counts of images.
    pub counts: BTreeMap<String, u64>,
    /// Its bootstrap replicates; not in the file.
    #[serde(skip)]
    pub draws: Draws,
    /// The seed and the number of the replicates; not in the file. Only replicates of the same draws can be combined.
    #[serde(skip)]
    pub drawn: Option<(u64, u32)>,
}

impl Source {
    /// The world; empty if there is but one.
    pub fn world(&self) -> &str {
        self.world.as_deref().unwrap_or_default()
    }

    /// The training; empty if there is but one.
    pub fn training(&self) -> &str {
        self.seed.as_deref().unwrap_or_default()
    }
}
