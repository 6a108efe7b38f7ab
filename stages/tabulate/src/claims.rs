//! Claims about rows, and the verdict on each.
//!
//! A claim is tested on two groups of columns, accuracies and rates at few false alarms, and the p-values of all claims of the
//! table are corrected together ([`holm`]). A difference below the margin does not matter: the margin is part of the manifest, so
//! that it is fixed before the run.

use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::inference::{Estimate, holm};
use crate::render::{percent, signed};
use crate::table::{Judged, Part, Row, Ruling, Table};

/// The level of all claims together.
const LEVEL: f64 = 0.05;
/// The difference that a study should find: one point.
const POINT: f64 = 0.01;

/// A claim about two rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Claim {
    /// The claim in words, without a full stop.
    pub claim: String,
    /// The label `method` of the row that the claim is about.
    pub ours: String,
    /// The label `method` of the row that it is compared with.
    pub other: String,
    /// What is expected of the difference.
    #[serde(default)]
    pub expect: Expect,
    /// The least difference that matters, as a fraction: 0.005 is half a point.
    #[serde(default = "half_a_point")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub margin: f64,
    /// Which columns are averaged.
    #[serde(default)]
    pub columns: Columns,
    /// Why the comparison is no fair test of the claim; empty if it is one.
    #[serde(default)]
    pub unfair: String,
}

/// What is expected of a difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// It is above 0.
    #[default]
    Better,
    /// It is above minus the margin.
    AtLeastAsGood,
    /// It lies within the margin on both sides.
    Equal,
}

/// Which columns a claim averages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Columns {
    /// Accuracies and rates, each with a verdict of its own.
    #[default]
    Both,
    /// Accuracies.
    Accuracy,
    /// Rates at few false alarms: ranks and TPRs.
    Rates,
    /// The difference in the rates less that in the accuracies.
    RatesLessAccuracy,
}

fn half_a_point() -> f64 {
    0.005
}

/// Judges all claims of a table.
///
/// # Errors
/// If a claim names a row that there is not.
pub fn judge(claims: &[Claim], table: &Table) -> Result<Vec<Judged>> {
    let mut open: Vec<(usize, Part, Estimate)> = Vec::new();
    for (k, claim) in claims.iter().enumerate() {
        let (ours, other) = (row(table, &claim.ours)?, row(table, &claim.other)?);
        for (name, weights) in weights(table, claim.columns, ours, other) {
            let estimate = Estimate::of(&difference(&weights, ours, other));
            let Some(estimate) = estimate else { continue };
            let interval = estimate.interval();
            let over = estimate.error.map(|e| e.over);
            let part = Part { columns: name, difference: estimate.value, interval, over, ..Part::default() };
            open.push((k, part, estimate));
        }
    }
    // Each part has a hypothesis that would confirm the claim and one that would refute it.
    let mut p_values = Vec::new();
    for (k, _, estimate) in &open {
        let (confirms, refutes) = hypotheses(&claims[*k], estimate);
        p_values.extend([confirms.unwrap_or(1.0), refutes.unwrap_or(1.0)]);
    }
    let least: Vec<f64> = p_values.chunks_exact(2).map(|both| both[0].min(both[1])).collect();
    let corrected = holm(&least);
    let mut judged: Vec<Judged> = claims
        .iter()
        .map(|claim| Judged {
            claim: claim.claim.clone(),
            ruling: Ruling::NotResolved,
            margin: claim.margin,
            parts: Vec::new(),
            why: String::new(),
        })
        .collect();
    for (i, (k, mut part, estimate)) in open.into_iter().enumerate() {
        let factor = if least[i] > 0.0 { corrected[i] / least[i] } else { 1.0 };
        let [confirms, refutes] = [p_values[2 * i] * factor, p_values[2 * i + 1] * factor];
        (part.ruling, part.p) = match (confirms < LEVEL, refutes < LEVEL) {
            _ if !estimate.is_repeated() => (Ruling::NotResolved, None),
            (true, _) => (Ruling::Holds, Some(confirms)),
            (_, true) => (Ruling::DoesNotHold, Some(refutes)),
            _ => (Ruling::NotResolved, Some(corrected[i].min(1.0))),
        };
        if part.ruling == Ruling::NotResolved {
            part.wanted = estimate.wanted(POINT);
        }
        judged[k].parts.push(part);
    }
    for (claim, judged) in claims.iter().zip(&mut judged) {
        judged.ruling = together(&judged.parts);
        if !claim.unfair.is_empty() {
            (judged.ruling, judged.why) = (Ruling::NotTestedFairly, claim.unfair.clone());
        }
    }
    Ok(judged)
}

/// The row with this label `method`.
///
/// # Errors
/// If there is none.
pub fn row<'a>(table: &'a Table, method: &str) -> Result<&'a Row> {
    let found = table.rows.iter().find(|r| r.labels.get("method").is_some_and(|m| m == method));
    found.ok_or_else(|| {
        let all: Vec<&str> =
            table.rows.iter().filter_map(|r| r.labels.get("method").map(String::as_str)).collect();
        Failure::new(format!("a comparison names `{method}`, of which there is no result"))
            .help(format!("the rows are {}", all.join(", ")))
    })
}

/// The columns that both rows have, with their weights, by group.
pub fn weights(table: &Table, columns: Columns, a: &Row, b: &Row) -> Vec<(String, Vec<(usize, f64)>)> {
    let both = |k: &usize| {
        let has = |row: &Row| row.cells[*k].as_ref().is_some_and(|cell| cell.value.is_some());
        has(a) && has(b) && !table.columns[*k].name.ends_with(" average")
    };
    let (accuracy, rates): (Vec<usize>, Vec<usize>) =
        (0..table.columns.len()).filter(both).partition(|k| table.columns[*k].is_accuracy());
    let mean = |of: &[usize], sign: f64| -> Vec<(usize, f64)> {
        of.iter().map(|k| (*k, sign / of.len() as f64)).collect()
    };
    let some = |name: &str, of: &[usize]| {
        let columns = if of.len() == 1 { "column" } else { "columns" };
        (!of.is_empty()).then(|| (format!("{} {name} {columns}", of.len()), mean(of, 1.0)))
    };
    match columns {
        Columns::Both => [some("accuracy", &accuracy), some("rate", &rates)].into_iter().flatten().collect(),
        Columns::Accuracy => some("accuracy", &accuracy).into_iter().collect(),
        Columns::Rates => some("rate", &rates).into_iter().collect(),
        Columns::RatesLessAccuracy if accuracy.is_empty() || rates.is_empty() => Vec::new(),
        Columns::RatesLessAccuracy => {
            let mut all = mean(&rates, 1.0);
            all.extend(mean(&accuracy, -1.0));
            vec![(format!("{} rate less {} accuracy columns", rates.len(), accuracy.len()), all)]
        }
    }
}

/// The parts of the difference of two rows.
pub fn difference<'a>(
    weights: &[(usize, f64)],
    a: &'a Row,
    b: &'a Row,
) -> Vec<(f64, &'a crate::table::Cell)> {
    let of = |row: &'a Row, k: usize, weight: f64| row.cells[k].as_ref().map(|cell| (weight, cell));
    weights.iter().flat_map(|(k, w)| [of(a, *k, *w), of(b, *k, -w)]).flatten().collect()
}

/// The p-values of the hypotheses whose rejection confirms a claim, and refutes it.
fn hypotheses(claim: &Claim, estimate: &Estimate) -> (Option<f64>, Option<f64>) {
    let below = |limit: f64| estimate.p_above(limit).map(|p| 1.0 - p);
    let two = |p: Option<f64>| p.map(|p| (2.0 * p).min(1.0));
    let inside = || Some(estimate.p_above(-claim.margin)?.max(below(claim.margin)?));
    let outside = || Some(estimate.p_above(claim.margin)?.min(below(-claim.margin)?));
    match claim.expect {
        Expect::Better => (two(estimate.p_above(0.0)), two(below(claim.margin))),
        Expect::AtLeastAsGood => (two(estimate.p_above(-claim.margin)), two(below(-claim.margin))),
        Expect::Equal => (inside(), two(outside())),
    }
}

/// The ruling on a claim out of those on its parts.
fn together(parts: &[Part]) -> Ruling {
    let all = |ruling: Ruling| !parts.is_empty() && parts.iter().all(|part| part.ruling == ruling);
    let any = |ruling: Ruling| parts.iter().any(|part| part.ruling == ruling);
    if all(Ruling::Holds) {
        Ruling::Holds
    } else if any(Ruling::Holds) {
        Ruling::HoldsInPart
    } else if all(Ruling::DoesNotHold) {
        Ruling::DoesNotHold
    } else {
        Ruling::NotResolved
    }
}

impl Judged {
    /// A sentence.
    pub fn sentence(&self) -> String {
        let mut text = format!("{}: {}", self.claim, self.ruling.words());
        if !self.why.is_empty() {
            text += &format!(" ({})", self.why);
        }
        let parts: Vec<String> = self.parts.iter().map(Part::words).collect();
        if !parts.is_empty() {
            text += &format!(". {}", parts.join("; "));
        }
        text + "."
    }
}

impl Part {
    fn words(&self) -> String {
        let mut text = format!("{} points over {}", signed(self.difference), self.columns);
        if let (Some([low, high]), Some(over)) = (self.interval, self.over) {
            let (low, high) = (signed(low), signed(high));
            text += &format!(", 95 % interval {low} to {high} over {}", over.words());
        }
        if let Some(p) = self.p.filter(|_| self.ruling != Ruling::NotResolved) {
            text += &format!(", p = {p:.2e} after Holm's correction");
        }
        if let Some(wanted) = &self.wanted {
            text += &format!("; {wanted} would resolve one point");
        }
        text
    }
}

/// Used by the sentence of a comparison.
pub fn plus_minus(estimate: &Estimate) -> String {
    match estimate.error {
        Some(error) => format!("{} ± {} points", signed(estimate.value), percent(error.half())),
        None => format!("{} points", signed(estimate.value)),
    }
}
