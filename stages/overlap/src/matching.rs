//! Finds identities of two sets that are the same person.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::names::near::Near;
use crate::names::{How, Index, Name};

use crate::options::{Ids, Options};

/// The rule by which a match was found.
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

/// The identities of the training set, indexed for lookup.
pub(crate) struct Train<'a> {
    options: &'a Options,
    known: &'a BTreeMap<String, String>,
    /// Positions in the training set of the names in the index.
    named: Vec<usize>,
    names: Index,
    ids: HashMap<&'a str, usize>,
    joined: HashMap<String, Vec<usize>>,
    near: Near,
}

/// A training identity that is, or may be, the same person as a test identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shared {
    pub(crate) train: usize,
    pub(crate) rule: Rule,
    pub(crate) how: How,
}

/// A Freebase id, `m.0abc12` or `/m/0abc12`, without its prefix.
fn freebase(text: &str) -> Option<&str> {
    let id = text.strip_prefix("m.").or_else(|| text.strip_prefix("/m/"))?;
    (id.len() >= 2 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
        .then_some(id)
}

/// Whether this is a person's name: not an id, a number, or a distractor (whose name is unknown).
fn is_name(text: &str) -> bool {
    freebase(text).is_none() && !text.starts_with("distractor:") && text.chars().any(char::is_alphabetic)
}

/// `AnnaBelo` as `Anna Belo`; none if there is nothing to split.
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
    /// `known` maps ids to names.
    pub(crate) fn new(
        options: &'a Options,
        identities: &'a [String],
        known: &'a BTreeMap<String, String>,
    ) -> Self {
        let called: Vec<&str> =
            identities.iter().map(|k| known.get(k).map_or(k.as_str(), String::as_str)).collect();
        let named: Vec<usize> = (0..identities.len()).filter(|&k| is_name(called[k])).collect();
        let mut joined: HashMap<String, Vec<usize>> = HashMap::new();
        for &k in &named {
            for together in Name::new(called[k]).together() {
                joined.entry(together).or_default().push(k);
            }
        }
        let key = |text: &'a str| match options.ids {
            Ids::Freebase => freebase(text),
            Ids::Any => Some(freebase(text).unwrap_or(text)),
            Ids::Off => None,
        };
        let ids = identities.iter().enumerate().filter_map(|(k, t)| Some((key(t)?, k))).collect();
        // The training set may be the one that writes names without separators.
        let texts: Vec<String> = named
            .iter()
            .map(|&k| {
                parted(called[k]).filter(|_| options.joined_names).unwrap_or_else(|| called[k].to_owned())
            })
            .collect();
        let names = Index::new(texts.iter().map(String::as_str));
        let near = Near::new(texts.iter().map(String::as_str));
        Self { options, known, named, names, ids, joined, near }
    }

    /// The training identities that are, or may be, the same person as a test identity, each with all rules
    /// that found it, the most certain first.
    pub(crate) fn matches(&self, test: &str) -> Vec<Shared> {
        let mut found: Vec<Shared> = Vec::new();
        let key =
            if self.options.ids == Ids::Any { Some(freebase(test).unwrap_or(test)) } else { freebase(test) };
        let by_id = key.and_then(|k| self.ids.get(k));
        found.extend(by_id.map(|&train| Shared { train, rule: Rule::Id, how: How::SameId }));
        // A number is specific to its set; a Freebase id and its name are the same everywhere.
        let test = freebase(test).and_then(|_| self.known.get(test)).map_or(test, String::as_str);
        if is_name(test) {
            let of = |(n, how), rule| Shared { train: self.named[n], rule, how };
            if self.options.names {
                found.extend(self.names.matches(test).into_iter().map(|m| of(m, Rule::Name)));
            }
            let parted = parted(test).filter(|_| self.options.joined_names);
            if self.options.joined_names {
                found.extend(self.joined_matches(test, parted.as_deref()));
            }
            if self.options.names {
                let near = self.near.of(parted.as_deref().unwrap_or(test)).into_iter();
                found.extend(near.map(|n| of((n, How::NearMiss), Rule::Name)));
            }
        }
        // A match is not also reported as a near miss.
        found.sort_unstable_by_key(|m| (m.train, m.how == How::NearMiss, m.rule, m.how));
        found.dedup_by(|later, first| later.train == first.train && later.how == How::NearMiss);
        // Nor is a match by name also reported as a match without separators.
        found.dedup_by(|later, first| {
            let again =
                later.rule == first.rule || (first.rule, later.rule) == (Rule::Name, Rule::JoinedName);
            later.train == first.train && again
        });
        found
    }

    fn joined_matches(&self, test: &str, parted: Option<&str>) -> Vec<Shared> {
        let of = |train, how| Shared { train, rule: Rule::JoinedName, how };
        let together: BTreeSet<usize> =
            Name::new(test).together().filter_map(|t| self.joined.get(&t)).flatten().copied().collect();
        let mut found: Vec<Shared> = together.into_iter().map(|k| of(k, How::Together)).collect();
        if let Some(parted) = parted.filter(|_| self.options.names) {
            let together = |how| if how <= How::OtherSpelling { How::Together } else { how };
            let by_name = self.names.matches(parted).into_iter();
            found.extend(by_name.map(|(n, how)| of(self.named[n], together(how))));
        }
        found
    }
}
