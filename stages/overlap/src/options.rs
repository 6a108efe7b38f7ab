//! The parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `overlap`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// What happens to a shared identity.
    pub policy: Policy,
    /// Match names, ignoring case, accents, separators and the order of words; match first and last word
    /// without middle names, and initials. Names that differ by one letter are listed as near misses and
    /// kept.
    pub names: bool,
    /// What to do with a match in which a name is abbreviated to an initial.
    #[schemars(extend("x-when" = {"names": [true]}))]
    pub initials: Initials,
    /// Match names that one set writes without any separator (AgeDB: `AnnaBelo`).
    pub joined_names: bool,
    /// Which equal ids mean the same person.
    pub ids: Ids,
    /// With embeddings: the maximum probability that the least certain match by embedding is wrong. The
    /// average over all matches is at most two fifths of this. The required similarity follows from the
    /// scores of all other identities.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub doubt: f64,
    /// With embeddings: the maximum probability of being two persons for which a pair is listed for review.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub review_doubt: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            policy: Policy::DropFromTrain,
            names: true,
            initials: Initials::Match,
            joined_names: true,
            ids: Ids::Freebase,
            doubt: 0.05,
            review_doubt: 0.5,
        }
    }
}

/// What happens to a shared identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Its images are removed from the training set.
    DropFromTrain,
    /// Its images are removed from the test set (whose protocol must allow that).
    DropFromTest,
    /// Its images are moved from the training set to the output `moved`.
    Move,
    /// Nothing; it is only listed.
    Report,
}

/// Which equal ids mean the same person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ids {
    /// Freebase ids, `m.0abc12`, which are the same everywhere. Numbers are specific to a set.
    Freebase,
    /// Any identity that has the same text in both sets.
    Any,
    /// None.
    Off,
}

/// What to do with a match in which a name is abbreviated to an initial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Initials {
    /// It is a shared identity, as in the public lists: a person missed in the training set is a leak that no
    /// later number reveals, while a person removed by mistake is one of many.
    Match,
    /// It is listed like a near miss, and kept.
    List,
}
