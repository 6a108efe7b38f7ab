//! A folder of files, named by relative paths with forward slashes.

use std::path::{Path, PathBuf};

use lfs_stage::{Failure, IoContext, Result};
use walkdir::WalkDir;

/// What an image file may be called.
const IMAGES: [&str; 8] = ["jpg", "jpeg", "png", "ppm", "pgm", "pnm", "bmp", "webp"];

/// A folder.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
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
        self.walk("", |_| true)
    }

    /// The images below a folder (`""` is the root), relative to it, sorted; hidden files and folders are passed over.
    pub(crate) fn images(&self, folder: &str) -> Result<Vec<String>> {
        let files = self.walk(folder, |name| !name.starts_with('.') && name != "__MACOSX")?;
        Ok(files.into_iter().filter(|f| is_image(f)).collect())
    }

    /// The names of what lies directly in a folder, sorted.
    pub(crate) fn entries(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.path(folder);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path).doing("list", &path)? {
            let name = entry.doing("list", &path)?.file_name();
            names.push(name.into_string().map_err(|n| unreadable(&path.join(n)))?);
        }
        names.sort();
        Ok(names)
    }

    /// A text file; what is not UTF-8 in it is replaced.
    pub(crate) fn text(&self, name: &str) -> Result<String> {
        let bytes = self.bytes(name)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
    }

    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name);
        if !path.is_file() {
            return Err(Failure::new(format!("the file `{name}` is missing from the source"))
                .help(format!("the source holds at its top: {}", self.top())));
        }
        std::fs::read(&path).doing("read", &path)
    }

    /// What lies at the top, for messages.
    pub(crate) fn top(&self) -> String {
        let mut names = self.entries("").unwrap_or_default();
        let more = names.len().saturating_sub(12);
        names.truncate(12);
        if more > 0 {
            names.push(format!("and {more} more"));
        }
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }

    fn walk(&self, folder: &str, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let base = if folder.is_empty() { self.root.clone() } else { self.path(folder) };
        if !base.is_dir() {
            return Err(Failure::new(format!("the folder `{folder}` is missing from the source"))
                .help(format!("the source holds at its top: {}", self.top())));
        }
        let mut files = Vec::new();
        let walk = WalkDir::new(&base).follow_links(true).min_depth(1).into_iter();
        for entry in walk.filter_entry(|e| e.file_name().to_str().is_none_or(&wanted)) {
            let entry = entry.map_err(|e| Failure::new(format!("cannot list the source: {e}")))?;
            if entry.file_type().is_file() {
                let path = entry.path().strip_prefix(&base).unwrap_or(entry.path());
                files.push(path.to_str().ok_or_else(|| unreadable(path))?.replace('\\', "/"));
            }
        }
        files.sort();
        Ok(files)
    }
}

fn unreadable(path: &Path) -> Failure {
    Failure::new(format!("the file name {} is not UTF-8", path.display())).help("rename the file")
}

pub(crate) fn is_image(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, e)| IMAGES.iter().any(|i| e.eq_ignore_ascii_case(i)))
}
