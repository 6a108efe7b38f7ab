//! The user's decisions from a review page: a small file that belongs to the recipe.
//!
//! A CSV file with the columns `name,other,decision`:
//!
//! | `decision` | `name` | `other` | meaning |
//! |---|---|---|---|
//! | `keep` | an image | empty | keep it under its identity, regardless of the rules |
//! | `drop` | an image | empty | drop it, regardless of the rules |
//! | `not-a-duplicate` | an image | another image | drop neither as a duplicate of the other |

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lfs_stage::{Failure, IoContext, Result};

/// The user's decision on an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Keep it.
    Keep,
    /// Drop it.
    Drop,
}

/// The decisions of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decisions {
    images: BTreeMap<String, Fate>,
    /// Pairs that are not duplicates, each with its names sorted.
    apart: BTreeSet<(String, String)>,
}

/// The columns.
const COLUMNS: [&str; 3] = ["name", "other", "decision"];
const HELP: &str =
    "a row is `NAME,,keep`, `NAME,,drop` or `NAME,OTHER,not-a-duplicate`, as the review page writes it";

impl Decisions {
    /// Reads a file of decisions.
    ///
    /// # Errors
    /// If it cannot be read, has other columns, an unknown decision, or both `keep` and `drop` for one image.
    /// The row is named.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).doing("read", path)?;
        Self::parse(&bytes)
            .map_err(|f| Failure { message: format!("{}: {}", path.display(), f.message), ..f })
    }

    /// Reads decisions from the bytes of a file.
    ///
    /// # Errors
    /// As for [`Decisions::read`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let fault = |line: u64, what: String| Failure::new(format!("line {line}: {what}")).help(HELP);
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        let mut decisions = Self::default();
        let mut headed = false;
        for record in reader.records() {
            let record = record.map_err(|e| {
                let line = e.position().map_or(0, csv::Position::line);
                fault(line, "it is no row of a CSV file in UTF-8".to_owned())
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            let fields: Vec<&str> = record.iter().collect();
            let &[name, other, decision] = fields.as_slice() else {
                return Err(fault(line, format!("expected three fields, found {}", fields.len())));
            };
            if !headed {
                if fields != COLUMNS {
                    let found = fields.join(",");
                    return Err(fault(
                        line,
                        format!("expected the columns name,other,decision, found {found}"),
                    ));
                }
                headed = true;
                continue;
            }
            match (name, other, decision) {
                ("", _, _) => return Err(fault(line, "no image is named".to_owned())),
                (_, "", "keep") => decisions.decide(name, Fate::Keep).map_err(|e| fault(line, e))?,
                (_, "", "drop") => decisions.decide(name, Fate::Drop).map_err(|e| fault(line, e))?,
                (_, "", "not-a-duplicate") => {
                    return Err(fault(
                        line,
                        format!("`{name}` is not a duplicate of what? `other` is empty"),
                    ));
                }
                (a, b, "not-a-duplicate") => {
                    decisions.apart.insert((a.min(b).to_owned(), a.max(b).to_owned()));
                }
                (_, _, "keep" | "drop") => {
                    return Err(fault(
                        line,
                        format!("`{decision}` is said of one image; found `{other}`, too"),
                    ));
                }
                _ => return Err(fault(line, format!("there is no decision `{decision}`"))),
            }
        }
        if headed { Ok(decisions) } else { Err(fault(1, "the file is empty".to_owned())) }
    }

    fn decide(&mut self, name: &str, fate: Fate) -> std::result::Result<(), String> {
        match self.images.insert(name.to_owned(), fate) {
            Some(earlier) if earlier != fate => Err(format!("`{name}` is both kept and dropped")),
            _ => Ok(()),
        }
    }

    /// The decision on an image.
    pub fn of(&self, name: &str) -> Option<Fate> {
        self.images.get(name).copied()
    }

    /// Whether two images were declared no duplicates of each other, in either order.
    pub fn are_apart(&self, a: &str, b: &str) -> bool {
        !self.apart.is_empty() && self.apart.contains(&(a.min(b).to_owned(), a.max(b).to_owned()))
    }

    /// All names in the file, sorted and unique. A name that the data set does not have is reported as a
    /// mistake.
    pub fn names(&self) -> BTreeSet<&str> {
        let pairs = self.apart.iter().flat_map(|(a, b)| [a.as_str(), b.as_str()]);
        self.images.keys().map(String::as_str).chain(pairs).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decisions_are_read_whatever_the_order_of_a_pair() {
        let text = "\u{feff}name,other,decision\r\na/1.jpg,,keep\r\n\"b, c/2.jpg\",,drop\r\nz.jpg,a/1.jpg,not-a-duplicate\r\n";
        let decisions = Decisions::parse(text.as_bytes()).unwrap();
        assert_eq!(decisions.of("a/1.jpg"), Some(Fate::Keep));
        assert_eq!(decisions.of("b, c/2.jpg"), Some(Fate::Drop));
        assert_eq!(decisions.of("z.jpg"), None);
        assert!(decisions.are_apart("a/1.jpg", "z.jpg") && decisions.are_apart("z.jpg", "a/1.jpg"));
        assert!(!decisions.are_apart("a/1.jpg", "b, c/2.jpg"));
        assert_eq!(decisions.names().into_iter().collect::<Vec<_>>(), ["a/1.jpg", "b, c/2.jpg", "z.jpg"]);
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line, what) in [
            ("", 1, "empty"),
            ("name,decision\n", 1, "three fields"),
            ("image,other,decision\n", 1, "columns"),
            ("name,other,decision\na,,keep\na,,drop\n", 3, "both kept and dropped"),
            ("name,other,decision\na,b,drop\n", 2, "one image"),
            ("name,other,decision\na,,not-a-duplicate\n", 2, "of what"),
            ("name,other,decision\na,,maybe\n", 2, "maybe"),
            ("name,other,decision\n,,keep\n", 2, "no image"),
        ] {
            let failure = Decisions::parse(text.as_bytes()).unwrap_err();
            assert!(
                failure.message.starts_with(&format!("line {line}:")) && failure.message.contains(what),
                "{text:?}: {failure}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, head: bool) {
            let mut text = if head { b"name,other,decision\n".to_vec() } else { Vec::new() };
            text.extend(bytes);
            let _ = Decisions::parse(&text);
        }
    }
}
