//! A test set's own list files: a folder, or one file.

use std::fs;
use std::path::{Path, PathBuf};

use lfs_formats::names::is_litter;
use lfs_stage::{Failure, IoContext, Result};

/// A test set's own list files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    root: PathBuf,
    files: Vec<String>,
    /// Whether one file was given, rather than a folder.
    one: bool,
}

impl Lists {
    /// Lists the folder recursively, ignoring the files of file managers; a file is a folder with this file alone.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub fn open(root: &Path) -> Result<Self> {
        if let (false, Some(name), Some(folder)) = (root.is_dir(), root.file_name(), root.parent()) {
            let files = vec![name.to_string_lossy().into_owned()];
            return Ok(Self { root: folder.to_owned(), files, one: true });
        }
        let mut files = Vec::new();
        walk(root, "", &mut files)?;
        files.sort();
        Ok(Self { root: root.to_owned(), files, one: false })
    }

    /// All files, relative to the root, sorted.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The file whose path is `name` or ends in `/name`; the least deep one if there are several.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(&self, name: &str) -> Result<&str> {
        let ends =
            |f: &&String| f.as_str() == name || f.strip_suffix(name).is_some_and(|rest| rest.ends_with('/'));
        let found = self.files.iter().filter(ends).min_by_key(|f| (f.matches('/').count(), f.as_str()));
        found.map(String::as_str).ok_or_else(|| {
            let some: Vec<&str> = self.files.iter().take(8).map(String::as_str).collect();
            let there = if some.is_empty() { "no file".to_owned() } else { some.join(", ") };
            Failure::new(format!("the input `lists` has no `{name}`; it has {there}"))
                .help("check `set` of this stage and `layout` of the acquire stage behind it")
        })
    }

    /// The one file of a protocol that has no other: that of this name, or the file that was given.
    ///
    /// # Errors
    /// If there is none.
    pub fn find_only(&self, name: &str) -> Result<&str> {
        match self.files.as_slice() {
            [given] if self.one => Ok(given),
            _ => self.find(name),
        }
    }

    /// The text of the file found by [`Lists::find`].
    ///
    /// # Errors
    /// If it does not exist or is not text.
    pub fn read(&self, name: &str) -> Result<Text> {
        self.text(self.find(name)?)
    }

    /// The text of the file found by [`Lists::find_only`].
    ///
    /// # Errors
    /// If it does not exist or is not text.
    pub fn read_only(&self, name: &str) -> Result<Text> {
        self.text(self.find_only(name)?)
    }

    fn text(&self, file: &str) -> Result<Text> {
        let file = file.to_owned();
        let path = self.root.join(&file);
        let text = lfs_formats::text::decode(&fs::read(&path).doing("read", &path)?)
            .map_err(|e| Failure::new(format!("{file}: {e}")))?;
        Ok(Text { file, text })
    }

    /// The bytes of a file found by [`Lists::find`] or [`Lists::find_only`].
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn bytes(&self, file: &str) -> Result<Vec<u8>> {
        let path = self.root.join(file);
        fs::read(&path).doing("read", &path)
    }
}

/// A list file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its path relative to the lists, for messages.
    pub file: String,
    /// Its content.
    pub text: String,
}

impl Text {
    /// The lines that are not blank.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let lines = self.text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
        lines.map(|(i, text)| Line { file: &self.file, number: i + 1, text: text.trim_end() })
    }

    /// An error about the file as a whole.
    pub fn fault(&self, what: impl std::fmt::Display) -> Failure {
        Failure::new(format!("{}: {what}", self.file))
    }
}

/// A line of a list.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    file: &'a str,
    number: usize,
    /// The line, without trailing white space.
    pub text: &'a str,
}

impl<'a> Line<'a> {
    /// An error about this line.
    pub fn fault(&self, expected: impl std::fmt::Display) -> Failure {
        let Self { file, number, text } = self;
        Failure::new(format!("{file}, line {number}: expected {expected}, found `{text}`"))
    }

    /// Its fields.
    pub fn fields(&self) -> Vec<&'a str> {
        lfs_formats::lists::fields(self.text)
    }

    /// Parses a number of this line.
    ///
    /// # Errors
    /// If it is not a number; `what` describes what was expected.
    pub fn number<T: std::str::FromStr>(&self, field: &str, what: &str) -> Result<T> {
        field.trim().parse().map_err(|_| self.fault(format!("{what}, a number")))
    }
}

fn walk(folder: &Path, prefix: &str, out: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).doing("list", folder)? {
        let entry = entry.doing("list", folder)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_litter(&name) {
            continue;
        }
        let name = format!("{prefix}{name}");
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{name}/"), out)?;
        } else {
            out.push(name);
        }
    }
    Ok(())
}
