//! Untrusted names: of files of a repository, of members of an archive. No name may lead out of the output folder, and no two files
//! may have the same name.

use std::collections::BTreeSet;

use glob::{MatchOptions, Pattern};
use lfs_stage::{Failure, Result};

/// The maximum length of a file name on common file systems, in bytes.
const PART: usize = 255;
/// The maximum length of a path, in bytes.
const WHOLE: usize = 4000;

/// Checks for a relative path of plain parts with forward slashes.
///
/// # Errors
/// If it is anything else; the message names it.
pub(crate) fn safe(name: &str) -> Result<&str> {
    let no = |why: &str| {
        let shown: String = name.chars().take(200).collect();
        let shown = shown.escape_debug();
        Err(Failure::new(format!("the name `{shown}` {why}"))
            .help("the source is not to be trusted with it; nothing of it was put anywhere"))
    };
    let is_drive = matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    match name {
        "" => no("is empty"),
        _ if name.len() > WHOLE => no("is too long for a path"),
        _ if name.chars().any(char::is_control) => no("has control characters"),
        _ if name.contains('\\') => no("has a backslash, which leads elsewhere on some systems"),
        _ if name.starts_with('/') || is_drive => no("is absolute"),
        _ if name.split('/').any(|p| p == "..") => no("leads out of its folder"),
        _ if name.split('/').any(|p| p.is_empty() || p == ".") => no("has an empty part"),
        _ if name.split('/').any(|p| p.len() > PART) => no("has a part that is too long for a file"),
        _ => Ok(name),
    }
}

/// Checks the names of all files of a source.
///
/// # Errors
/// If one is unsafe, a duplicate, or both a file and a folder.
pub(crate) fn all_safe<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut files = BTreeSet::new();
    for name in names {
        if !files.insert(safe(name)?) {
            return Err(Failure::new(format!("the name `{name}` appears twice"))
                .help("it is ambiguous which of the two is meant; ask the makers of the source"));
        }
    }
    for name in &files {
        for (slash, _) in name.match_indices('/') {
            if files.contains(&name[..slash]) {
                return Err(Failure::new(format!(
                    "the name `{}` is a file and a folder at once",
                    &name[..slash]
                ))
                .help("ask the makers of the source which of the two is meant"));
            }
        }
    }
    Ok(())
}

/// The patterns of the parameter `files`.
pub(crate) struct Patterns(Vec<Pattern>);

impl Patterns {
    /// Parses patterns. A pattern that ends in a slash selects everything below that folder.
    ///
    /// # Errors
    /// If a pattern is invalid.
    pub fn new(patterns: &[String]) -> Result<Self> {
        let read = |text: &String| {
            let whole = if text.ends_with('/') { format!("{text}*") } else { text.clone() };
            Pattern::new(&whole).map_err(|e| {
                Failure::new(format!("`files`: `{text}` is no pattern: {e}"))
                    .help("`*` matches any characters, slashes too; `?` for one; `[ab]` for one of these")
            })
        };
        patterns.iter().map(read).collect::<Result<_>>().map(Self)
    }

    /// The names that are at or below `path` and match a pattern, sorted.
    ///
    /// # Errors
    /// If there are none, or a pattern matches none.
    pub fn choose<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
        path: Option<&str>,
    ) -> Result<Vec<&'a str>> {
        let mut all: Vec<&str> = names.collect();
        all.sort_unstable();
        let below = |name: &&str| match path {
            None => true,
            Some(path) => {
                name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        };
        let there: Vec<&str> = all.iter().copied().filter(below).collect();
        if let (true, Some(path)) = (there.is_empty(), path) {
            return Err(
                Failure::new(format!("the source has no file and no folder `{path}`")).help(holds(&all))
            );
        }
        if there.is_empty() {
            return Err(Failure::new("the source holds no files"));
        }
        let options = MatchOptions { case_sensitive: true, ..MatchOptions::new() };
        let fits = |pattern: &Pattern, name: &str| pattern.matches_with(name, options);
        if let Some(idle) = self.0.iter().find(|p| !there.iter().any(|name| fits(p, name))) {
            return Err(Failure::new(format!("`files`: no file fits `{idle}`")).help(holds(&there)));
        }
        let chosen = |name: &&str| self.0.is_empty() || self.0.iter().any(|p| fits(p, name));
        Ok(there.into_iter().filter(chosen).collect())
    }
}

/// The present names, for messages.
fn holds(names: &[&str]) -> String {
    let some: Vec<String> = names.iter().take(8).map(|n| format!("`{n}`")).collect();
    let more = names.len().saturating_sub(some.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if some.is_empty() {
        "it holds no files".to_owned()
    } else {
        format!("it holds {}{more}", some.join(", "))
    }
}
