//! A file for each image: five lines `x y` (CALFW and CPLFW, `<stem>_5loc_attri.txt`).

use super::coordinates;
use crate::DataError;
use lfs_faces::dataset::Points;

/// Reads the five points; the attributes below them are ignored.
///
/// # Errors
/// If there are fewer than five points, or a line is no point.
pub fn read(text: &str) -> Result<Points, DataError> {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).take(5).collect();
    let points = coordinates(&lines.join("\n"))?;
    Points::try_from(points.as_slice())
        .map_err(|_| DataError::new(format!("expected five lines `x y`, found {}", points.len())))
}
