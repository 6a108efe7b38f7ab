//! The parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `overlap`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// What happens to a shared identity.
    pub policy: Policy,
    /// Match names: first and last word, initials, either order.
    pub names: bool,
    /// Match names that one set writes without any separator (AgeDB: `AnnaBelo`).
    pub joined_names: bool,
    /// Which equal ids mean the same person.
    pub ids: Ids,
}

impl Default for Options {
    fn default() -> Self {
        Self { policy: Policy::DropFromTrain, names: true, joined_names: true, ids: Ids::Freebase }
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
