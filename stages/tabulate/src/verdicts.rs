//! Records what the tables of other runs are checked against: the cells with their bounds, and the order of
//! rows.

use lfs_metrics::student;
use lfs_stage::{Cell, Context, Repeated};

use crate::claims::{Columns, difference, weights};
use crate::inference::{CONFIDENCE, Estimate};
use crate::table::{self, Table};

/// Records the cells and the order of rows.
pub fn record(table: &Table, cx: &Context<'_>) {
    for row in &table.rows {
        for (column, cell) in table.columns.iter().zip(&row.cells) {
            if let Some(cell) = cell {
                cx.cell(format!("{}, {}", row.name, column.name), judged(cell));
            }
        }
    }
    for (claim, verdict) in order(table) {
        cx.finding(claim, verdict);
    }
}

/// The number of a cell and, if there are several trainings, its precision. The bound is half of the 95 % interval over persons, below
/// which the test set resolves nothing. Two runs are tested on the same persons, so only their trainings make them differ by chance:
/// the error is that of the mean over trainings, or over worlds.
fn judged(cell: &table::Cell) -> Cell {
    let error = Estimate::of(&[(1.0, cell)]).filter(Estimate::is_repeated);
    let repeated = error.and_then(|estimate| {
        let error = estimate.error?;
        let trainings = estimate.trainings as f64;
        Some(match (error.persons, error.trainings) {
            (Some(persons), Some(between)) => {
                let bound = student::quantile(CONFIDENCE, f64::INFINITY) * persons;
                Repeated { bound, error: between, freedom: trainings - 1.0 }
            }
            _ => Repeated { bound: 0.0, error: error.standard, freedom: error.freedom },
        })
    });
    Cell { value: cell.value, repeated }
}

/// For each two rows, whether the later one is better than the earlier one; nothing if a cell has a single training.
fn order(table: &Table) -> Vec<(String, &'static str)> {
    let mut out = Vec::new();
    for (k, earlier) in table.rows.iter().enumerate() {
        for later in &table.rows[k + 1..] {
            let all = weights(table, Columns::Both, later, earlier);
            let count: usize = all.iter().map(|(_, columns)| columns.len()).sum();
            let all: Vec<(usize, f64)> =
                all.iter().flat_map(|(_, columns)| columns).map(|(k, _)| (*k, 1.0 / count as f64)).collect();
            let estimate = Estimate::of(&difference(&all, later, earlier)).filter(Estimate::is_repeated);
            let Some((estimate, p)) = estimate.and_then(|d| d.p_value(0.0).map(|p| (d, p))) else { continue };
            let verdict = match p < 1.0 - CONFIDENCE {
                false => "not resolved",
                true if estimate.value > 0.0 => "better",
                true => "worse",
            };
            out.push((format!("{} against {}", later.name, earlier.name), verdict));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use lfs_metrics::Draws;

    fn of(values: &[f64]) -> table::Cell {
        // Replicates with a standard error of 0.01.
        let draws = Draws { first: vec![0.01 * 0.75_f64.sqrt(); 2], second: Vec::new() };
        let first = draws.first[0];
        let draws = Draws { first: vec![first, -first, first, -first], ..draws };
        let source = |(seed, v): (usize, &f64)| table::Source {
            seed: Some(seed.to_string()),
            value: Some(*v),
            draws: draws.clone(),
            drawn: Some((0, 4)),
            ..table::Source::default()
        };
        table::Cell {
            value: Some(mean(values)),
            sources: values.iter().enumerate().map(source).collect(),
            ..table::Cell::default()
        }
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn the_bound_is_of_persons_and_the_error_of_trainings() {
        let got = judged(&of(&[0.90, 0.92, 0.94]));
        let error = 0.02 / 3_f64.sqrt();
        let repeated = got.repeated.unwrap();
        assert!((got.value.unwrap() - 0.92).abs() < 1e-12);
        assert!((repeated.error - error).abs() < 1e-12 && repeated.freedom == 2.0, "{repeated:?}");
        assert!((repeated.bound - 1.959_964 * 0.01).abs() < 1e-6, "{repeated:?}");
    }

    #[test]
    fn one_training_has_a_value_and_no_bound() {
        assert_eq!(judged(&of(&[0.9])), Cell { value: Some(0.9), repeated: None });
    }
}
