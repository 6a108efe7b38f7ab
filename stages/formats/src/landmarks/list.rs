//! Lists: one line for each image, its path and ten numbers `x1 y1 .. x5 y5`, in several dialects.

use super::{fractions, number, shorten};
use crate::{DataError, names};
use lfs_faces::dataset::Points;

mod columns;
mod order;

/// The separators of fields.
const SEPARATORS: [char; 4] = ['\t', ' ', ',', ';'];

/// Reads a list in file order, without the lines that state that no face was found; otherwise as [`read_all`].
///
/// # Errors
/// As [`read_all`].
pub fn read(text: &str) -> Result<Vec<(String, Points)>, DataError> {
    Ok(read_all(text)?.into_iter().filter_map(|(path, points)| Some((path, points?))).collect())
}

/// Reads a list, in file order.
///
/// Fields are separated by tabs, blanks, commas or semicolons. The ten numbers are the last ten; the text before them is the path,
/// which may contain blanks. Empty lines, and lines that start with `#` and have no ten numbers, are skipped. These variants are
/// accepted, too:
///
/// - a field between path and numbers (RFW), or a number after them (the score of a detector), or both: an 11th number is the one
///   or the other depending on which reading gives the shape of faces;
/// - a box, `x1 y1 x2 y2` or `x y width height`, optionally with a score, before the ten numbers or after them: recognised by the
///   shape of the faces, which lie in it;
/// - the ten numbers in another order, the same in all of three lines or more: all x before all y (MTCNN), y before x, left and
///   right from the person's view, mouth before nose and the like: recognised by the shape of faces, and converted to the standard
///   order;
/// - no points, if a detector found no face: only the path, empty fields, ten times `nan`, or five coinciding points;
/// - an integer before the path: a running number in all lines, or a flag that is separated from the path by a tab or comma;
/// - a first line with the number of lines, and one with the names of the columns (CelebA);
/// - paths without an image extension, `\` for `/` in paths, and paths in quotation marks.
///
/// Coordinates are pixels. Fractions of width and height are refused, not converted, since a list does not state for certain that
/// it contains fractions.
///
/// # Errors
/// A message with the number of the invalid line, or about the list as a whole.
pub fn read_all(text: &str) -> Result<Vec<(String, Option<Points>)>, DataError> {
    let mut lines: Vec<Line> = Vec::new();
    let (mut promised, mut header) = (None, false);
    for (n, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with('#') && parted(line).1.len() < 10 {
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
    let starts = columns::starts(&lines)?;
    let counted = is_counted(&lines);
    let mut entries = Vec::with_capacity(lines.len());
    for line in lines {
        let start = starts.get(&line.numbers.len()).copied().unwrap_or(0);
        let points = (!line.numbers.is_empty()).then(|| line.points(start));
        // Some lists have five coinciding points for an image without a face.
        let points = points.filter(|p| p.iter().any(|q| *q != p[0]));
        let path = if counted { after_count(&line.path).unwrap_or(&line.path) } else { &line.path };
        entries.push((path.trim_matches('"').to_owned(), points));
    }
    order::put_right(entries.iter_mut().filter_map(|e| e.1.as_mut()));
    refuse_fractions(entries.iter().filter_map(|e| e.1.as_ref()))?;
    Ok(entries)
}

/// Whether the paths follow a column of running numbers.
fn is_counted(lines: &[Line]) -> bool {
    let number = |line: &Line| line.path.split_once(' ')?.0.parse::<u64>().ok();
    let first = lines.first().and_then(number).filter(|n| *n <= 1);
    lines.len() > 1
        && first.is_some_and(|first| (first..).zip(lines).all(|(n, line)| number(line) == Some(n)))
}

fn after_count(path: &str) -> Option<&str> {
    path.split_once(' ').map(|(_, rest)| rest.trim_start())
}

/// Refuses landmarks if most of them lie within about a pixel of the image's corner.
///
/// # Errors
/// If they do.
pub fn refuse_fractions<'a>(all: impl Iterator<Item = &'a Points>) -> Result<(), DataError> {
    // Some lists have five zeros for an image without a face.
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

/// A parsed line.
struct Line {
    path: String,
    /// Empty if no face was found, otherwise ten or more.
    numbers: Vec<f32>,
    /// Whether the first number is written as an integer.
    whole: bool,
}

/// Whether a word stands for a missing number.
fn is_missing(word: &str) -> bool {
    ["nan", "none", "null", "na", "n/a"].iter().any(|m| word.eq_ignore_ascii_case(m))
}

impl Line {
    fn read(line: &str) -> Result<Self, DataError> {
        let (head, words) = parted(line);
        if let Some(nothing) = nothing(head, line, &words) {
            return Ok(nothing);
        }
        if let Some(odd) = words.iter().find(|w| is_missing(w)) {
            number(odd)?;
        }
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
        if !matches!(words.len(), 10..=12 | 14..=16) {
            return Err(DataError::new(format!(
                "expected a path, ten coordinates and at most a label, a score and a box, found {} numbers: `{}`",
                words.len(),
                shorten(line)
            )));
        }
        let whole = words[0].parse::<i64>().is_ok();
        let numbers = words.into_iter().map(number).collect::<Result<_, _>>()?;
        Ok(Self { path: path(head, line)?, numbers, whole })
    }

    /// The ten numbers from index `start`.
    fn points(&self, start: usize) -> Points {
        let mut points = Points::default();
        let start = start.min(self.numbers.len().saturating_sub(10));
        for (place, value) in points.as_flattened_mut().iter_mut().zip(&self.numbers[start..]) {
            *place = *value;
        }
        points
    }
}

/// Parses a line that states that no face was found: a path without numbers, or with placeholders for missing numbers.
fn nothing(head: &str, line: &str, words: &[&str]) -> Option<Line> {
    let empty = words.is_empty() || words.len() >= 10 && words.iter().filter(|w| is_missing(w)).count() >= 10;
    let path = path(head, line).ok().filter(|_| empty)?;
    // A single word that is no path may be anything.
    let named = !words.is_empty() || names::is_any_image(&path) || path.contains('/') && !path.contains(' ');
    named.then(|| Line { path, numbers: Vec::new(), whole: false })
}

/// Splits a line into its head and the numbers at its end.
fn parted(line: &str) -> (&str, Vec<&str>) {
    let mut rest = line.trim_end_matches(SEPARATORS);
    let mut words = Vec::new();
    // The first field is never a number.
    while let Some(at) = rest.rfind(SEPARATORS) {
        let word = rest[at + 1..].trim_matches('"');
        if number(word).is_err() && !is_missing(word) {
            break;
        }
        words.push(word);
        rest = rest[..at].trim_end_matches(SEPARATORS);
    }
    words.reverse();
    (rest, words)
}

/// Extracts the path from the head of a line, which may have another field after the path, or an integer before it.
fn path(head: &str, line: &str) -> Result<String, DataError> {
    let tidy = |path: &str| names::tidy(path.trim().trim_matches('"').trim());
    // A leading integer is a flag or running number; if a blank follows, it may be part of a person's name.
    let behind = line.get(head.len()..).unwrap_or_default();
    let behind = &behind[..behind.find(|c| !SEPARATORS.contains(&c)).unwrap_or(behind.len())];
    let apart = |c: char| c != ' ' && SEPARATORS.contains(&c) && (behind.is_empty() || behind.contains(c));
    let head = match head.split_once(apart) {
        Some((n, rest))
            if !rest.trim().is_empty() && !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) =>
        {
            rest.trim_start_matches(SEPARATORS)
        }
        _ => head,
    };
    let whole = tidy(head);
    if names::is_any_image(&whole) && !whole.contains('\t') {
        return Ok(whole);
    }
    if let Some((first, field)) = head.rsplit_once('\t').or_else(|| head.rsplit_once(SEPARATORS)) {
        let first = tidy(first);
        let parted = head.contains('\t') && !first.is_empty();
        if (parted || names::is_any_image(&first)) && !first.contains('\t') && !field.contains(['/', '\\']) {
            return Ok(first);
        }
    }
    // Without an image extension, the path is matched with the images later.
    if !whole.is_empty() && !whole.contains('\t') {
        return Ok(whole);
    }
    Err(DataError::new(format!(
        "expected the path of an image before the coordinates; found `{}`",
        shorten(head)
    )))
}

/// Whether a line is a header: ten or more words, none of which is a number or a path.
fn is_header(line: &str) -> bool {
    let words: Vec<&str> = line.split(SEPARATORS).filter(|w| !w.is_empty()).collect();
    let numbers: Vec<u32> = words.iter().filter_map(|w| w.trim_matches('"').parse().ok()).collect();
    // Unnamed columns are numbered.
    let numbered = numbers.len() >= 10 && numbers.windows(2).all(|w| w[1] == w[0].wrapping_add(1));
    numbered
        && words.len() <= numbers.len() + 1
        && words.iter().all(|w| !w.contains(['/', '\\']) && !names::is_any_image(w))
        || words.len() >= 10
            && words.iter().all(|w| number(w).is_err() && !w.contains(['/', '\\']) && !names::is_any_image(w))
}
