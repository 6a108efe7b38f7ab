//! Files that are no image containers: matrices of embeddings, MATLAB files, lists of pairs, lists of landmarks.

use std::path::Path;

use lfs_faces::DataError;
use lfs_formats::{landmarks, lists, mat, matrix, text};

use crate::description::Description;

/// The maximum size in bytes of a text that is read as a list.
const LONGEST: u64 = 1 << 30;

/// Describes a file of one of these formats; none for any other file.
pub(crate) fn describe(path: &Path) -> Result<Option<Description>, DataError> {
    if !path.is_file() {
        return Ok(None);
    }
    if let Some(found) = matrix::look(path)? {
        let mut out = named(found.format);
        out.matrix = Some([found.rows, found.columns]);
        out.notes.insert("numbers".to_owned(), found.kind);
        return Ok(Some(out));
    }
    let start = start(path)?;
    if start.starts_with(b"MATLAB 5.0") {
        return matlab(path).map(Some).map_err(|e| e.within(path.display()));
    }
    if start.contains(&0) || std::str::from_utf8(&start).is_err_and(|e| e.error_len().is_some()) {
        return Ok(None);
    }
    list(path)
}

fn named(format: &str) -> Description {
    Description { format: format.to_owned(), ..Description::default() }
}

fn start(path: &Path) -> Result<Vec<u8>, DataError> {
    use std::io::Read as _;
    let mut out = Vec::new();
    let read = std::fs::File::open(path).and_then(|f| f.take(4096).read_to_end(&mut out));
    read.map(|_| out).map_err(|e| DataError::new(format!("cannot read {}: {e}", path.display())))
}

fn matlab(path: &Path) -> Result<Description, DataError> {
    let bytes = std::fs::read(path).map_err(|e| DataError::new(e.to_string()))?;
    let variables = mat::read(&bytes)?;
    let mut out = named("matlab");
    for (name, value) in &variables {
        let what = if let Ok(n) = value.structs() {
            format!("{n} structs")
        } else if let Ok((dims, _)) = value.cells() {
            format!("cells {dims:?}")
        } else if let Ok(numbers) = value.numbers() {
            format!("{} numbers", numbers.len())
        } else {
            "a value".to_owned()
        };
        out.notes.insert(name.clone(), what);
    }
    Ok(out)
}

/// Describes a list of pairs or of landmarks.
fn list(path: &Path) -> Result<Option<Description>, DataError> {
    if let Some((pairs, what)) = pairs_of(path) {
        return Ok(Some(Description { pairs, ..named(what) }));
    }
    let Some(text) = read(path) else { return Ok(None) };
    match landmarks::list::read_all(&text) {
        Ok(entries) if !entries.is_empty() => {
            let with = entries.iter().filter(|e| e.1.is_some()).count() as u64;
            let mut out = Description { landmarks: with, ..named("landmark-list") };
            out.notes.insert("lines".to_owned(), entries.len().to_string());
            Ok(Some(out))
        }
        _ => Ok(None),
    }
}

fn read(path: &Path) -> Option<String> {
    let small = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= LONGEST);
    if !small {
        return None;
    }
    text::decode(&std::fs::read(path).ok()?).ok()
}

/// The number of pairs of a list and the list's format; none if it is no list of pairs.
pub(crate) fn pairs_of(path: &Path) -> Option<(u64, &'static str)> {
    let text = read(path)?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let (first, rest) = lines.split_first()?;
    let numbers: Option<Vec<u64>> = lists::fields(first).iter().map(|f| f.parse().ok()).collect();
    if let Some([folds, each]) = numbers.as_deref()
        && folds.checked_mul(*each)?.checked_mul(2)? == rest.len() as u64
        && rest.iter().all(|l| lists::pair(l).is_some())
    {
        return Some((rest.len() as u64, "lfw-pairs"));
    }
    if lines.len() > 1 && lines.iter().all(|l| lists::pair(l).is_some()) {
        return Some((lines.len() as u64, "pair-list"));
    }
    // Two lines for each pair, `file.jpg label`.
    let labelled = |l: &&str| {
        let (path, label) = lists::image(l);
        lfs_formats::names::is_any_image(path) && label.parse::<i64>().is_ok()
    };
    if lines.len().is_multiple_of(2) && lines.iter().all(labelled) {
        return Some((lines.len() as u64 / 2, "labelled-pairs"));
    }
    None
}
