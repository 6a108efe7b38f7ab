//! A folder of files, named by relative paths with forward slashes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lfs_formats::names::{is_any_image, is_image, is_litter};
use lfs_stage::{Failure, IoContext, Result};
use walkdir::WalkDir;

use crate::left_out::LeftOut;

/// The entries below a folder.
#[derive(Default)]
struct Found {
    files: Vec<String>,
    folders: Vec<String>,
}

/// A folder.
pub(crate) struct Tree {
    root: PathBuf,
    within: Option<String>,
    source: Option<String>,
    /// The lists that were read.
    lists: Mutex<HashSet<String>>,
}

impl Tree {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), within: None, source: None, lists: Mutex::default() }
    }

    /// Adds names for messages: the folder's path in the source, and the name of the source.
    pub(crate) fn named(self, within: Option<&str>, source: &Path) -> Self {
        let source = source.file_stem().and_then(|n| n.to_str()).map(str::to_owned);
        Self { within: within.map(str::to_owned), source, ..self }
    }

    /// The name of the source. No output may depend on it.
    pub(crate) fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// The folder's path in the source.
    pub(crate) fn within(&self) -> Option<&str> {
        self.within.as_deref()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn is_dir(&self, name: &str) -> bool {
        self.path(name).is_dir()
    }

    pub(crate) fn is_file(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// Every file, sorted by path in byte order.
    pub(crate) fn all_files(&self) -> Result<Vec<String>> {
        Ok(self.walk("", |_| true)?.files)
    }

    /// The images below a folder (`""` is the root), relative to it, sorted. Files of file managers are ignored; other files are
    /// counted, except lists and similar files at the root. `persons`: the depth of the persons' folders, if there are any.
    pub(crate) fn images(
        &self,
        folder: &str,
        persons: Option<usize>,
        left_out: &mut LeftOut,
    ) -> Result<Vec<String>> {
        let found = self.walk(folder, |name| !is_litter(name))?;
        let (images, others): (Vec<String>, Vec<String>) = found.files.into_iter().partition(|f| is_image(f));
        for other in others.iter().filter(|f| !folder.is_empty() || f.contains('/') || is_any_image(f)) {
            left_out.file(folder, other);
        }
        if let Some(depth) = persons {
            let above =
                |path: &str| path.match_indices('/').nth(depth - 1).map(|(i, _)| path[..i].to_owned());
            let with: HashSet<String> = images.iter().filter_map(|i| above(i)).collect();
            let of_persons = found.folders.iter().filter(|f| f.split('/').count() == depth);
            for person in of_persons.filter(|f| !with.contains(f.as_str())) {
                left_out.person(folder, person);
            }
        }
        Ok(images)
    }

    /// The files that are neither `taken` nor lists that were read, sorted, each with the reason. An entry that cannot be listed is
    /// one of them.
    pub(crate) fn passed_over(&self, taken: &HashSet<&str>) -> Vec<(String, &'static str)> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = Vec::new();
        for entry in WalkDir::new(&self.root).follow_links(true).min_depth(1) {
            let (path, cannot) = match &entry {
                Ok(entry) if !entry.file_type().is_file() => continue,
                Ok(entry) => (entry.path(), false),
                Err(e) => (e.path().unwrap_or(&self.root), true),
            };
            let name = path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().replace('\\', "/");
            if taken.contains(name.as_str()) || lists.contains(&name) {
                continue;
            }
            let why = if cannot {
                "cannot be read"
            } else if name.split('/').any(is_litter) {
                "hidden, or left by a file manager"
            } else {
                "not read in this layout"
            };
            out.push((name, why));
        }
        out.sort();
        out
    }

    /// The names of the entries of a folder, sorted, without files of file managers.
    pub(crate) fn entries(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.path(folder);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path).doing("list", &path)? {
            let name = entry.doing("list", &path)?.file_name();
            names.push(name.into_string().map_err(|n| unreadable(&path.join(n)))?);
        }
        names.retain(|n| !is_litter(n));
        names.sort();
        Ok(names)
    }

    /// The text of a file in any of the usual encodings.
    pub(crate) fn text(&self, name: &str) -> Result<String> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        lfs_formats::text::decode(&self.bytes(name)?).map_err(|e| Failure::new(format!("{name}: {e}")))
    }

    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name);
        if !path.is_file() {
            return Err(Failure::new(format!("the file `{name}` is missing from the source"))
                .help(format!("the source holds at its top: {}", self.top())));
        }
        std::fs::read(&path).doing("read", &path)
    }

    /// The entries of the root, for messages.
    pub(crate) fn top(&self) -> String {
        let mut names = self.entries("").unwrap_or_default();
        let more = names.len().saturating_sub(12);
        names.truncate(12);
        if more > 0 {
            names.push(format!("and {more} more"));
        }
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }

    fn walk(&self, folder: &str, wanted: impl Fn(&str) -> bool) -> Result<Found> {
        let base = if folder.is_empty() { self.root.clone() } else { self.path(folder) };
        if !base.is_dir() {
            return Err(Failure::new(format!("the folder `{folder}` is missing from the source"))
                .help(format!("the source holds at its top: {}", self.top())));
        }
        let mut found = Found::default();
        let walk = WalkDir::new(&base).follow_links(true).min_depth(1).into_iter();
        for entry in walk.filter_entry(|e| e.file_name().to_str().is_none_or(&wanted)) {
            let entry = entry.map_err(|e| Failure::new(format!("cannot list the source: {e}")))?;
            let path = entry.path().strip_prefix(&base).unwrap_or(entry.path());
            let path = || path.to_str().map(|p| p.replace('\\', "/")).ok_or_else(|| unreadable(path));
            if entry.file_type().is_file() {
                found.files.push(path()?);
            } else if entry.file_type().is_dir() {
                found.folders.push(path()?);
            }
        }
        found.files.sort();
        found.folders.sort();
        Ok(found)
    }
}

fn unreadable(path: &Path) -> Failure {
    Failure::new(format!("the file name {} is not UTF-8", path.display())).help("rename the file")
}
