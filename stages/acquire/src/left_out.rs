//! Skipped entries of the source: messages for the user, and a complete list.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use lfs_stage::{IoContext, Result};

/// Collects skipped entries for the messages.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    /// The number of files whose extension is not that of an image, by extension (none: no extension).
    files: BTreeMap<Option<String>, usize>,
    /// The names of these files.
    names: BTreeSet<String>,
    /// Folders of persons without an image.
    persons: BTreeSet<String>,
    /// Other messages, by their keys in the notes of the data set.
    others: BTreeMap<&'static str, String>,
    /// All skipped entries by name, with the reason.
    rows: BTreeSet<(String, &'static str)>,
    /// Messages that are not stored in the notes, since they depend on more than the content of the source.
    said: Vec<String>,
}

/// The maximum number of names in a message.
const NAMED: usize = 10;

impl LeftOut {
    /// Adds a file by its name in a folder of the source (`""` is the root).
    pub(crate) fn file(&mut self, folder: &str, name: &str) {
        *self.files.entry(lfs_formats::names::ending(name)).or_default() += 1;
        self.names.insert(name.to_owned());
        self.row(&within(folder, name), "no image by its name");
    }

    /// Adds a skipped entry to the list.
    pub(crate) fn row(&mut self, name: &str, why: &'static str) {
        self.rows.insert((name.to_owned(), why));
    }

    /// Adds the entries for which no other reason was given.
    pub(crate) fn rest(&mut self, found: Vec<(String, &'static str)>) {
        let known: HashSet<String> = self.rows.iter().map(|(name, _)| name.clone()).collect();
        self.rows.extend(found.into_iter().filter(|(name, _)| !known.contains(name)));
    }

    /// Writes the list.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        write(folder, self.rows.iter().map(|(name, why)| (name.as_str(), *why)))
    }

    /// The names of the files that were skipped.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(crate) fn person(&mut self, folder: &str, person: &str) {
        self.persons.insert(person.to_owned());
        self.row(&within(folder, person), "a person's folder without an image");
    }

    pub(crate) fn other(&mut self, key: &'static str, text: String) {
        self.others.insert(key, text);
    }

    pub(crate) fn say(&mut self, text: String) {
        self.said.push(text);
    }

    /// Messages that are not part of the notes of the data set.
    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }

    /// Messages by their keys in the notes of the data set.
    pub(crate) fn told(&self) -> BTreeMap<&'static str, String> {
        let mut told = self.others.clone();
        if !self.files.is_empty() {
            let mut kinds: Vec<(&Option<String>, &usize)> = self.files.iter().collect();
            kinds.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            let kinds: Vec<String> = kinds
                .into_iter()
                .map(|(ending, n)| match ending {
                    Some(ending) => format!("{n} .{ending}"),
                    None => format!("{n} without an ending"),
                })
                .collect();
            let n: usize = self.files.values().sum();
            let files = if n == 1 { "file" } else { "files" };
            told.insert(
                "passed-over",
                format!("{n} {files} passed over, no images by their names: {}", some(&kinds)),
            );
        }
        if !self.persons.is_empty() {
            let n = self.persons.len();
            let persons: Vec<String> = self.persons.iter().map(|p| format!("`{p}`")).collect();
            let verb = if n == 1 { "folder has" } else { "folders have" };
            told.insert(
                "without-images",
                format!("{n} {verb} no image and give no identity: {}", some(&persons)),
            );
        }
        told
    }
}

/// The path of a name in a folder, relative to the root of the source.
fn within(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Writes `passed-over.csv`: a row for every skipped entry.
pub(crate) fn write<'a>(folder: &Path, rows: impl Iterator<Item = (&'a str, &'a str)>) -> Result<()> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let path = folder.join("passed-over.csv");
    let table = || -> std::result::Result<(), csv::Error> {
        let mut out = csv::Writer::from_path(&path)?;
        out.write_record(["name", "why"])?;
        for (name, why) in rows {
            out.write_record([name, why])?;
        }
        out.flush()?;
        Ok(())
    };
    table().doing("write", &path)
}

/// The first ten names.
pub(crate) fn some(all: &[String]) -> String {
    let more = if all.len() > NAMED { ", .." } else { "" };
    format!("{}{more}", all[..all.len().min(NAMED)].join(", "))
}
