//! What another run's table is judged by: its cells with their bounds, and which row is better than which.

use lfs_stage::{Cell, Context, Repeated};

use crate::findings::{Difference, Order};
use crate::significance::{Z, persons};
use crate::table::{self, Table};

/// Records them.
pub fn record(table: &Table, cx: &Context<'_>) {
    for row in &table.rows {
        for (column, cell) in table.columns.iter().zip(&row.cells) {
            if let Some(cell) = cell {
                cx.cell(format!("{}, {}", row.name, column.name), judged(cell));
            }
        }
    }
    for (claim, verdict) in order(table) {
        cx.finding(claim, verdict.words());
    }
}

/// A cell's number and, of several trainings, how well it is known. The bound is half of the 95 % interval over persons: the test set does
/// not resolve less. Two runs are tested on the same persons, so that only their trainings make them differ by chance: the error is that of
/// the mean over trainings.
fn judged(cell: &table::Cell) -> Cell {
    let repeated = cell.std.zip(persons(&cell.sources)).map(|(std, persons)| {
        let trainings = cell.seeds as f64;
        Repeated { bound: Z * persons, error: std / trainings.sqrt(), freedom: trainings - 1.0 }
    });
    Cell { value: cell.value, repeated }
}

/// Of each two rows whether the later one is better than the earlier one; nothing where a cell is of one training.
fn order(table: &Table) -> Vec<(String, Order)> {
    let mut out = Vec::new();
    for (k, earlier) in table.rows.iter().enumerate() {
        for later in &table.rows[k + 1..] {
            if let Some(holds) = Difference::of(table, later, earlier).and_then(|d| d.verdict()) {
                out.push((format!("{} against {}", later.name, earlier.name), holds));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::significance::cell;

    fn of(values: &[f64]) -> table::Cell {
        let source = |v: &f64| table::Source {
            value: Some(*v),
            stderr: Some(0.01),
            interval: Some([v - 0.01 * Z, v + 0.01 * Z]),
            ..table::Source::default()
        };
        cell(values.iter().map(source).collect())
    }

    #[test]
    fn the_bound_is_of_persons_and_the_error_of_trainings() {
        let got = judged(&of(&[0.90, 0.92, 0.94]));
        let error = 0.02 / 3_f64.sqrt();
        let repeated = got.repeated.unwrap();
        assert!((got.value.unwrap() - 0.92).abs() < 1e-12);
        assert!((repeated.error - error).abs() < 1e-12 && repeated.freedom == 2.0, "{repeated:?}");
        assert!((repeated.bound - Z * 0.01).abs() < 1e-9, "{repeated:?}");
    }

    #[test]
    fn one_training_has_a_value_and_no_bound() {
        assert_eq!(judged(&of(&[0.9])), Cell { value: Some(0.9), repeated: None });
    }
}
