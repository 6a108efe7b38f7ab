//! The parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `overlap`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// What happens to a shared identity.
    pub policy: Policy,
    /// Match names: whatever the case, accents, separators and order of the words; first and last word, without middle names;
    /// initials. Names that are one letter apart are listed as near misses and stay.
    pub names: bool,
    /// What becomes of a match in which a name is abbreviated to an initial.
    #[schemars(extend("x-when" = {"names": [true]}))]
    pub initials: Initials,
    /// Match names that one set writes without any separator (AgeDB: `AnnaBelo`).
    pub joined_names: bool,
    /// Which equal ids mean the same person.
    pub ids: Ids,
    /// With embeddings: the largest chance that the least sure match by embedding is none. On average over all of them it is at most
    /// two fifths of this. How alike two identities then have to be follows from the scores of all others.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub doubt: f64,
    /// With embeddings: the largest chance of being two persons for which a pair is listed, for a person to decide.
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
    /// Its images leave the training set.
    DropFromTrain,
    /// Its images leave the test set (whose protocol must bear that).
    DropFromTest,
    /// Its images leave the training set and are written to the output `moved`.
    Move,
    /// Nothing: it is listed.
    Report,
}

/// Which equal ids mean the same person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ids {
    /// Freebase ids, `m.0abc12`: the same everywhere. Numbers are a set's own.
    Freebase,
    /// Any identity that both sets write alike.
    Any,
    /// None.
    Off,
}

/// What becomes of a match in which a name is abbreviated to an initial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Initials {
    /// It is a shared identity, as in the public lists: one person too many in the training set is a leak that no later number
    /// shows, one too few is one person of many.
    Match,
    /// It is listed, as near misses are, and stays.
    List,
}
