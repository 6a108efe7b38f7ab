//! Which identities of two sets are the same person.

use std::collections::{BTreeSet, HashMap};

use crate::names::Index;

use crate::options::{Ids, Options};

/// By what a match was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    Id,
    Name,
    JoinedName,
}

impl Rule {
    pub(crate) const ALL: [Self; 3] = [Self::Id, Self::Name, Self::JoinedName];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::JoinedName => "joined-name",
        }
    }
}

/// The identities of the training set, to be asked.
pub(crate) struct Train<'a> {
    options: &'a Options,
    /// Positions in the training set of the names that the index holds.
    named: Vec<usize>,
    names: Index,
    ids: HashMap<&'a str, usize>,
    joined: HashMap<String, Vec<usize>>,
}

/// A Freebase id, `m.0abc12` or `/m/0abc12`, without its prefix.
fn freebase(text: &str) -> Option<&str> {
    let id = text.strip_prefix("m.").or_else(|| text.strip_prefix("/m/"))?;
    (id.len() >= 2 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
        .then_some(id)
}

/// A person's name: not an id, not a number, not a distractor, of whom no name is known.
fn is_name(text: &str) -> bool {
    freebase(text).is_none() && !text.starts_with("distractor:") && text.chars().any(char::is_alphabetic)
}

/// Letters and digits in lower case.
fn join(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// `AnnaBelo` as `Anna Belo`; none when there is nothing to part.
fn parted(text: &str) -> Option<String> {
    if text.contains(['_', ' ', '-']) {
        return None;
    }
    let mut out = String::new();
    let mut before = ' ';
    for c in text.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            out.push(' ');
        }
        out.push(c);
        before = c;
    }
    out.contains(' ').then_some(out)
}

impl<'a> Train<'a> {
    pub(crate) fn new(options: &'a Options, identities: &'a [String]) -> Self {
        let named: Vec<usize> = (0..identities.len()).filter(|&k| is_name(&identities[k])).collect();
        let mut joined: HashMap<String, Vec<usize>> = HashMap::new();
        for &k in &named {
            joined.entry(join(&identities[k])).or_default().push(k);
        }
        let key = |text: &'a str| match options.ids {
            Ids::Freebase => freebase(text),
            Ids::Any => Some(freebase(text).unwrap_or(text)),
            Ids::Off => None,
        };
        let ids = identities.iter().enumerate().filter_map(|(k, t)| Some((key(t)?, k))).collect();
        // A training set may be the one that writes names without separators.
        let texts: Vec<String> = named
            .iter()
            .map(|&k| {
                parted(&identities[k])
                    .filter(|_| options.joined_names)
                    .unwrap_or_else(|| identities[k].clone())
            })
            .collect();
        let names = Index::new(texts.iter().map(String::as_str));
        Self { options, named, names, ids, joined }
    }

    /// The training identities that are the same person as a test identity, each with the rule that found it first.
    pub(crate) fn matches(&self, test: &str) -> Vec<(usize, Rule)> {
        let mut found: Vec<(usize, Rule)> = Vec::new();
        let key =
            if self.options.ids == Ids::Any { Some(freebase(test).unwrap_or(test)) } else { freebase(test) };
        found.extend(key.and_then(|k| self.ids.get(k)).map(|&k| (k, Rule::Id)));
        if is_name(test) {
            if self.options.names {
                found.extend(self.names.matches(test).into_iter().map(|n| (self.named[n], Rule::Name)));
            }
            if self.options.joined_names {
                found.extend(self.joined_matches(test).into_iter().map(|k| (k, Rule::JoinedName)));
            }
        }
        found.sort_unstable();
        found.dedup_by_key(|m| m.0);
        found
    }

    fn joined_matches(&self, test: &str) -> BTreeSet<usize> {
        let mut found: BTreeSet<usize> =
            self.joined.get(&join(test)).into_iter().flatten().copied().collect();
        if let Some(parted) = parted(test).filter(|_| self.options.names) {
            found.extend(self.names.matches(&parted).into_iter().map(|n| self.named[n]));
        }
        found
    }
}
