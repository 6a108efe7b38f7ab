//! CSV: one line per cell, for use in pivot tables. Numbers are fractions in full precision.

use lfs_stage::{Failure, Result};

use crate::table::{Table, Verdict};

const HEAD: [&str; 19] = [
    "row",
    "column",
    "set",
    "definition",
    "flip",
    "value",
    "worlds",
    "trainings",
    "std",
    "standard_error",
    "low",
    "high",
    "over",
    "p",
    "verdict",
    "paper",
    "difference",
    "pairs",
    "from",
];

/// The table as CSV.
pub fn render(table: &Table) -> Result<String> {
    let fault = |e: &dyn std::fmt::Display| Failure::new(format!("the CSV cannot be written: {e}"));
    let mut out = csv::WriterBuilder::new().from_writer(Vec::new());
    out.write_record(HEAD).map_err(|e| fault(&e))?;
    let number = |v: Option<f64>| v.map(|v| v.to_string()).unwrap_or_default();
    for row in &table.rows {
        for (column, cell) in table.columns.iter().zip(&row.cells) {
            let Some(cell) = cell else { continue };
            let verdict = match cell.verdict {
                Some(Verdict::Best) => "best",
                Some(Verdict::NotSignificant) => "not-significant",
                Some(Verdict::Below) => "below",
                None if cell.value.is_none() => "not-resolved",
                None => "",
            };
            let from: Vec<&str> = cell.sources.iter().map(|s| s.from.as_str()).collect();
            let record = [
                row.name.clone(),
                column.name.clone(),
                column.set.clone(),
                column.definition.clone(),
                column.flip.clone(),
                number(cell.value),
                cell.worlds.to_string(),
                cell.trainings.to_string(),
                number(cell.std),
                number(cell.standard_error),
                number(cell.interval.map(|i| i[0])),
                number(cell.interval.map(|i| i[1])),
                cell.over.map_or("", |over| over.words()).to_owned(),
                number(cell.p),
                verdict.to_owned(),
                number(cell.reference),
                number(cell.difference),
                cell.sources.first().map(|s| s.pairs.to_string()).unwrap_or_default(),
                from.join(" "),
            ];
            out.write_record(&record).map_err(|e| fault(&e))?;
        }
    }
    let bytes = out.into_inner().map_err(|e| fault(&e))?;
    String::from_utf8(bytes).map_err(|e| fault(&e))
}
