//! The output formats of the table.

pub mod csv;
pub mod html;
pub mod latex;
pub mod markdown;

use std::collections::BTreeSet;

use crate::table::{Average, Cell, Over, Table, Verdict};

/// A fraction as a percentage with two decimals.
pub fn percent(value: f64) -> String {
    format!("{:.2}", 100.0 * value)
}

/// As [`percent`], with a sign.
pub fn signed(value: f64) -> String {
    format!("{:+.2}", 100.0 * value)
}

/// The number of a cell: `98.25`, or `n.r.` if it is not resolved.
fn number(cell: &Cell) -> String {
    cell.value.map_or_else(|| "n.r.".to_owned(), percent)
}

/// The number after the plus-minus sign: half of the 95 % interval.
fn spread(cell: &Cell) -> Option<String> {
    half(cell.interval.filter(|_| cell.value.is_some()))
}

/// As [`spread`], of an average.
fn average_spread(average: &Average) -> Option<String> {
    half(average.interval)
}

fn half(interval: Option<[f64; 2]>) -> Option<String> {
    interval.map(|[low, high]| percent((high - low) / 2.0))
}

fn is(cell: &Cell, verdict: Verdict) -> bool {
    cell.verdict == Some(verdict)
}

/// Explanations of the marks that occur.
fn legend(table: &Table) -> Vec<String> {
    let cells = || table.rows.iter().flat_map(|r| &r.cells).flatten();
    let mut out = Vec::new();
    let over: BTreeSet<Over> = cells().filter(|c| c.value.is_some()).filter_map(|c| c.over).collect();
    let counts = |of: fn(&Cell) -> usize| cells().map(of).max().unwrap_or(0);
    let (worlds, trainings) = (counts(|c| c.worlds), counts(|c| c.trainings));
    let covers = |over: &Over| match over {
        Over::Persons => "other persons (one training: it says nothing of another)".to_owned(),
        Over::PersonsAndTrainings => {
            format!("other persons and other trainings, of which there are {trainings}")
        }
        Over::Worlds => format!("other worlds, of which there are {worlds} with {trainings} trainings each"),
    };
    let covers: Vec<String> = over.iter().map(covers).collect();
    out.push(match covers.is_empty() {
        true => "Percent.".to_owned(),
        false => format!("Percent; ±: half of the 95 % interval over {}.", covers.join(", or ")),
    });
    out.push("Bold: best of the column.".to_owned());
    if cells().any(|c| is(c, Verdict::NotSignificant)) {
        out.push("~: not significantly below the best, in a comparison on the same persons, with Holm's correction over the table (5 %).".to_owned());
    }
    if cells().any(|c| c.value.is_none()) {
        out.push("n.r.: not resolved, fewer than 1 / FAR negatives.".to_owned());
    }
    if cells().any(|c| c.reference.is_some()) {
        let of = |with: bool| cells().any(|c| c.incomparable.is_none() == with && c.reference.is_some());
        let what = match (of(true), of(false)) {
            (true, false) => "the paper's number and the difference to it",
            (true, true) => "the paper's number and, where the two are comparable, the difference to it",
            _ => "the paper's number, with which it is not comparable",
        };
        out.push(format!("Beside it {what}: {}.", table.reference));
    }
    if !table.averaged.is_empty() {
        out.push(format!("Average: of {}.", table.averaged.join(", ")));
    }
    out
}

/// A description of a definition.
fn explain(definition: &str) -> &'static str {
    match definition {
        "exact" => {
            "k-fold accuracy at the cosine cut between neighbouring training scores that maximises accuracy"
        }
        "insightface" => {
            "k-fold accuracy, squared distance < t on a grid of 0.01, first best on the training folds"
        }
        "facexzoo" => {
            "k-fold accuracy, argmax(TPR - FPR) over 1000 steps of the training scores, strict comparisons"
        }
        "paper" => {
            "k-fold accuracy, argmax((TPR + 1 - FPR) / 2) over a 1000-bin histogram, accept at or above"
        }
        "order-statistics" => "largest TPR whose FAR does not exceed the target, from exact order statistics",
        "mate-rank" => "share of ordered mate pairs whose score reaches the probe's k-th best distractor",
        "open-set" => {
            "share of mates above all distractors of the probe and above a threshold; FAR counts probes"
        }
        _ => "",
    }
}

/// The definition, with the treatment of mirror images.
fn definition(column: &crate::table::Column) -> String {
    if column.flip == "none" {
        column.definition.clone()
    } else {
        format!("{}, flip {}", column.definition, column.flip)
    }
}
