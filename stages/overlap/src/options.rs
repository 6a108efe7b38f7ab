//! The parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `overlap`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// What happens to a shared identity.
    pub policy: Policy,
    /// Match names: whatever the case, accents, separators and order of the words; first and last word, without middle names;
    /// initials. Names that are one letter apart are listed as near misses and stay.
    pub names: bool,
    /// What becomes of a match in which an initial stands for a name.
    #[schemars(extend("x-when" = {"names": [true]}))]
    pub initials: Initials,
    /// Match names that one set writes without any separator (AgeDB: `AnnaBelo`).
    pub joined_names: bool,
    /// Which equal ids mean the same person.
    pub ids: Ids,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            policy: Policy::DropFromTrain,
            names: true,
            initials: Initials::Match,
            joined_names: true,
            ids: Ids::Freebase,
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

/// What becomes of a match in which an initial stands for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Initials {
    /// It is a shared identity, as in the public lists: one person too many in the training set is a leak that no later number
    /// shows, one too few is one person of many.
    Match,
    /// It is listed, as near misses are, and stays.
    List,
}
