//! From a path with wildcards to files.
//!
//! `*`, `?` and `[...]` match a part of a name, `**` any number of folders; at the end it matches every file below.
//! Names that begin with a dot match only where the pattern has the dot. A pattern matches files, never folders.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::paths::plain;

/// What is wrong with a pattern, or with a path that it follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is no pattern.
    Syntax(String),
    /// Folders that cannot be read, links that lead nowhere or in a circle, names that are not UTF-8.
    Found(Vec<String>),
}

/// Whether a text of a manifest has wildcards in it. A text that is the path of an existing file has none.
pub(super) fn is_pattern(root: &Path, text: &str) -> bool {
    text.contains(['*', '?', '[']) && root.join(text).symlink_metadata().is_err()
}

/// The part of a pattern before its first wildcard.
pub(super) fn fixed(text: &str) -> PathBuf {
    let is_wild = |part: &&str| part.contains(['*', '?', '[']);
    let parts: Vec<&str> = text.split('/').take_while(|part| !is_wild(part)).collect();
    match (parts.as_slice(), text.starts_with('/')) {
        ([""], true) => PathBuf::from("/"),
        (parts, _) => PathBuf::from(parts.join("/")),
    }
}

/// The files that a text with wildcards means: those that match, or the one with exactly this name.
pub(super) fn meant(root: &Path, text: &str, left_out: &[PathBuf]) -> Result<Vec<PathBuf>, Wrong> {
    match is_pattern(root, text) {
        true => matching(root, text, left_out),
        false => Ok(vec![root.join(text)]),
    }
}

/// Whether a path below `root`, relative to it or absolute, has the form that a pattern matches.
pub(super) fn fits(root: &Path, text: &str, path: &Path) -> bool {
    let parts: Result<Vec<Part>, _> =
        text.split('/').filter(|part| !part.is_empty()).map(Part::read).collect();
    let start = if text.starts_with('/') { Path::new("/") } else { root };
    let (Ok(parts), Ok(below)) = (parts, path.strip_prefix(start)) else { return false };
    let names: Option<Vec<&str>> = below.iter().map(|name| name.to_str()).collect();
    names.is_some_and(|names| fit(&parts, &names))
}

fn fit(parts: &[Part], names: &[&str]) -> bool {
    match (parts, names) {
        ([], []) => true,
        ([Part::Name(part), parts @ ..], _) if part == "." => fit(parts, names),
        ([Part::Name(part), parts @ ..], [name, names @ ..]) => part == name && fit(parts, names),
        ([Part::Any(part), parts @ ..], [name, names @ ..]) => {
            part.matches_with(name, OPTIONS) && fit(parts, names)
        }
        ([Part::Deep], []) => false,
        ([Part::Deep], _) => names.iter().all(|name| !name.starts_with('.')),
        ([Part::Deep, rest @ ..], _) => {
            fit(rest, names)
                || names.split_first().is_some_and(|(n, names)| !n.starts_with('.') && fit(parts, names))
        }
        _ => false,
    }
}

/// The files that a pattern matches, sorted. Relative ones begin at `root`; the folders `left_out` are not searched.
pub(super) fn matching(root: &Path, text: &str, left_out: &[PathBuf]) -> Result<Vec<PathBuf>, Wrong> {
    let parts: Result<Vec<Part>, _> =
        text.split('/').filter(|part| !part.is_empty()).map(Part::read).collect();
    let parts = parts.map_err(|e| Wrong::Syntax(e.msg.to_owned()))?;
    let mut walk = Walk {
        left_out,
        numbers: left_out.iter().filter_map(|f| std::fs::metadata(f).ok()).map(|m| number(&m)).collect(),
        above: Vec::new(),
        found: Vec::new(),
        wrong: Vec::new(),
    };
    let start = if text.starts_with('/') { Path::new("/") } else { root };
    if !walk.is_left_out(&plain(start)) {
        walk.folder(start, &parts);
    }
    walk.found.sort();
    walk.found.dedup();
    walk.wrong.sort();
    walk.wrong.dedup();
    if walk.wrong.is_empty() { Ok(walk.found) } else { Err(Wrong::Found(walk.wrong)) }
}

/// A part of a pattern between two slashes.
enum Part {
    Name(String),
    Any(Pattern),
    Deep,
}

impl Part {
    fn read(text: &str) -> Result<Self, glob::PatternError> {
        Ok(match text {
            "**" => Self::Deep,
            text if text.contains(['*', '?', '[']) => Self::Any(Pattern::new(text)?),
            text => Self::Name(text.to_owned()),
        })
    }
}

const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The numbers of a file's device and inode.
fn number(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

struct Walk<'a> {
    left_out: &'a [PathBuf],
    /// The numbers of those that exist.
    numbers: Vec<(u64, u64)>,
    /// The folders above this one, to notice links that lead in a circle.
    above: Vec<(u64, u64)>,
    found: Vec<PathBuf>,
    wrong: Vec<String>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, parts: &[Part]) {
        match parts {
            [] => {}
            [Part::Name(name), rest @ ..] => {
                let path = folder.join(name);
                // It may lead anywhere, also by a link.
                let is_left_out = self.is_left_out(&plain(&path));
                match std::fs::metadata(&path) {
                    Ok(m) if rest.is_empty() && m.is_file() && !is_left_out => self.found.push(path),
                    Ok(m) if !rest.is_empty() && m.is_dir() && !is_left_out => self.folder(&path, rest),
                    _ => {}
                }
            }
            [Part::Any(pattern), rest @ ..] => {
                let matches = |name: &str| pattern.matches_with(name, OPTIONS);
                for (path, metadata) in self.entries(folder, &matches, rest.is_empty()) {
                    match rest.is_empty() {
                        true if metadata.is_file() => self.found.push(path),
                        false if metadata.is_dir() => self.enter(&path, &metadata, rest),
                        _ => {}
                    }
                }
            }
            [Part::Deep, rest @ ..] => {
                if !rest.is_empty() {
                    self.folder(folder, rest);
                }
                let matches = |name: &str| !name.starts_with('.');
                for (path, metadata) in self.entries(folder, &matches, rest.is_empty()) {
                    match metadata.is_dir() {
                        true => self.enter(&path, &metadata, parts),
                        false if rest.is_empty() && metadata.is_file() => self.found.push(path),
                        false => {}
                    }
                }
            }
        }
    }

    fn enter(&mut self, folder: &Path, metadata: &Metadata, parts: &[Part]) {
        let number = number(metadata);
        if self.numbers.contains(&number) || folder.is_symlink() && self.is_left_out(&plain(folder)) {
            return;
        }
        if self.above.contains(&number) {
            self.wrong.push(format!("{} is a link to a folder above it", folder.display()));
            return;
        }
        self.above.push(number);
        self.folder(folder, parts);
        self.above.pop();
    }

    /// Whether a path without links is one that is left out, or below one.
    fn is_left_out(&self, path: &Path) -> bool {
        self.left_out.iter().any(|left_out| path.starts_with(left_out))
    }

    /// What lies in a folder under names that match. `all`: links that lead nowhere are reported.
    fn entries(
        &mut self,
        folder: &Path,
        matches: &dyn Fn(&str) -> bool,
        all: bool,
    ) -> Vec<(PathBuf, Metadata)> {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if matches!(e.kind(), NotFound | NotADirectory) => return vec![],
            Err(e) => {
                self.wrong.push(format!("{} cannot be read: {e}", folder.display()));
                return vec![];
            }
        };
        let mut out = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                // It is unknown whether it would match.
                self.wrong.push(format!("the name of {} is not UTF-8", path.display()));
                continue;
            };
            if !matches(name) {
                continue;
            }
            match std::fs::metadata(&path) {
                Ok(metadata) => out.push((path, metadata)),
                Err(e) if all => self.wrong.push(format!("{} leads nowhere: {e}", path.display())),
                Err(_) => {}
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        dir
    }

    fn found(dir: &Path, text: &str) -> Vec<String> {
        let found = matching(dir, text, &[]).unwrap();
        found.iter().map(|p| p.strip_prefix(dir).unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_pattern_means_files_and_hidden_ones_only_where_it_says_so() {
        let dir = tree(&[
            "b.txt",
            "a.txt",
            "c.md",
            ".d.txt",
            "sub/e.txt",
            "sub/deep/f.txt",
            "sub/.g.txt",
            ".git/h.txt",
            "x.txt/i.txt",
        ]);
        let root = dir.path();
        assert_eq!(found(root, "*.txt"), ["a.txt", "b.txt"], "x.txt is a folder");
        assert_eq!(found(root, "[ab].txt"), ["a.txt", "b.txt"]);
        assert_eq!(found(root, "?.md"), ["c.md"]);
        assert_eq!(found(root, ".*.txt"), [".d.txt"]);
        assert_eq!(found(root, "sub/*"), ["sub/e.txt"]);
        assert_eq!(found(root, "*/*.txt"), ["sub/e.txt", "x.txt/i.txt"]);
        let all = ["a.txt", "b.txt", "c.md", "sub/deep/f.txt", "sub/e.txt", "x.txt/i.txt"];
        assert_eq!(found(root, "**"), all);
        assert_eq!(found(root, "**/*"), all);
        assert_eq!(found(root, "**/**"), all);
        assert_eq!(found(root, "sub/**"), ["sub/deep/f.txt", "sub/e.txt"]);
        assert_eq!(found(root, "**/f.txt"), ["sub/deep/f.txt"]);
        assert_eq!(found(root, "**/deep/*"), ["sub/deep/f.txt"]);
        assert_eq!(found(root, ".git/**"), [".git/h.txt"]);
        assert_eq!(found(root, "sub/../sub/*.txt"), ["sub/../sub/e.txt"]);
        assert_eq!(found(root, &format!("{}/*.md", root.display())), ["c.md"]);
        assert!(found(root, "none/*").is_empty() && found(root, "a.txt/*").is_empty());
        assert!(matches!(matching(root, "[", &[]), Err(Wrong::Syntax(_))));
    }

    #[test]
    fn the_folder_in_which_it_begins_is_no_part_of_it() {
        let dir = tree(&["odd [1] *name/a.txt", "odd 1 name/b.txt"]);
        assert_eq!(found(&dir.path().join("odd [1] *name"), "*.txt"), ["a.txt"]);
        assert!(!is_pattern(dir.path(), "odd [1] *name/a.txt"), "it is there just as it is written");
        assert!(is_pattern(dir.path(), "odd*/a.txt") && !is_pattern(dir.path(), "plain"));
    }

    #[test]
    fn what_cannot_be_followed_is_reported_once_and_what_is_left_out_is_not_searched() {
        let dir = tree(&["in/a.txt", "in/sub/b.txt", "in/out/c.txt"]);
        let root = dir.path();
        let left_out = [plain(&root.join("in/out")), root.join("not there")];
        assert_eq!(matching(root, "in/**", &left_out).unwrap().len(), 2);
        std::os::unix::fs::symlink("..", root.join("in/sub/loop")).unwrap();
        let wrong = matching(root, "in/**/*.txt", &[]);
        assert!(
            matches!(&wrong, Err(Wrong::Found(all)) if all.len() == 1 && all[0].contains("loop")),
            "{wrong:?}"
        );
        std::fs::remove_file(root.join("in/sub/loop")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("in/sub/z.txt")).unwrap();
        assert!(matches!(matching(root, "in/**", &[]), Err(Wrong::Found(wrong)) if wrong.len() == 1));
        assert_eq!(matching(root, "in/*.txt", &[]).unwrap().len(), 1, "what does not match does no harm");
        // A link to elsewhere is followed.
        std::fs::remove_file(root.join("in/sub/z.txt")).unwrap();
        std::os::unix::fs::symlink(root.join("in/out"), root.join("in/sub/other")).unwrap();
        assert_eq!(matching(root, "in/sub/**", &[]).unwrap().len(), 2);
    }

    #[test]
    fn no_way_leads_into_what_is_left_out() {
        let dir = tree(&["in/a.txt", "out/b/o.txt"]);
        let root = dir.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(root.join("out/b"), root.join("in/latest")).unwrap();
        let left_out = [root.join("out")];
        for text in ["**/out/b/*.txt", "*/b/o.txt", "in/**", "in/*/*.txt", "in/latest/*", "in/../out/b/*"] {
            let found = matching(&root, text, &left_out).unwrap();
            assert!(found.iter().all(|f| f.ends_with("in/a.txt")), "{text}: {found:?}");
        }
        assert!(matching(&root.join("out"), "b/*", &left_out).unwrap().is_empty());
    }

    #[test]
    fn a_path_fits_a_pattern_if_the_pattern_would_find_it() {
        let root = Path::new("/p");
        for (text, yes, no) in [
            (
                "in/*.txt",
                vec!["/p/in/a.txt"],
                vec!["/p/in/a.md", "/p/in/.a.txt", "/p/in/x/a.txt", "/q/in/a.txt"],
            ),
            ("**/*.txt", vec!["/p/a.txt", "/p/x/y/a.txt"], vec!["/p/a.jsonl", "/p/.x/a.txt"]),
            ("in/**", vec!["/p/in/a", "/p/in/x/b"], vec!["/p/in", "/p/other", "/p/in/.a"]),
            ("/d/**/a/*", vec!["/d/a/b", "/d/x/a/b"], vec!["/d/b", "/p/a/b"]),
        ] {
            assert!(yes.iter().all(|path| fits(root, text, Path::new(path))), "{text}");
            assert!(!no.iter().any(|path| fits(root, text, Path::new(path))), "{text}");
        }
    }

    #[test]
    fn what_precedes_the_first_wildcard_is_fixed() {
        for (text, before) in
            [("in/*.txt", "in"), ("*.txt", ""), ("a/b/**", "a/b"), ("/x/[a]/b", "/x"), ("/*", "/")]
        {
            assert_eq!(fixed(text), Path::new(before), "{text}");
        }
    }
}
