//! Lists: a line an image, its path and ten numbers `x1 y1 .. x5 y5`, in the dialects that are found.

use super::{fractions, number, shorten};
use crate::{DataError, names};
use lfs_faces::dataset::Points;

/// What may stand between fields.
const SEPARATORS: [char; 4] = ['\t', ' ', ',', ';'];

/// The five points of a face at 112 pixels, against which the order of numbers is told.
const FACE: [[f64; 2]; 5] = [[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]];

/// Reads a list, in file order.
///
/// Fields are separated by tabs, blanks, commas or semicolons. The ten numbers are the last ten, what stands before them is the path,
/// which may have blanks in it and ends as the name of an image does. Empty lines and lines that start with `#` are passed over.
/// Also read are:
///
/// - a field between path and numbers (RFW), or a number behind them (the score of a detector): which of the two an 11th number is
///   is told by which reading gives the shape of faces;
/// - a first line with the number of lines, and one with the names of the columns (CelebA);
/// - `\` for `/` in paths, and paths in quotation marks.
///
/// Coordinates are pixels. Fractions of width and height are not converted but refused, as nothing in a list says for sure that they
/// are such.
///
/// # Errors
/// A message with the number of the line that does not fit, or about the list as a whole.
pub fn read(text: &str) -> Result<Vec<(String, Points)>, DataError> {
    let mut lines: Vec<Line> = Vec::new();
    let (mut promised, mut header) = (None, false);
    for (n, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if lines.is_empty() && !header {
            if promised.is_none() && line.bytes().all(|b| b.is_ascii_digit()) {
                promised = line.parse::<usize>().ok();
                continue;
            }
            header = is_header(line);
            if header {
                continue;
            }
        }
        lines.push(Line::read(line).map_err(|e| e.within(format!("line {}", n + 1)))?);
    }
    if let Some(promised) = promised.filter(|p| *p != lines.len()) {
        return Err(DataError::new(format!(
            "line 1 promises {promised} lines, {} follow: is the list whole? If it is, correct that line or take it out",
            lines.len()
        )));
    }
    let skip = usize::from(has_field_before(&lines)?);
    let entries: Vec<(String, Points)> =
        lines.into_iter().map(|l| (l.points(skip), l.path)).map(|(p, n)| (n, p)).collect();
    refuse_fractions(entries.iter().map(|e| &e.1))?;
    Ok(entries)
}

/// Refuses landmarks most of which lie within a pixel or so of the image's corner.
///
/// # Errors
/// When that is so.
pub fn refuse_fractions<'a>(all: impl Iterator<Item = &'a Points>) -> Result<(), DataError> {
    // Five zeros are how a list says that it found no face.
    let (mut small, mut real) = (0_usize, 0_usize);
    for points in all.filter(|p| p.iter().any(|q| *q != p[0])) {
        real += 1;
        small += usize::from(fractions(points));
    }
    if small * 2 > real {
        return Err(DataError::new(format!(
            "{small} of {real} faces have all their points between 0 and 1: are these fractions of width and height? Expected are \
             pixels: multiply each x by the width of its image and each y by its height"
        )));
    }
    Ok(())
}

/// A line as it is written.
struct Line {
    path: String,
    /// Ten or eleven.
    numbers: Vec<f32>,
    /// Whether the first of the numbers is written as a whole one.
    whole: bool,
}

impl Line {
    fn read(line: &str) -> Result<Self, DataError> {
        let (head, words) = parted(line);
        if words.len() < 10 {
            let fields: Vec<&str> = line.split(SEPARATORS).filter(|f| !f.is_empty()).collect();
            let last = &fields[fields.len().saturating_sub(10)..];
            if let (Some(odd), true) = (last.iter().rfind(|w| number(w).is_err()), fields.len() > 10) {
                number(odd)?;
            }
            return Err(DataError::new(format!(
                "expected a path and ten coordinates, found {} fields: `{}`",
                fields.len(),
                shorten(line)
            )));
        }
        if words.len() > 11 {
            return Err(DataError::new(format!(
                "expected a path, ten coordinates and at most one number more, found {} numbers: `{}`",
                words.len(),
                shorten(line)
            )));
        }
        let whole = words.len() == 11 && words[0].parse::<i64>().is_ok();
        let numbers = words.into_iter().map(number).collect::<Result<_, _>>()?;
        Ok(Self { path: path(head)?, numbers, whole })
    }

    fn points(&self, skip: usize) -> Points {
        let mut points = Points::default();
        let skip = skip.min(self.numbers.len() - 10);
        for (place, value) in points.as_flattened_mut().iter_mut().zip(&self.numbers[skip..]) {
            *place = *value;
        }
        points
    }
}

/// What stands before the numbers at the end of a line, and these.
fn parted(line: &str) -> (&str, Vec<&str>) {
    let mut rest = line.trim_end_matches(SEPARATORS);
    let mut words = Vec::new();
    // The first field is never a number.
    while let Some(at) = rest.rfind(SEPARATORS) {
        let word = rest[at + 1..].trim_matches('"');
        if number(word).is_err() {
            break;
        }
        words.push(word);
        rest = rest[..at].trim_end_matches(SEPARATORS);
    }
    words.reverse();
    (rest, words)
}

/// The path out of what stands before the numbers: perhaps with another field behind it.
fn path(head: &str) -> Result<String, DataError> {
    let tidy = |path: &str| names::tidy(path.trim().trim_matches('"').trim());
    let whole = tidy(head);
    if names::is_any_image(&whole) && !whole.contains('\t') {
        return Ok(whole);
    }
    if let Some((first, field)) = head.rsplit_once('\t').or_else(|| head.rsplit_once(SEPARATORS)) {
        let first = tidy(first);
        if names::is_any_image(&first) && !first.contains('\t') && !field.contains(['/', '\\']) {
            return Ok(first);
        }
    }
    Err(DataError::new(format!(
        "expected the path of an image before the coordinates, which ends in .jpg, .png or the like; found `{}`",
        shorten(head)
    )))
}

/// Whether a line has the names of columns: ten or more words, none of which is a number or a path.
fn is_header(line: &str) -> bool {
    let words: Vec<&str> = line.split(SEPARATORS).filter(|w| !w.is_empty()).collect();
    words.len() >= 10
        && words.iter().all(|w| number(w).is_err() && !w.contains(['/', '\\']) && !names::is_any_image(w))
}

/// Whether the one number too many stands before the coordinates, and not behind them.
fn has_field_before(lines: &[Line]) -> Result<bool, DataError> {
    let more: Vec<&Line> = lines.iter().filter(|l| l.numbers.len() == 11).collect();
    if more.is_empty() {
        return Ok(false);
    }
    let mean = |skip: usize| more.iter().map(|l| unlike(&l.points(skip))).sum::<f64>() / more.len() as f64;
    let (behind, before) = (mean(0), mean(1));
    if before.min(behind) < 0.25 && before.min(behind) < 0.5 * before.max(behind) {
        return Ok(before < behind);
    }
    // No shape of faces either way: by how the numbers are written.
    let whole = more.iter().all(|l| l.whole);
    let score = more.iter().all(|l| (0.0..=1.0).contains(&l.numbers[10]));
    match (whole, score) {
        (true, false) => Ok(true),
        (false, true) => Ok(false),
        _ => Err(DataError::new(
            "lines have eleven numbers, and neither the first ten nor the last ten have the shape of faces; leave a path and ten \
             coordinates",
        )),
    }
}

/// How unlike a face five points are, whatever their place, size and turn: 0 to 1, the part of their spread that no similarity
/// transform of [`FACE`] explains.
fn unlike(points: &Points) -> f64 {
    let centred = |p: [[f64; 2]; 5]| {
        let mean = [0, 1].map(|c| p.iter().map(|q| q[c]).sum::<f64>() / 5.0);
        p.map(|q| [q[0] - mean[0], q[1] - mean[1]])
    };
    let (s, d) = (centred(points.map(|p| p.map(f64::from))), centred(FACE));
    let sum = |of: &dyn Fn(usize) -> f64| (0..5).map(of).sum::<f64>();
    let dot = sum(&|k| s[k][0] * d[k][0] + s[k][1] * d[k][1]);
    let cross = sum(&|k| s[k][0] * d[k][1] - s[k][1] * d[k][0]);
    let spread = |p: [[f64; 2]; 5]| p.iter().map(|q| q[0] * q[0] + q[1] * q[1]).sum::<f64>();
    let all = spread(s) * spread(d);
    if all > 0.0 { 1.0 - (dot * dot + cross * cross) / all } else { 1.0 }
}
