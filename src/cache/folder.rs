//! The folder of a cache: which files in it belong to the cache.

use std::path::{Path, PathBuf};

use super::remove;
use crate::fault::{At, Fault, Result};
use crate::problem::shown;

/// Marks a folder as a cache: backup programs that know this file leave the folder out (bford.info/cachedir).
const MARK: &str = "CACHEDIR.TAG";
const SIGNATURE: &str = "Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of lfs-pipe: it can be made again. Other files in it are left alone.
";

/// The parts of a cache, besides the mark.
pub const PARTS: [&str; 15] = [
    "records",
    "objects",
    "memo",
    "scratch",
    "runs",
    "damaged",
    "trash",
    "locks",
    "workers.json",
    "runs.sqlite",
    "runs.sqlite-journal",
    "runs.sqlite-wal",
    "runs.sqlite-shm",
    "runs.quiet",
    "remote",
];

/// Claims a folder as a cache, unless it contains something that has the name of a part of a cache but was not made by this program.
///
/// # Errors
/// When there is such a thing, or the folder cannot be created.
pub fn claim(root: &Path) -> Result<()> {
    let mark = root.join(MARK);
    if is_ours(&mark) {
        return Ok(());
    }
    let there: Vec<&str> =
        PARTS.into_iter().filter(|part| root.join(part).symlink_metadata().is_ok()).collect();
    // Another run may have claimed it meanwhile: the mark is written before any part.
    if is_ours(&mark) {
        return Ok(());
    }
    let is_torn = is_torn(&mark);
    let is_old = is_unmarked(root) || is_torn;
    // The descriptions of workers may be written before the cache is claimed.
    if !is_old && there.iter().any(|part| *part != "workers.json" || !is_description(&root.join(part))) {
        return Err(Fault::usage(format!(
            "{} cannot be the cache: it holds `{}`, which no run made",
            shown(root),
            there.join("`, `")
        ))
        .with_help("name another folder with `cache` in `[pipeline]` or --cache, or move these away"));
    }
    std::fs::create_dir_all(root).at("create", root)?;
    // Other programs use the same mark for their caches.
    if mark.symlink_metadata().is_ok() && !is_torn {
        return Ok(());
    }
    match std::fs::write(&mark, SIGNATURE) {
        // A cache that can only be read needs no mark.
        Err(e) if is_old && e.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        Err(e) if is_old && e.kind() == std::io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        other => other.at("write", &mark),
    }
}

/// Removes the parts of a cache, and nothing else in its folder. Returns what lies where only the cache should write.
///
/// # Errors
/// When the folder is not a cache, or something cannot be removed.
pub fn remove_all(root: &Path) -> Result<Vec<PathBuf>> {
    if !root.is_dir() {
        return Ok(vec![]);
    }
    let mark = root.join(MARK);
    if !is_ours(&mark) && !is_unmarked(root) {
        return Err(Fault::usage(format!("{} is no cache", shown(root)))
            .with_help("a cache has a file `CACHEDIR.TAG`; name yours with --cache"));
    }
    let mut left = Vec::new();
    for part in PARTS {
        let path = root.join(part);
        match path.symlink_metadata() {
            Ok(m) if m.is_dir() => remove_part(&path, part, &mut left)?,
            Ok(_) => std::fs::remove_file(&path).at("remove", &path)?,
            Err(_) => {}
        }
    }
    if is_ours(&mark) {
        remove(&mark);
    }
    Ok(left)
}

/// Removes from a part of a cache what a cache puts there, and then the folder, if it is empty.
fn remove_part(path: &Path, part: &str, left: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(path).at("list", path)? {
        let entry = entry.at("list", path)?;
        let (name, there) = (entry.file_name(), entry.path());
        let is_folder = entry.file_type().at("read", &there)?.is_dir();
        match is_made_by_a_cache(part, &name.to_string_lossy(), is_folder) {
            true if part == "objects" => remove_part(&there, "object", left)?,
            true if is_folder => std::fs::remove_dir_all(&there).at("remove", &there)?,
            true => std::fs::remove_file(&there).at("remove", &there)?,
            false => left.push(there),
        }
    }
    // If something is left in it, it stays.
    let _ = std::fs::remove_dir(path);
    Ok(())
}

/// Whether a name in a part of a cache is one that a cache gives.
pub(super) fn is_made_by_a_cache(part: &str, name: &str, is_folder: bool) -> bool {
    let hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    let begins_with_hex = |digits: usize| name.get(..digits).is_some_and(|begin| hex(begin, digits));
    match part {
        "objects" => is_folder && hex(name, 2),
        "object" => hex(name, 62),
        "memo" | "remote" => begins_with_hex(16) || name.starts_with(".tmp"),
        "scratch" => is_name_of_run(name) || ["lock", "collecting"].contains(&name),
        "runs" => is_folder && is_name_of_run(name),
        "damaged" => begins_with_hex(12) || name.starts_with(KEPT),
        "trash" => is_folder && name.starts_with(".tmp"),
        _ => false,
    }
}

/// Whether a folder below that of [`super::Scratch`] has the name of a run, or of a transfer to or from a store.
pub(super) fn is_name_of_run(name: &str) -> bool {
    let digits =
        |part: Option<&str>| part.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let mut parts = name.split(['-', '.']);
    match name.strip_prefix("remote-") {
        Some(rest) => rest.split('-').all(|part| digits(Some(part))),
        None => (0..3).all(|_| digits(parts.next())),
    }
}

/// The prefix of what a node left in `damaged` and that may belong to a user.
pub(super) const KEPT: &str = "left-by-";

/// Whether a file contains descriptions of workers.
fn is_description(file: &Path) -> bool {
    let read = std::fs::read(file).ok().and_then(|b| serde_json::from_slice::<serde_json::Value>(&b).ok());
    read.is_some_and(|json| {
        json.as_object().is_some_and(|all| all.values().all(|v| v.get("description").is_some()))
    })
}

/// Whether a folder is a cache from before there was a mark.
fn is_unmarked(root: &Path) -> bool {
    root.join("records").is_file() && root.join("objects").is_dir()
}

/// Whether a mark was created, but not written, by a killed process.
fn is_torn(mark: &Path) -> bool {
    std::fs::metadata(mark).is_ok_and(|m| m.is_file() && m.len() == 0)
}

/// Whether a mark is that of this program.
fn is_ours(mark: &Path) -> bool {
    std::fs::read(mark).is_ok_and(|text| text == SIGNATURE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_a_kill_left_empty_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join(MARK);
        std::fs::write(&mark, "").unwrap();
        std::fs::create_dir(dir.path().join("objects")).unwrap();
        claim(dir.path()).unwrap();
        assert!(is_ours(&mark));
    }

    #[test]
    fn a_folder_with_things_of_another_program_is_no_cache() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("runs/of-tensorboard")).unwrap();
        let fault = claim(dir.path()).unwrap_err().to_string();
        assert!(fault.contains("`runs`"), "{fault}");
        assert!(remove_all(dir.path()).is_err());
        assert!(dir.path().join("runs/of-tensorboard").is_dir());
        // A cache of another program.
        let other = dir.path().join("other");
        std::fs::create_dir_all(other.join("objects")).unwrap();
        std::fs::write(other.join(MARK), "Signature: 8a477f597d28d172789f06886806bc55\n").unwrap();
        assert!(claim(&other).is_err() && remove_all(&other).is_err());
        // A file with any other name does no harm, and stays.
        let root = dir.path().join("c");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("README.md"), "mine").unwrap();
        claim(&root).unwrap();
        std::fs::create_dir_all(root.join("objects/ab")).unwrap();
        std::fs::create_dir_all(root.join("runs/20010101-000000.000-7")).unwrap();
        std::fs::create_dir_all(root.join("runs/of-tensorboard")).unwrap();
        std::fs::write(root.join("objects/ab").join("0".repeat(62)), "ours").unwrap();
        std::fs::write(root.join("objects/mine"), "mine").unwrap();
        claim(&root).unwrap();
        assert_eq!(remove_all(&root).unwrap(), [root.join("objects/mine"), root.join("runs/of-tensorboard")]);
        let mut left: Vec<_> = std::fs::read_dir(&root).unwrap().flatten().map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, ["README.md", "objects", "runs"]);
    }
}
