//! AgeDB-30: `splits.mat`, a MATLAB file whose variable `splits` is a struct array with one element per fold.
//! Its fields are `pairs` (2 x n cells of file names; a column is a pair) and `labels` (n numbers, +1 for one
//! person, -1 for two). Officially ten folds of 300 + 300.

use lfs_faces::DataError;
use lfs_formats::mat::{self, Value};
use lfs_formats::names;
use lfs_stage::{Failure, Result};

use super::{Lists, Pair, balanced};
use crate::rows;

const FILE: &str = "splits.mat";

/// Reads `splits.mat`.
pub fn read(lists: &Lists) -> Result<Vec<Pair>> {
    let file = lists.find_only(FILE)?;
    let pairs = parse(&lists.bytes(file)?).map_err(|e| Failure::new(format!("{file}: {e}")))?;
    balanced(file, pairs)
}

/// The person of an image: files are called `1234_AnnLee_35_f.jpg`, number, name, age and sex.
pub fn person(image: &str) -> String {
    let file = names::stem(image.rsplit('/').next().unwrap_or(image));
    let parts: Vec<&str> = file.split('_').collect();
    match parts.as_slice() {
        [number, name @ .., age, "f" | "m"]
            if !name.is_empty() && [number, age].iter().all(|n| n.parse::<u32>().is_ok()) =>
        {
            name.join("_")
        }
        _ => rows::person(image),
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<Pair>, DataError> {
    let variables = mat::read(bytes)?;
    let Some((_, splits)) = variables.iter().find(|(name, _)| name == "splits") else {
        let names: Vec<&str> = variables.iter().map(|(n, _)| n.as_str()).collect();
        return Err(DataError::new(format!("expected the variable `splits`, found [{}]", names.join(", "))));
    };
    // Some writers put each struct into its own cell.
    if let Ok((_, cells)) = splits.cells() {
        let mut out = Vec::new();
        for (k, cell) in cells.iter().enumerate() {
            fold(cell, 0, k as u32, &mut out)?;
        }
        return Ok(out);
    }
    let mut out = Vec::new();
    for k in 0..splits.structs()? {
        fold(splits, k, k as u32, &mut out)?;
    }
    Ok(out)
}

fn fold(structs: &Value, index: usize, fold: u32, out: &mut Vec<Pair>) -> Result<(), DataError> {
    let within = |e: DataError| e.within(format!("split {}", fold + 1));
    let (dims, names) = structs.field(index, "pairs").and_then(Value::cells).map_err(within)?;
    let labels = structs.field(index, "labels").and_then(Value::numbers).map_err(within)?;
    if dims != [2, labels.len()] {
        return Err(within(DataError::new(format!(
            "expected 2 x {} names, as many pairs as labels, found {dims:?}",
            labels.len()
        ))));
    }
    for (pair, label) in names.chunks_exact(2).zip(labels) {
        let same = match label {
            l if *l == 1.0 => true,
            l if *l == -1.0 || *l == 0.0 => false,
            other => return Err(within(DataError::new(format!("expected labels +1 and -1, found {other}")))),
        };
        let image = |value: &Value| name(value).map_err(within);
        out.push(Pair { a: image(&pair[0])?, b: image(&pair[1])?, same, fold });
    }
    Ok(())
}

/// A name, with or without its own cell and its extension.
fn name(value: &Value) -> Result<String, DataError> {
    let line = names::tidy(value.name()?.trim());
    Ok(if names::is_any_image(&line) { line } else { format!("{line}.jpg") })
}
