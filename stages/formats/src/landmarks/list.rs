//! Lists: a line an image, `path`, perhaps another field, and ten numbers `x1 y1 .. x5 y5`.

use super::{number, shorten};
use crate::DataError;
use lfs_faces::dataset::Points;

/// Reads a list, in file order. Fields are separated by tabs, or by white space where a line has no tab. Empty lines and
/// lines that start with `#` are passed over.
///
/// # Errors
/// A message with the number of the line that does not fit.
pub fn read(text: &str) -> Result<Vec<(String, Points)>, DataError> {
    let mut out = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            out.push(entry(line).map_err(|e| e.within(format!("line {}", n + 1)))?);
        }
    }
    Ok(out)
}

fn entry(line: &str) -> Result<(String, Points), DataError> {
    let tabs = line.contains('\t');
    let fields: Vec<&str> = if tabs {
        line.split('\t').map(str::trim).filter(|f| !f.is_empty()).collect()
    } else {
        line.split_whitespace().collect()
    };
    // RFW writes a field of its own between path and numbers.
    if !matches!(fields.len(), 11 | 12) {
        return Err(DataError::new(format!(
            "expected a path and ten coordinates, found {} fields: `{}`",
            fields.len(),
            shorten(line)
        )));
    }
    let mut points = Points::default();
    for (place, field) in points.as_flattened_mut().iter_mut().zip(&fields[fields.len() - 10..]) {
        *place = number(field)?;
    }
    Ok((fields[0].replace('\\', "/"), points))
}
