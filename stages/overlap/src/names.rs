//! When two names mean the same person.
//!
//! The rule is that of the public lists of identities shared by face data sets (happynear/FaceDatasets,
//! `match_names`), in words:
//!
//! - `-` is dropped, `_` is a space; names that are equal ignoring case are the same person;
//! - a word of fewer than four letters, all capitals, is a run of initials: `AJ Cook` is `A J Cook`;
//! - a name of one word never matches a longer one;
//! - otherwise the first and the last word must match, in order or swapped, and an initial matches every word
//!   that starts with it; middle names are ignored.
//!
//! Beyond that, a full stop is dropped (`J.` is the initial `J`) and Unicode is brought to its composed form.

use std::collections::{BTreeSet, HashMap};

use unicode_normalization::UnicodeNormalization;

/// A name, taken apart for comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Lower case, single spaces.
    plain: String,
    /// First and last word in lower case, when there are several words.
    ends: Option<[String; 2]>,
}

impl Name {
    /// Takes a name apart.
    pub fn new(text: &str) -> Self {
        let text: String =
            text.nfc().filter(|c| !matches!(c, '-' | '.')).map(|c| if c == '_' { ' ' } else { c }).collect();
        let words: Vec<&str> = text.split_whitespace().collect();
        let plain = words.join(" ").to_lowercase();
        let ends = match words.as_slice() {
            [first, .., last] => {
                Some([end(first, str::chars(first).next()), end(last, str::chars(last).next_back())])
            }
            _ => None,
        };
        Self { plain, ends }
    }

    /// Whether both mean the same person; symmetric.
    pub fn same_person(&self, other: &Self) -> bool {
        if self.plain == other.plain {
            return !self.plain.is_empty();
        }
        let (Some([a, b]), Some([c, d])) = (&self.ends, &other.ends) else { return false };
        (word(a, c) && word(b, d)) || (word(a, d) && word(b, c))
    }
}

/// A word at the end of a name; of a run of initials, the outermost.
fn end(text: &str, outermost: Option<char>) -> String {
    let letters = text.chars().count();
    match outermost {
        Some(c) if letters < 4 && text.chars().all(char::is_uppercase) => c.to_lowercase().collect(),
        _ => text.to_lowercase(),
    }
}

fn initial(word: &str) -> Option<char> {
    let mut chars = word.chars();
    chars.next().filter(|_| chars.next().is_none())
}

fn word(a: &str, b: &str) -> bool {
    a == b || ((initial(a).is_some() || initial(b).is_some()) && a.chars().next() == b.chars().next())
}

/// Whether two names mean the same person.
pub fn same_person(a: &str, b: &str) -> bool {
    Name::new(a).same_person(&Name::new(b))
}

/// Finds the matches of a name among many without comparing it to each.
pub struct Index {
    names: Vec<Name>,
    /// From what two matching names must have in common to the names that have it.
    buckets: HashMap<Key, Vec<usize>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// The whole name.
    Plain(String),
    /// First and last word in sorted order.
    Ends(End, End),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum End {
    /// The word itself.
    Word(String),
    /// Any word with this first letter.
    Letter(char),
}

fn pair(a: End, b: End) -> Key {
    if a <= b { Key::Ends(a, b) } else { Key::Ends(b, a) }
}

fn letter(word: &str) -> Option<End> {
    word.chars().next().map(End::Letter)
}

impl Index {
    /// An index of these names.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<Name> = names.into_iter().map(Name::new).collect();
        let mut buckets: HashMap<Key, Vec<usize>> = HashMap::new();
        for (i, name) in names.iter().enumerate() {
            let mut keys = vec![Key::Plain(name.plain.clone())];
            if let Some([a, b]) = &name.ends {
                for a in [Some(End::Word(a.clone())), letter(a)].into_iter().flatten() {
                    for b in [Some(End::Word(b.clone())), letter(b)].into_iter().flatten() {
                        keys.push(pair(a.clone(), b));
                    }
                }
            }
            for key in keys {
                buckets.entry(key).or_default().push(i);
            }
        }
        Self { names, buckets }
    }

    /// The positions of all names that mean the same person as `name`, ascending.
    pub fn matches(&self, name: &str) -> Vec<usize> {
        let name = Name::new(name);
        let mut keys = vec![Key::Plain(name.plain.clone())];
        if let Some([a, b]) = &name.ends {
            for a in asked(a) {
                for b in asked(b) {
                    keys.push(pair(a.clone(), b));
                }
            }
        }
        let found = keys.iter().filter_map(|k| self.buckets.get(k)).flatten().copied();
        let found: BTreeSet<usize> = found.filter(|&i| self.names[i].same_person(&name)).collect();
        found.into_iter().collect()
    }
}

/// Under what a word must be looked up: an initial finds every word with its letter; a longer word finds itself and
/// its initial.
fn asked(word: &str) -> Vec<End> {
    match (initial(word), word.chars().next()) {
        (Some(c), _) => vec![End::Letter(c)],
        (None, Some(c)) => vec![End::Word(word.to_owned()), End::Word(c.to_string())],
        (None, None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
