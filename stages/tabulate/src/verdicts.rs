//! Records what the tables of other runs are checked against: the cells with their bounds, and the order of
//! rows.

use lfs_stage::{Cell, Context, Repeated};

use crate::findings::{Difference, Order};
use crate::significance::{Z, persons};
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
        cx.finding(claim, verdict.words());
    }
}

/// The number of a cell and, if there are several trainings, its precision. The bound is half of the 95 %
/// interval over persons, below which the test set resolves nothing. Two runs are tested on the same persons,
/// so only their trainings make them differ by chance: the error is that of the mean over trainings.
fn judged(cell: &table::Cell) -> Cell {
    let repeated = cell.std.zip(persons(&cell.sources)).map(|(std, persons)| {
        let trainings = cell.seeds as f64;
        Repeated { bound: Z * persons, error: std / trainings.sqrt(), freedom: trainings - 1.0 }
    });
    Cell { value: cell.value, repeated }
}

/// For each two rows, whether the later one is better than the earlier one; nothing if a cell has a single
/// training.
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
