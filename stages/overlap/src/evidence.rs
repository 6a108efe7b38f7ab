//! The evidence for or against a training identity and a test identity being the same person.

use std::collections::BTreeMap;

use crate::centres::cosine;
use crate::lists::Decision;
use crate::matching::Rule;
use crate::names::How;
use crate::options::{Initials, Options};

/// A training identity, and a test set with an identity in it; a published list names no test identity.
pub(crate) type Pair = (usize, Option<(usize, usize)>);

/// All matches, by pair.
pub(crate) type Matches = BTreeMap<Pair, Evidence>;

/// What the embeddings indicate about a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alike {
    /// As similar as only images of one person are.
    Same,
    /// More similar than most, but not enough.
    Perhaps,
    /// No more similar than by chance.
    No,
}

/// The evidence about one pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// From names and ids, the most certain first.
    pub(crate) written: Vec<(Rule, How)>,
    /// From embeddings: the cosine of the two centres, times `ONE` squared, and its interpretation.
    pub(crate) embedding: Option<(i32, Alike)>,
    /// Published lists, by position.
    pub(crate) lists: Vec<usize>,
    pub(crate) decision: Option<Decision>,
}

/// The status of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// The same person.
    Shared,
    /// Perhaps the same person: the identity is kept, and the user must decide.
    Review,
    /// Two persons, by the user's decision.
    Different,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Review => "review",
            Self::Different => "different",
        }
    }
}

impl Evidence {
    /// By the decision if there is one, else by the rules.
    pub(crate) fn status(&self, options: &Options) -> Status {
        match &self.decision {
            Some(d) if d.same => Status::Shared,
            Some(_) => Status::Different,
            None if self.is_sure(options) => Status::Shared,
            None => Status::Review,
        }
    }

    fn is_sure(&self, options: &Options) -> bool {
        let settled = |how: How| match how {
            How::NearMiss => false,
            How::Initials => options.initials == Initials::Match,
            _ => true,
        };
        self.written.iter().any(|(_, how)| settled(*how))
            || self.embedding.is_some_and(|(_, alike)| alike == Alike::Same)
            || !self.lists.is_empty()
    }

    /// Whether the user should review it: the rules leave it open, or names indicate one person and faces
    /// two.
    pub(crate) fn is_open(&self, options: &Options) -> bool {
        let against = self.embedding.is_some_and(|(_, alike)| alike == Alike::No);
        self.decision.is_none() && (!self.is_sure(options) || against && !self.written.is_empty())
    }

    /// The first rule that found it.
    pub(crate) fn rule(&self) -> &'static str {
        match (self.written.first(), self.embedding, self.lists.first()) {
            (Some((rule, _)), _, _) => rule.name(),
            (None, _, Some(_)) => "list",
            (None, Some(_), None) => "embedding",
            (None, None, None) => "decision",
        }
    }

    /// How the two names differ, or else the reason for the match.
    pub(crate) fn how(&self) -> &'static str {
        match (self.written.first(), self.embedding, self.lists.first()) {
            (Some((_, how)), _, _) => how.name(),
            (None, _, Some(_)) => "published list",
            (None, Some(_), None) => "alike",
            (None, None, None) => "signed",
        }
    }

    /// All evidence as text.
    pub(crate) fn words(&self, list: &dyn Fn(usize) -> String) -> String {
        let mut parts: Vec<String> =
            self.written.iter().map(|(rule, how)| format!("{}: {}", rule.name(), how.name())).collect();
        if let Some((score, alike)) = self.embedding {
            let against = match alike {
                Alike::Same => "",
                Alike::Perhaps => " (unsure)",
                Alike::No => " (against)",
            };
            parts.push(format!("embedding: {:.4}{against}", cosine(score)));
        }
        parts.extend(self.lists.iter().map(|&k| format!("list: {}", list(k))));
        if let Some(d) = &self.decision {
            parts.push(format!("{} signed by {}", if d.same { "same" } else { "different" }, d.signed_by));
        }
        parts.join("; ")
    }
}
