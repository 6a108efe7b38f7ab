//! A file for each image: 68 points in the iBUG order (`.pts`).

use super::coordinates;
use crate::DataError;
use lfs_faces::dataset::Points;

/// Reads a `.pts` file:
///
/// ```text
/// version: 1
/// n_points: 68
/// {
/// 12.5 40.25
/// ..
/// }
/// ```
///
/// The eyes are the means of the six points around each (36-41 and 42-47, counted from 0), the nose is its tip (30), the mouth
/// corners are 48 and 54. Coordinates are not converted.
///
/// # Errors
/// If the braces are missing or there are not 68 points.
pub fn read(text: &str) -> Result<Points, DataError> {
    let inside = text.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let (inside, _) =
        inside.ok_or_else(|| DataError::new("expected a .pts file: points between `{` and `}`"))?;
    let p = coordinates(inside)?;
    if p.len() != 68 {
        return Err(DataError::new(format!("expected 68 points, found {}", p.len())));
    }
    Ok([mean(&p[36..42]), mean(&p[42..48]), p[30], p[48], p[54]])
}

/// The mean of some points.
pub(super) fn mean(points: &[[f32; 2]]) -> [f32; 2] {
    let n = points.len().max(1) as f32;
    [0, 1].map(|c| points.iter().map(|p| p[c]).sum::<f32>() / n)
}
