//! Names for folders under which a shell finds them without quotes.
//!
//! A script may write `cat $IN_list`. In a folder with a blank or a bracket in its path that would be several words, or a pattern.
//! So commands are told such folders under another name: a link in a folder of this run for temporary files.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The folders of a run, and what commands call them.
pub(super) struct Names {
    /// Folders of which paths are told, the inner ones first.
    folders: Vec<PathBuf>,
    links: OnceLock<Option<Links>>,
}

struct Links {
    /// Removed when the run is over.
    _folder: TempDir,
    /// In the order of the folders; `None`: it is told by its own name.
    links: Vec<Option<PathBuf>>,
}

impl Names {
    /// For paths below these folders.
    pub fn new(mut folders: Vec<PathBuf>) -> Self {
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.as_os_str().len()));
        folders.dedup();
        Self { folders, links: OnceLock::new() }
    }

    /// What a command is told of a path.
    pub fn of(&self, path: &Path) -> PathBuf {
        let Some(i) = self.folders.iter().position(|folder| path.starts_with(folder)) else {
            return path.to_owned();
        };
        if is_plain(&self.folders[i]) {
            return path.to_owned();
        }
        let links = self.links.get_or_init(|| Links::make(&self.folders));
        let link = links.as_ref().and_then(|l| l.links.get(i)).and_then(Option::as_ref);
        match (link, path.strip_prefix(&self.folders[i])) {
            (Some(link), Ok(below)) if below.as_os_str().is_empty() => link.clone(),
            (Some(link), Ok(below)) => link.join(below),
            _ => path.to_owned(),
        }
    }
}

impl Links {
    /// Where no such folder can be made, paths are told as they are.
    fn make(folders: &[PathBuf]) -> Option<Self> {
        let bases = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/dev/shm")];
        let folder = bases
            .iter()
            .filter(|base| is_plain(base))
            .find_map(|base| tempfile::Builder::new().prefix("lfs-pipe-").tempdir_in(base).ok())?;
        let link = |(i, target): (usize, &PathBuf)| {
            let link = folder.path().join(i.to_string());
            let made = !is_plain(target) && std::os::unix::fs::symlink(target, &link).is_ok();
            made.then_some(link)
        };
        let links = folders.iter().enumerate().map(link).collect();
        Some(Self { _folder: folder, links })
    }
}

/// Whether a shell takes a path for one word that means itself, without quotes.
fn is_plain(path: &Path) -> bool {
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
        let link = names.of(&odd);
        drop(names);
        assert!(link.symlink_metadata().is_err());
    }
}
