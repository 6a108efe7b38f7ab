//! `metrics.json` as far as this crate needs it; other fields are ignored.

use std::collections::BTreeMap;

use lfs_stage::{Failure, IoContext, Member, Result};
use serde::Deserialize;

/// A result with the node that produced it.
#[derive(Debug, Clone)]
pub struct Found {
    /// The node.
    pub from: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its numbers.
    pub metrics: Metrics,
}

/// `metrics.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Metrics {
    pub protocol: String,
    pub set: String,
    #[serde(default = "usual")]
    pub confidence: f64,
    pub columns: Vec<Column>,
    #[serde(default)]
    pub details: Details,
}

/// One number.
#[derive(Debug, Clone, Deserialize)]
pub struct Column {
    pub name: String,
    pub definition: String,
    #[serde(default = "none")]
    pub flip: String,
    pub value: Option<f64>,
    #[serde(default = "yes")]
    pub resolved: bool,
    #[serde(default)]
    pub stderr: Option<f64>,
    #[serde(default)]
    pub interval: Option<[f64; 2]>,
    #[serde(default)]
    pub pairs: u64,
    #[serde(default)]
    pub listed: u64,
    #[serde(default)]
    pub positives: u64,
    #[serde(default)]
    pub negatives: u64,
    #[serde(default)]
    pub threshold: Option<f64>,
    #[serde(default)]
    pub unit: Option<String>,
}

/// The part of the details shown in a table.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Details {
    #[serde(default)]
    pub official: bool,
    #[serde(default)]
    pub selected_on: Option<String>,
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
}

fn none() -> String {
    "none".to_owned()
}

fn usual() -> f64 {
    0.95
}

fn yes() -> bool {
    true
}

/// Reads the results of the input.
pub fn read(members: Vec<Member>) -> Result<Vec<Found>> {
    let mut out = Vec::with_capacity(members.len());
    for member in members {
        let text = std::fs::read_to_string(&member.path).doing("read", &member.path)?;
        let metrics: Metrics = serde_json::from_str(&text).map_err(|e| {
            Failure::new(format!("the result of {} is no metrics file: {e}", member.from))
                .help("the input `results` takes `metrics` of evaluate stages")
        })?;
        if let Some(bad) = metrics.columns.iter().find(|c| c.value.is_some_and(|v| !v.is_finite())) {
            return Err(Failure::new(format!("{}: column {} is not a number", member.from, bad.name)));
        }
        out.push(Found { from: member.from, labels: member.labels, metrics });
    }
    if out.is_empty() {
        return Err(Failure::new("the input `results` is empty").help("add `input.results = \"evaluate\"`"));
    }
    Ok(out)
}
