//! Matrices in the format of MegaFace and Trillion-Pairs; see [`crate::matrix`].

use std::path::Path;

use walkdir::WalkDir;

use super::names::Name;
use super::source::{Bytes, Layout, Number, Source};
use super::{first_ten, form};
use crate::DataError;
use crate::matrix;
use crate::names::{is_any_image, is_litter};

/// The layout of one file; none if it is in another format. A file of one column is one row.
pub fn file(bytes: &[u8]) -> Result<Option<Layout>, DataError> {
    let Some(start) = bytes.first_chunk::<16>() else { return Ok(None) };
    let Some(found) = matrix::features(start, bytes.len() as u64)? else { return Ok(None) };
    let size = |n: u64| usize::try_from(n).map_err(|_| DataError::new("the matrix is too large"));
    let number = if found.kind == "float32" { Number::F32 } else { Number::F64 };
    let (rows, width, stride) = (size(found.rows)?, size(found.columns)?, size(found.stride)?);
    let layout = Layout { row: stride, ..Layout::plain(start.len(), rows, width, number) };
    Ok(Some(if width == 1 && rows > 1 {
        Layout { rows: 1, width: rows, column: stride, ..layout }
    } else {
        layout
    }))
}

/// A folder with a file for each image, `<image>_<algorithm>.bin`, in the order of their paths.
pub fn folder(path: &Path) -> Result<Source, DataError> {
    let walk = WalkDir::new(path).follow_links(true).sort_by_file_name();
    let walk =
        walk.into_iter().filter_entry(|e| e.depth() == 0 || !is_litter(&e.file_name().to_string_lossy()));
    let mut files = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|e| DataError::new(format!("cannot be listed: {e}")))?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|e| e == "bin") {
            let inside = entry.path().strip_prefix(path).unwrap_or(entry.path());
            files.push((inside.to_string_lossy().replace('\\', "/"), entry.into_path()));
        }
    }
    let mut bytes = Vec::new();
    let mut first: Option<Layout> = None;
    let mut faulty = Vec::new();
    for (name, file) in &files {
        match image(file) {
            Ok((layout, content))
                if first.is_none_or(|f| f.width == layout.width && f.number == layout.number) =>
            {
                first.get_or_insert(layout);
                let size = layout.number.size();
                (0..layout.width).for_each(|k| {
                    let from = layout.start + k * layout.column;
                    bytes.extend(&content[from..from + size]);
                });
            }
            Ok((layout, _)) => faulty.push(format!("`{name}` ({} numbers)", layout.width)),
            Err(e) => faulty.push(format!("`{name}` ({e})")),
        }
    }
    if !faulty.is_empty() {
        let like = first.map_or_else(String::new, |f| format!(" of {} numbers as in the first", f.width));
        return Err(DataError::new(format!(
            "{} of {} files are no embedding{like}: {}",
            faulty.len(),
            files.len(),
            first_ten(&faulty)
        )));
    }
    let Some(first) = first else {
        return Err(form("the folder has no `embeddings.safetensors`, no .parquet and no .bin file"));
    };
    let layout = Layout::plain(0, files.len(), first.width, first.number);
    let suffix = suffix(&files);
    let named = files.iter().map(|(name, _)| Name::new(called(name, &suffix)));
    Source::new(Bytes::Held(bytes), layout, Some(named.collect()))
}

fn image(file: &Path) -> Result<(Layout, Vec<u8>), DataError> {
    let bytes = std::fs::read(file).map_err(|e| DataError::new(format!("cannot be read: {e}")))?;
    match self::file(&bytes)? {
        Some(layout) if layout.rows == 1 => Ok((layout, bytes)),
        Some(layout) => Err(DataError::new(format!("{} rows", layout.rows))),
        None => Err(DataError::new("no header of a matrix")),
    }
}

/// The `_<algorithm>.bin` that all files share; empty if they share none.
fn suffix(files: &[(String, std::path::PathBuf)]) -> String {
    let of = |name: &str| name.rfind('_').map(|at| name[at..].to_owned());
    let first = files.first().and_then(|f| of(&f.0)).unwrap_or_default();
    if files.iter().all(|f| of(&f.0).as_ref() == Some(&first)) { first } else { String::new() }
}

/// The image of a file: what precedes `_<algorithm>.bin`, and ends at an image extension if there is one.
fn called(name: &str, suffix: &str) -> String {
    let ends = name.rmatch_indices(['_', '.']).map(|(at, _)| &name[..at]);
    if let Some(image) = ends.take_while(|n| !n.ends_with('/')).find(|n| is_any_image(n)) {
        return image.to_owned();
    }
    let whole = name.strip_suffix(suffix).filter(|_| !suffix.is_empty());
    whole.or_else(|| name.strip_suffix(".bin")).unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::called;

    #[test]
    fn the_algorithm_is_no_part_of_a_name() {
        for (file, suffix, image) in [
            ("A_B/A_B_109.png_LBP_100x100.bin", "", "A_B/A_B_109.png"),
            ("A_B/A_B_109.png_LBP.bin", "_LBP.bin", "A_B/A_B_109.png"),
            ("A_B/A_B_109.jpg.bin", "", "A_B/A_B_109.jpg"),
            ("A_B/A_B_109_net.bin", "_net.bin", "A_B/A_B_109"),
            ("A_B/A_B_109.bin", "", "A_B/A_B_109"),
        ] {
            assert_eq!(called(file, suffix), image);
        }
    }
}
