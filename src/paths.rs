//! Paths, in a form in which they can be compared.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use crate::fault::{At, Result};

/// The absolute form of a path; the path itself if there is no current folder.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// An absolute path without `..`: links are followed as far as the path exists. Two paths to one place are equal in this form.
pub fn plain(path: &Path) -> PathBuf {
    let path = absolute(path);
    let there = path.ancestors().find_map(|part| Some((part.canonicalize().ok()?, part)));
    let (mut out, rest) = match &there {
        Some((real, part)) => (real.clone(), path.strip_prefix(part).unwrap_or(&path)),
        None => (PathBuf::from("/"), path.as_path()),
    };
    for part in rest.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
    }
    out
}

/// Whether one of two paths in their plain form is the other, or lies in it.
pub fn overlap(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// Writes a file next to its place and renames it: at any instant either the old or the new file is there, complete.
///
/// # Errors
/// When it cannot be written.
pub fn write_whole(file: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    // A link stays a link.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let rights = match std::fs::metadata(&file) {
        Ok(m) if !m.is_file() => {
            // A pipe or a device cannot be replaced by a file.
            return std::fs::write(&file, bytes).at("write", &file);
        }
        Ok(m) => m.permissions(),
        Err(_) => std::fs::Permissions::from_mode(0o666),
    };
    let written =
        tempfile::Builder::new().prefix(".lfs-pipe-").permissions(rights).tempfile_in(folder).and_then(
            |mut t| {
                t.write_all(bytes.as_ref())?;
                t.as_file().sync_all()?;
                t.persist(&file).map(drop).map_err(|e| e.error)
            },
        );
    written.at("write", &file)
}

/// Why a text is no path below a folder, if it is none.
pub fn not_below(text: &str) -> Option<&'static str> {
    let clean = text.trim_end_matches('/');
    if clean.contains('\0') {
        return Some("a path has no NUL in it");
    }
    if clean.is_empty() || !clean.split('/').all(|p| !p.is_empty() && p != "." && p != "..") {
        return Some("outputs lie below the stage's own folder: write a relative path without `.` or `..`");
    }
    if clean.split('/').any(|p| p.len() > LONGEST_NAME) {
        return Some("a name in a path has 255 bytes at the most");
    }
    None
}

/// The longest name that file systems accept (NAME_MAX), in bytes.
pub const LONGEST_NAME: usize = 255;

/// The longest path that the kernel accepts (PATH_MAX, with its closing zero), in bytes.
pub const LONGEST_PATH: usize = 4095;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ways_to_a_place_are_one_path() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
        for way in ["a/b/f", "link/b/f", "a/../a/b/./f", "link/b/../b/f"] {
            assert_eq!(plain(&root.join(way)), root.join("a/b/f"), "{way}");
        }
        assert!(
            overlap(Path::new("/a/b"), Path::new("/a")) && !overlap(Path::new("/a/b"), Path::new("/a/bc"))
        );
    }

    #[test]
    fn a_file_is_written_whole_and_keeps_its_rights_and_its_link() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("f"), dir.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_whole(&link, "new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert!(link.is_symlink());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside it");
    }

    #[test]
    fn only_plain_relative_paths_are_below_a_folder() {
        for good in ["a", "a/b.txt", "a/", ".hidden"] {
            assert_eq!(not_below(good), None, "{good}");
        }
        let long = "x".repeat(256);
        for bad in ["", "/", "/etc/passwd", "..", "../a", "a/../../b", "a//b", "./a", "a\0b", long.as_str()] {
            assert!(not_below(bad).is_some(), "{bad:?}");
        }
    }
}
