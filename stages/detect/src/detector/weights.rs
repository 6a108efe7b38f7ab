//! Finds files of weights in the input.

use std::path::{Path, PathBuf};

use lfs_stage::{Failure, Result};
use walkdir::WalkDir;

/// The only file with this name, at any depth of a folder.
///
/// # Errors
/// If there is none or more than one.
pub(super) fn named(model: &Path, name: &str, help: &str) -> Result<PathBuf> {
    let found = files(model, &format!("`{name}`"), |path| path.file_name().is_some_and(|n| n == name))?;
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] if model.is_dir() => {
            Err(Failure::new(format!("there is no `{name}` in the folder of input `model`")).help(help))
        }
        [] => {
            Err(Failure::new(format!("input `model` is a file, where a folder with `{name}` was expected"))
                .help(help))
        }
        several => Err(Failure::new(format!(
            "there are {} files `{name}` in the folder of input `model`",
            several.len()
        ))
        .help("give the folder that holds one set of weights")),
    }
}

/// The file itself, or the only file with this extension, at any depth of a folder.
///
/// # Errors
/// If there is none or more than one.
pub(super) fn ending(model: &Path, ending: &str) -> Result<PathBuf> {
    if model.is_file() {
        return Ok(model.to_owned());
    }
    let found =
        files(model, &format!("a .{ending} file"), |path| path.extension().is_some_and(|e| e == ending))?;
    match found.as_slice() {
        [one] => Ok(one.clone()),
        several => Err(Failure::new(format!(
            "there are {} .{ending} files in the folder of input `model`",
            several.len()
        ))
        .help(format!("give the one .{ending} file of the detector, or a folder with it alone"))),
    }
}

/// The wanted files at any depth of a folder, sorted by name.
fn files(folder: &Path, what: &str, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|e| Failure::new(format!("cannot look for {what}: {e}")))?;
        if entry.file_type().is_file() && wanted(entry.path()) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}
