//! What a worker says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the protocol that this crate speaks.
pub const PROTOCOL: u32 = 1;

/// What `WORKER describe` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The protocol that the worker speaks: [`PROTOCOL`].
    pub protocol: u32,
    /// The worker's own name and version, for people.
    pub worker: String,
    /// The kinds that it can run.
    pub kinds: Vec<KindInfo>,
}

/// One kind of stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindInfo {
    /// The name in `kind = "..."`.
    pub name: String,
    /// One line for lists and help.
    pub summary: String,
    /// The parameters: a JSON Schema of an object, without references. A property with
    /// `"x-when": {"other": ["value", ..]}` counts only while the parameter `other` has one of these values.
    pub parameters: serde_json::Value,
    /// The inputs.
    pub inputs: Vec<InputInfo>,
    /// The outputs.
    pub outputs: Vec<OutputInfo>,
    /// The digest of each source file that every result of this kind depends on.
    pub code: BTreeMap<String, String>,
    /// Facts of the environment on which every result depends (a library's version).
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// What the values of a parameter choose: parameter -> value -> choice.
    #[serde(default)]
    pub choices: BTreeMap<String, BTreeMap<String, Choice>>,
    /// How many processors it uses when the manifest says nothing.
    #[serde(default)]
    pub cpu: Cpu,
    /// The inputs that it works on row by row: it is given an earlier result that differs in these alone, and takes over what that
    /// made of rows that are the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_row: Vec<String>,
    /// What a worker process must have settled on for this kind, whatever its parameters; see [`Choice::process`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

/// What one value of a parameter brings along.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Choice {
    /// Source files that count only with this value.
    pub code: BTreeMap<String, String>,
    /// Facts of the environment that count only with this value.
    pub facts: BTreeMap<String, String>,
    /// The choice counts only while these parameters have one of these values: parameter -> values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, Vec<String>>,
    /// A worker process that worked with one such name works with no other one: libraries choose once for a process's life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The value that takes its place here: `auto` -> `cpu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub becomes: Option<String>,
    /// Why the value cannot be used on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// How many GPUs it wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Gpus>,
}

impl Choice {
    /// Whether it counts with these parameters.
    pub fn counts(&self, parameters: &serde_json::Value) -> bool {
        self.when.iter().all(|(name, values)| {
            parameters
                .get(name)
                .and_then(serde_json::Value::as_str)
                .is_some_and(|v| values.iter().any(|w| w == v))
        })
    }
}

/// A demand for GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gpus {
    /// One.
    One,
    /// As many as this parameter says.
    Parameter(String),
}

/// A demand for processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cpu {
    /// One.
    #[default]
    One,
    /// As many as the run has: the work is parallel inside and its result does not depend on the number.
    All,
    /// As many as this parameter says.
    Parameter(String),
}

/// An input of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputInfo {
    /// The name in `input.NAME`.
    pub name: String,
    /// What it holds, for people.
    pub about: String,
    /// How many outputs may stand behind it.
    pub shape: Shape,
}

/// How many outputs may stand behind an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Exactly one.
    One,
    /// One or none.
    Optional,
    /// Any number above none: all nodes of a matrix stage, or a list of references.
    Several,
    /// Any number, or none.
    Any,
}

/// An output of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputInfo {
    /// The name in `stage.NAME`.
    pub name: String,
    /// The file or folder name under `out/<stage>/`.
    pub path: String,
    /// What it holds, for people.
    pub about: String,
}
