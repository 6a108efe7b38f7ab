//! The parameters of the kind `tabulate`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::Reference;

/// The parameters of the kind `tabulate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Params {
    /// The heading; empty for none.
    #[serde(default)]
    pub title: String,
    /// The table of the paper whose numbers are printed beside ours, where they are published.
    #[serde(default)]
    pub reference: Reference,
    /// Whether a few sentences are made out of the numbers.
    #[serde(default = "yes")]
    pub findings: bool,
    /// Rows to compare, each `[ours, other]` by their label `method`: a sentence each, accuracies apart from the rest.
    #[serde(default)]
    pub comparisons: Vec<[String; 2]>,
}

fn yes() -> bool {
    true
}

impl Default for Params {
    fn default() -> Self {
        Self { title: String::new(), reference: Reference::None, findings: true, comparisons: Vec::new() }
    }
}
