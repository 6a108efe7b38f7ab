//! What a layout finds and does not take.

use std::collections::{BTreeMap, BTreeSet};

/// What is passed over, to be told.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    /// Files that are no images by their ending, counted by ending (none: without one).
    files: BTreeMap<Option<String>, usize>,
    /// Their names.
    names: BTreeSet<String>,
    /// Persons' folders in which there is no image.
    persons: BTreeSet<String>,
    /// Other things, by what they are called in the data set's notes.
    others: BTreeMap<&'static str, String>,
    /// What is said but not noted, as it depends on more than the source's content.
    said: Vec<String>,
}

/// How many of something are named.
const NAMED: usize = 10;

impl LeftOut {
    pub(crate) fn file(&mut self, name: &str) {
        *self.files.entry(lfs_formats::names::ending(name)).or_default() += 1;
        self.names.insert(name.to_owned());
    }

    /// The files that were passed over.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(crate) fn person(&mut self, folder: &str) {
        self.persons.insert(folder.to_owned());
    }

    pub(crate) fn other(&mut self, key: &'static str, text: String) {
        self.others.insert(key, text);
    }

    pub(crate) fn say(&mut self, text: String) {
        self.said.push(text);
    }

    /// Sentences that are no part of the data set's notes.
    pub(crate) fn said(&self) -> &[String] {
        &self.said
    }

    /// Sentences, each with its key in the data set's notes.
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

/// The first ten of some things.
pub(crate) fn some(all: &[String]) -> String {
    let more = if all.len() > NAMED { ", .." } else { "" };
    format!("{}{more}", all[..all.len().min(NAMED)].join(", "))
}
