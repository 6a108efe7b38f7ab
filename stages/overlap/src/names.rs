//! Decides when two names mean the same person.
//!
//! The rules are those of the public lists of identities shared by face data sets (happynear/FaceDatasets,
//! `match_names`):
//!
//! - `-` is dropped, `_` is a space; names that are equal ignoring case are the same person;
//! - a word of fewer than four letters, all capitals, is a run of initials: `AJ Cook` is `A J Cook`;
//! - a name of one word never matches a longer one;
//! - otherwise the first and the last word must match, in order or swapped, and an initial matches every word
//!   that starts with it; middle names are ignored.
//!
//! In addition:
//!
//! - full stops and apostrophes are dropped (`J.` is the initial `J`, `O'Brien` is `OBrien`);
//! - the part after a comma is moved to the front (`Kurnova, Maria` is `Maria Kurnova`), except for `Jr.` and
//!   the like;
//! - letters with accents equal those without; `ö`, `ø` and the like are also `oe`, `å` is also `aa`, `ß` is
//!   `ss` ([`spelling`]);
//! - the same words in any order are the same person.
//!
//! Names that almost match are near misses ([`near`]).

pub mod near;
mod spelling;

use std::collections::{BTreeSet, HashMap};

use unicode_normalization::UnicodeNormalization;

/// How two names of one person differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// Both sets write the same id.
    SameId,
    /// They differ at most in case, underscores, hyphens, full stops and spaces.
    SameName,
    /// They differ in accents, or the letters that replace them.
    OtherSpelling,
    /// They have the same words in another order.
    OtherOrder,
    /// They are the same without word separators.
    Together,
    /// First and last word are the same, and one has middle names that the other lacks.
    FirstAndLast,
    /// An initial stands for a name.
    Initials,
    /// They differ by one letter, or by `Jr.` and the like: the user must decide.
    NearMiss,
}

impl How {
    /// All values, the most certain first.
    pub const ALL: [Self; 8] = [
        Self::SameId,
        Self::SameName,
        Self::OtherSpelling,
        Self::OtherOrder,
        Self::Together,
        Self::FirstAndLast,
        Self::Initials,
        Self::NearMiss,
    ];

    /// Whether both have the same words, as in two copies of one data set.
    pub fn is_alike(self) -> bool {
        matches!(self, Self::SameId | Self::SameName | Self::OtherOrder)
    }

    /// The name in `matches.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SameId => "same id",
            Self::SameName => "same name",
            Self::OtherSpelling => "same name, other spelling",
            Self::OtherOrder => "same words, other order",
            Self::Together => "same name, written together",
            Self::FirstAndLast => "same first and last name",
            Self::Initials => "initials",
            Self::NearMiss => "near miss",
        }
    }
}

/// A name, parsed for comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Lower case, single spaces, with accents.
    plain: String,
    /// Whether the part after a comma was moved to the front.
    turned: bool,
    /// The spellings without accents.
    spellings: Vec<String>,
    /// The words of each spelling in sorted order.
    sorted: Vec<String>,
    /// First and last word in their spellings, if there are several words.
    ends: Option<[Vec<String>; 2]>,
}

/// Whether a word distinguishes persons of the same name.
fn is_suffix(word: &str) -> bool {
    let word = word.trim_matches(['.', ' ']).to_lowercase();
    matches!(word.as_str(), "jr" | "sr" | "ii" | "iii" | "iv" | "junior" | "senior")
}

/// `Kurnova, Maria` as `Maria Kurnova`, and whether anything was moved.
fn turned(text: &str) -> (String, bool) {
    match text
        .split(',')
        .map(|p| p.trim_matches(|c: char| c.is_whitespace() || c == '_'))
        .collect::<Vec<_>>()
        .as_slice()
    {
        [family, given] if !family.is_empty() && !given.is_empty() && !is_suffix(given) => {
            (format!("{given} {family}"), true)
        }
        parts => (parts.join(" "), false),
    }
}

impl Name {
    /// Parses a name.
    pub fn new(text: &str) -> Self {
        let text: String = text
            .nfc()
            .filter(|c| !matches!(c, '-' | '.' | '\'' | '’' | '‘' | '`' | '´' | 'ʼ'))
            .map(|c| if c == '_' { ' ' } else { c })
            .collect();
        let (text, turned) = turned(&text);
        let words: Vec<&str> = text.split_whitespace().collect();
        let plain = words.join(" ").to_lowercase();
        let end = |word: &str, outermost| spelling::spellings(&end(word, outermost));
        let ends = match words.as_slice() {
            [first, .., last] => {
                Some([end(first, str::chars(first).next()), end(last, str::chars(last).next_back())])
            }
            _ => None,
        };
        let spellings = spelling::spellings(&words.join(" "));
        let sorted = spellings.iter().map(|s| sorted(s)).collect();
        Self { plain, turned, spellings, sorted, ends }
    }

    /// Whether both mean the same person; symmetric.
    pub fn same_person(&self, other: &Self) -> bool {
        self.how(other).is_some()
    }

    /// How they differ, if both mean the same person; symmetric.
    pub fn how(&self, other: &Self) -> Option<How> {
        let shared = |a: &[String], b: &[String]| a.iter().any(|v| !v.is_empty() && b.contains(v));
        if shared(&self.spellings, &other.spellings) {
            return Some(match (self.turned == other.turned, self.plain == other.plain) {
                (false, _) => How::OtherOrder,
                (true, true) => How::SameName,
                (true, false) => How::OtherSpelling,
            });
        }
        if shared(&self.sorted, &other.sorted) {
            return Some(How::OtherOrder);
        }
        let (Some([a, b]), Some([c, d])) = (&self.ends, &other.ends) else { return None };
        let both = |word: &dyn Fn(&[String], &[String]) -> bool| {
            (word(a, c) && word(b, d)) || (word(a, d) && word(b, c))
        };
        if both(&|a, b| a.iter().any(|v| initial(v).is_none() && b.contains(v))) {
            return Some(How::FirstAndLast);
        }
        both(&|a, b| a.iter().any(|v| b.iter().any(|w| word(v, w)))).then_some(How::Initials)
    }

    /// The spellings without separators.
    pub fn together(&self) -> impl Iterator<Item = String> + '_ {
        self.spellings.iter().map(|s| s.chars().filter(|c| c.is_alphanumeric()).collect())
    }
}

fn sorted(text: &str) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable();
    words.join(" ")
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

/// Finds the matches of a name among many, without comparing it with each.
pub struct Index {
    names: Vec<Name>,
    /// Maps a key that two matching names must share to the names that have it.
    buckets: HashMap<Key, Vec<usize>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    /// The words in sorted order.
    Words(String),
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

fn first_letter(word: &str) -> Option<End> {
    word.chars().next().map(End::Letter)
}

/// The keys under which a word is stored: itself, and its first letter.
fn kept(word: &str) -> Vec<End> {
    [Some(End::Word(word.to_owned())), first_letter(word)].into_iter().flatten().collect()
}

/// The keys under which a word is looked up: for an initial, its letter, which finds every word that starts
/// with it; for a longer word, itself and its initial.
fn asked(word: &str) -> Vec<End> {
    match (initial(word), word.chars().next()) {
        (Some(c), _) => vec![End::Letter(c)],
        (None, Some(c)) => vec![End::Word(word.to_owned()), End::Word(c.to_string())],
        (None, None) => Vec::new(),
    }
}

/// The keys of a name, with `of` applied to its ends.
fn keys(name: &Name, of: fn(&str) -> Vec<End>) -> BTreeSet<Key> {
    let mut keys: BTreeSet<Key> = name.sorted.iter().cloned().map(Key::Words).collect();
    if let Some([a, b]) = &name.ends {
        for a in a.iter().flat_map(|a| of(a)) {
            keys.extend(b.iter().flat_map(|b| of(b)).map(|b| pair(a.clone(), b)));
        }
    }
    keys
}

impl Index {
    /// An index of these names.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<Name> = names.into_iter().map(Name::new).collect();
        let mut buckets: HashMap<Key, Vec<usize>> = HashMap::new();
        for (i, name) in names.iter().enumerate() {
            for key in keys(name, kept) {
                buckets.entry(key).or_default().push(i);
            }
        }
        Self { names, buckets }
    }

    /// The positions of all names that mean the same person as `name`, ascending, each with how they differ.
    pub fn matches(&self, name: &str) -> Vec<(usize, How)> {
        let name = Name::new(name);
        let keys = keys(&name, asked);
        let found: BTreeSet<usize> =
            keys.iter().filter_map(|k| self.buckets.get(k)).flatten().copied().collect();
        found.into_iter().filter_map(|i| Some((i, self.names[i].how(&name)?))).collect()
    }
}

#[cfg(test)]
mod tests;
