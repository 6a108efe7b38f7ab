//! The formats in which data sets store five landmarks of a face.
//!
//! | format | reader |
//! |---|---|
//! | a list, `path` and ten numbers a line (LFW) | [`list::read`] |
//! | a list with a field between them (RFW `_lmk.txt`), or a score after them | [`list::read`] |
//! | a list below a count and a header (CelebA `list_landmarks_align_celeba.txt`) | [`list::read`] |
//! | a file for each image, five lines `x y` (CALFW, CPLFW `_5loc_attri.txt`) | [`five::read`] |
//! | a file for each image, 30 points of half a face (CFP) | [`cfp::read`] |
//! | a file for each image, 68 points (`.pts`) | [`pts::read`] |
//!
//! All return [`Points`](lfs_faces::dataset::Points) in the order left eye, right eye, nose, left mouth corner, right mouth corner, as
//! seen in the picture.

pub mod cfp;
pub mod five;
pub mod list;
pub mod pts;

use crate::DataError;

/// The finite numbers of a line, separated by commas or white space.
fn numbers(line: &str) -> Result<Vec<f32>, DataError> {
    line.split([',', ' ', '\t', '\r']).filter(|w| !w.is_empty()).map(number).collect()
}

fn number(word: &str) -> Result<f32, DataError> {
    let value: Option<f32> = word.trim().parse().ok();
    value
        .filter(|v| v.is_finite())
        .ok_or_else(|| DataError::new(format!("expected a coordinate, found `{}`", shorten(word))))
}

/// Whether all known points lie near the unit square, like fractions of width and height, and unlike a face in pixels.
pub fn fractions(points: &lfs_faces::dataset::Points) -> bool {
    points.as_flattened().iter().filter(|v| v.is_finite()).all(|v| (-0.5..=1.5).contains(v))
}

/// Shortens a text for a message.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push_str("..");
    }
    short
}

/// Parses lines `x y` or `x,y`; empty lines are skipped.
fn coordinates(text: &str) -> Result<Vec<[f32; 2]>, DataError> {
    let mut out = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        match numbers(line).map_err(|e| e.within(format!("line {}", n + 1)))?.as_slice() {
            &[x, y] => out.push([x, y]),
            other => {
                return Err(DataError::new(format!(
                    "line {}: expected two coordinates, found {}",
                    n + 1,
                    other.len()
                )));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
