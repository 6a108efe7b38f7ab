//! Reads what is needed to detect the format of a path.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::DataError;
use crate::names::{ending, is_litter};

/// The number of bytes to read.
const START: u64 = 4096;

/// The beginning of a file, or the entries of a folder.
pub struct Look {
    /// The path.
    pub path: PathBuf,
    /// The first bytes of a file; empty for a folder.
    pub start: Vec<u8>,
    /// The length of a file.
    pub length: u64,
    /// The names of a folder's entries, sorted, without files of file managers; none for a file.
    pub names: Option<Vec<String>>,
}

impl Look {
    /// Examines a file or folder.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn at(path: &Path) -> Result<Self, DataError> {
        let fail = |e: std::io::Error| DataError::new(format!("cannot read {}: {e}", path.display()));
        let meta = std::fs::metadata(path).map_err(fail)?;
        if !meta.is_dir() && !meta.is_file() {
            return Err(DataError::new(format!("{} is neither a file nor a folder", path.display())));
        }
        let mut look = Self { path: path.to_owned(), start: Vec::new(), length: 0, names: None };
        if meta.is_dir() {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(path).map_err(fail)? {
                names.push(entry.map_err(fail)?.file_name().to_string_lossy().into_owned());
            }
            names.retain(|n| !is_litter(n));
            names.sort();
            look.names = Some(names);
        } else {
            File::open(path).and_then(|f| f.take(START).read_to_end(&mut look.start)).map_err(fail)?;
            look.length = meta.len();
        }
        Ok(look)
    }

    /// Whether it is a folder with an entry of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.as_ref().is_some_and(|names| names.iter().any(|n| n == name))
    }

    /// The entries of a folder with this extension.
    pub fn with_ending<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a String> {
        self.names.iter().flatten().filter(move |n| ending(n).as_deref() == Some(wanted))
    }

    /// Whether the file begins with these bytes.
    pub fn begins(&self, bytes: &[u8]) -> bool {
        self.start.starts_with(bytes)
    }

    /// A description for messages.
    pub(super) fn found(&self) -> String {
        match &self.names {
            Some(names) if names.is_empty() => "an empty folder".to_owned(),
            Some(names) => {
                let more = if names.len() > 8 { ", .." } else { "" };
                format!("a folder with {}{more}", names[..names.len().min(8)].join(", "))
            }
            None if self.length == 0 => "an empty file".to_owned(),
            None => {
                let start: Vec<String> = self.start.iter().take(8).map(|b| format!("{b:02x}")).collect();
                format!("a file of {} bytes that begins with {}", self.length, start.join(" "))
            }
        }
    }
}
