//! Names for folders under which a shell finds them without quotes.
//!
//! A script may write `cat $IN_list`. In a folder with a blank or a bracket in its path that would be several words, or a pattern.
//! So commands are given such folders under another name: a link in a folder for temporary files, the same in every run.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::digest::Digest;

/// The folders of a run, and what commands call them.
pub(super) struct Names {
    /// Folders whose paths are given to commands, the inner ones first.
    folders: Vec<PathBuf>,
    links: OnceLock<Vec<Option<PathBuf>>>,
}

impl Names {
    /// For paths below these folders.
    pub fn new(mut folders: Vec<PathBuf>) -> Self {
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.as_os_str().len()));
        folders.dedup();
        Self { folders, links: OnceLock::new() }
    }

    /// The path that a command is given.
    pub fn of(&self, path: &Path) -> PathBuf {
        let Some(i) = self.folders.iter().position(|folder| path.starts_with(folder)) else {
            return path.to_owned();
        };
        if is_plain(&self.folders[i]) {
            return path.to_owned();
        }
        let links = self.links.get_or_init(|| self.folders.iter().map(|folder| link(folder)).collect());
        match (links.get(i).and_then(Option::as_ref), path.strip_prefix(&self.folders[i])) {
            (Some(link), Ok(below)) if below.as_os_str().is_empty() => link.clone(),
            (Some(link), Ok(below)) => link.join(below),
            _ => path.to_owned(),
        }
    }
}

/// A link to a folder that has the same name in every run, since commands may write down what they are given. Where no such link can be
/// made, paths are given unchanged.
fn link(folder: &Path) -> Option<PathBuf> {
    if is_plain(folder) {
        return None;
    }
    let name = Digest::derive("lfs-pipe 2026 name of a folder", folder.as_os_str().as_encoded_bytes());
    let own = rustix::process::geteuid();
    let bases = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/dev/shm")];
    bases.iter().filter(|base| is_plain(base)).find_map(|base| {
        let room = base.join(format!("lfs-pipe-{}", own.as_raw()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&room);
        // A folder of another user, or a link, is none to trust.
        let metadata = std::fs::symlink_metadata(&room).ok()?;
        let is_own = metadata.is_dir() && metadata.uid() == own.as_raw() && metadata.mode() & 0o022 == 0;
        if !is_own || made.is_err_and(|e| e.kind() != std::io::ErrorKind::AlreadyExists) {
            return None;
        }
        let link = room.join(name.short());
        if std::fs::read_link(&link).is_ok_and(|target| target == folder) {
            return Some(link);
        }
        let temporary = room.join(format!("{}.{}", name.short(), std::process::id()));
        std::os::unix::fs::symlink(folder, &temporary).ok()?;
        std::fs::rename(&temporary, &link).ok()?;
        Some(link)
    })
}

/// Whether a shell takes a path for one word that means itself, without quotes.
pub(super) fn is_plain(path: &Path) -> bool {
    let special = |c: char| c.is_whitespace() || c.is_control() || "*?[]\\'\"$`".contains(c);
    path.to_str().is_some_and(|text| !text.contains(special))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_blank_or_a_bracket_has_another_name_and_others_keep_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let (odd, inner) = (dir.path().join("my [1] project"), dir.path().join("my [1] project/cache"));
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(inner.join("f"), "x").unwrap();
        let names = Names::new(vec![odd.clone(), inner.clone(), dir.path().join("plain")]);
        for path in [inner.join("f"), odd.join("cache/f")] {
            let told = names.of(&path);
            assert!(is_plain(&told), "{}", told.display());
            assert_eq!(std::fs::read(&told).unwrap(), b"x");
        }
        assert_eq!(std::fs::canonicalize(names.of(&odd)).unwrap(), odd.canonicalize().unwrap());
        for path in [dir.path().join("plain/a b"), PathBuf::from("/elsewhere/a b")] {
            assert_eq!(names.of(&path), path);
        }
        let again = Names::new(vec![odd.clone()]);
        assert_eq!(again.of(&odd), names.of(&odd), "the next run says the same");
        // What a link is called tells where it leads.
        std::fs::remove_file(names.of(&odd)).unwrap();
        std::os::unix::fs::symlink("/elsewhere", names.of(&odd)).unwrap();
        let again = Names::new(vec![odd.clone()]);
        assert_eq!(std::fs::read_link(again.of(&odd)).unwrap(), odd);
    }
}
