//! The parameters of the kind `tabulate`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::claims::Claim;
use crate::reference::Reference;

/// The parameters of the kind `tabulate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Params {
    /// The heading; empty for none.
    #[serde(default)]
    pub title: String,
    /// The table of the paper to compare with; its numbers are printed beside ours, as far as published.
    #[serde(default)]
    pub reference: Reference,
    /// Whether to add a few sentences derived from the numbers.
    #[serde(default = "yes")]
    pub findings: bool,
    /// Claims to judge; empty: those of the paper, if there are `findings`.
    #[serde(default)]
    pub claims: Vec<Claim>,
    /// Rows to compare, each `[ours, other]` by their label `method`. Each gives a sentence, with accuracies
    /// apart from the rest.
    #[serde(default)]
    pub comparisons: Vec<[String; 2]>,
}

fn yes() -> bool {
    true
}

impl Default for Params {
    fn default() -> Self {
        Self {
            title: String::new(),
            reference: Reference::None,
            findings: true,
            claims: Vec::new(),
            comparisons: Vec::new(),
        }
    }
}
