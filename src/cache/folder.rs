//! The folder of a cache: what in it is the cache's, and what is not.

use std::path::Path;

use super::remove;
use crate::fault::{At, Fault, Result};
use crate::manifest::shown;

/// Says that a folder is a cache: backup programs that know this file leave the folder out (bford.info/cachedir).
const MARK: &str = "CACHEDIR.TAG";
const SIGNATURE: &str = "Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of lfs-pipe: it can be made again. Other files in it are left alone.
";

/// All that a cache consists of, beside the mark.
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

/// Takes a folder for a cache, unless something in it that is called like a part of a cache was made by somebody else.
///
/// # Errors
/// When there is such a thing, or the folder cannot be made.
pub fn claim(root: &Path) -> Result<()> {
    let mark = root.join(MARK);
    if is_ours(&mark) {
        return Ok(());
    }
    let there: Vec<&str> =
        PARTS.into_iter().filter(|part| root.join(part).symlink_metadata().is_ok()).collect();
    // A cache from before there was a mark has both of these.
    let is_old = root.join("records").is_file() && root.join("objects").is_dir();
    if !is_old && !there.is_empty() {
        return Err(Fault::usage(format!(
            "{} cannot be the cache: it holds `{}`, which no run made",
            shown(root),
            there.join("`, `")
        ))
        .with_help("name another folder with `cache` in `[pipeline]` or --cache, or move these away"));
    }
    std::fs::create_dir_all(root).at("create", root)?;
    // Other programs mark their caches so, too.
    if mark.symlink_metadata().is_ok() {
        return Ok(());
    }
    match std::fs::write(&mark, SIGNATURE) {
        // A cache that can only be read needs no mark.
        Err(e) if is_old && e.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        Err(e) if is_old && e.kind() == std::io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        other => other.at("write", &mark),
    }
}

/// Removes what a cache consists of, and nothing else that lies in its folder.
///
/// # Errors
/// When the folder is no cache, or something cannot be removed.
pub fn remove_all(root: &Path) -> Result<()> {
    if !root.is_dir() {
        return Ok(());
    }
    let (mark, is_old) = (root.join(MARK), root.join("records").is_file() && root.join("objects").is_dir());
    if !is_ours(&mark) && !is_old {
        return Err(Fault::usage(format!("{} is no cache", shown(root)))
            .with_help("a cache has a file `CACHEDIR.TAG`; name yours with --cache"));
    }
    for part in PARTS {
        let path = root.join(part);
        match path.symlink_metadata() {
            Ok(m) if m.is_dir() => std::fs::remove_dir_all(&path).at("remove", &path)?,
            Ok(_) => std::fs::remove_file(&path).at("remove", &path)?,
            Err(_) => {}
        }
    }
    if is_ours(&mark) {
        remove(&mark);
    }
    Ok(())
}

/// Whether a mark is one of this program.
fn is_ours(mark: &Path) -> bool {
    std::fs::read(mark).is_ok_and(|text| text == SIGNATURE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_things_of_somebody_else_is_no_cache() {
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
        // What is called otherwise does no harm, and stays.
        let root = dir.path().join("c");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("README.md"), "mine").unwrap();
        claim(&root).unwrap();
        std::fs::create_dir_all(root.join("objects/ab")).unwrap();
        claim(&root).unwrap();
        remove_all(&root).unwrap();
        let left: Vec<_> = std::fs::read_dir(&root).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["README.md"]);
    }
}
