//! Reads the results.

use std::collections::BTreeMap;

use lfs_metrics::Metrics;
use lfs_stage::{Failure, IoContext, Member, Result};

/// One result with the node that produced it.
#[derive(Debug, Clone)]
pub struct Found {
    /// The node.
    pub from: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its numbers.
    pub metrics: Metrics,
}

/// Reads the results of the input.
///
/// # Errors
/// If there is none, or one is no metrics file or has a value that is not a number.
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
