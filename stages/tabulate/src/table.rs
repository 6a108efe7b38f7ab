//! `table.json`: the table from which all other formats are rendered. Values are fractions, 0 to 1.

use std::collections::BTreeMap;

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

/// A row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name, such as `AM-Softmax`.
    pub name: String,
    /// The labels that make it.
    pub labels: BTreeMap<String, String>,
    /// Its cells, one per column; none if there is no result.
    pub cells: Vec<Option<Cell>>,
    /// The mean over [`Table::averaged`].
    pub average: Option<f64>,
}

/// A cell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The mean over seeds; none if one of them is not resolved.
    pub value: Option<f64>,
    /// The number of seeds.
    pub seeds: usize,
    /// The sample standard deviation over seeds.
    pub std: Option<f64>,
    /// The standard error over pairs (mean over seeds).
    pub stderr: Option<f64>,
    /// The 95 % interval: for one seed as evaluated, over identities; for several, over identities and seeds
    /// together.
    pub interval: Option<[f64; 2]>,
    /// The comparison with the best cell of its column.
    pub verdict: Option<Verdict>,
    /// The paper's number.
    pub reference: Option<f64>,
    /// Ours minus the paper's; none if the two are not comparable.
    pub difference: Option<f64>,
    /// Why the two are not comparable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomparable: Option<String>,
    /// The nodes that it comes from.
    pub sources: Vec<Source>,
}

/// The comparison of a cell with the best one of its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is the best.
    Best,
    /// The difference to the best is within its 95 % interval.
    NotSignificant,
    /// It is below the best by more than that.
    Below,
}

/// One result behind a cell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The node, such as `evaluate[method=softmax,seed=0,set=lfw]`.
    pub from: String,
    /// The seed, if the node has that label.
    pub seed: Option<String>,
    /// Its value.
    pub value: Option<f64>,
    /// Its standard error.
    pub stderr: Option<f64>,
    /// Its interval.
    pub interval: Option<[f64; 2]>,
    /// Pairs scored.
    pub pairs: u64,
    /// Pairs in the list.
    pub listed: u64,
    /// Pairs of one person.
    pub positives: u64,
    /// Pairs of two persons.
    pub negatives: u64,
    /// The threshold.
    pub threshold: Option<f64>,
    /// The unit of the threshold.
    pub unit: Option<String>,
    /// Whether the lists have the official size.
    pub official: bool,
    /// Whether the loss was chosen by the accuracy on this set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub selected_here: bool,
    /// Counts of images.
    pub counts: BTreeMap<String, u64>,
}
