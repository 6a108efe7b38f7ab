//! The description of a worker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the protocol of this crate.
pub const PROTOCOL: u32 = 1;

/// The output of `WORKER describe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The version of the protocol that the worker uses: [`PROTOCOL`].
    pub protocol: u32,
    /// The name and version of the worker, for the user.
    pub worker: String,
    /// The kinds that it provides.
    pub kinds: Vec<KindInfo>,
}

/// One kind of stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindInfo {
    /// The name in `kind = "..."`.
    pub name: String,
    /// One line for lists and help.
    pub summary: String,
    /// The parameters: a JSON Schema of an object, without references. A property with `"x-when": {"other": ["value", ..]}` counts
    /// only while the parameter `other` has one of these values.
    pub parameters: serde_json::Value,
    /// The inputs.
    pub inputs: Vec<InputInfo>,
    /// The outputs.
    pub outputs: Vec<OutputInfo>,
    /// The digest of each source file on which every result of this kind depends.
    pub code: BTreeMap<String, String>,
    /// Facts of the environment on which every result depends, such as a library version.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// What the values of a parameter select: parameter -> value -> choice.
    #[serde(default)]
    pub choices: BTreeMap<String, BTreeMap<String, Choice>>,
    /// The number of processors that it uses by default.
    #[serde(default)]
    pub cpu: Cpu,
    /// The inputs that it processes row by row: it is given an earlier result that differs in these inputs alone, and reuses the
    /// results of unchanged rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_row: Vec<String>,
    /// The process setting that this kind needs for all parameters; see [`Choice::process`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Options of the command line on which the kind runs by itself, where they differ from the names of inputs and parameters:
    /// option -> name. The first option of a name replaces it, the others are synonyms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<[String; 2]>,
}

/// What one value of a parameter selects.
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
    /// A setting that is fixed for the life of a process, since libraries choose only once: a worker process that has run with one
    /// setting cannot run with another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The value for which this one is a synonym here: `auto` -> `cpu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub becomes: Option<String>,
    /// Why the value cannot be used on this machine, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// The number of GPUs that it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Gpus>,
}

impl Choice {
    /// Whether the choice counts for these parameters.
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
    /// The number that this parameter gives.
    Parameter(String),
}

/// A demand for processors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cpu {
    /// One.
    #[default]
    One,
    /// All processors of the run: the work is parallel inside, and its result does not depend on their number.
    All,
    /// The number that this parameter gives.
    Parameter(String),
}

/// An input of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputInfo {
    /// The name in `input.NAME`.
    pub name: String,
    /// The content, for the user.
    pub about: String,
    /// How many members it may have.
    pub shape: Shape,
}

/// How many members an input may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Exactly one.
    One,
    /// One or none.
    Optional,
    /// One or more: all nodes of a matrix stage, or a list of references.
    Several,
    /// Zero or more.
    Any,
}

/// An output of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputInfo {
    /// The name in `stage.NAME`.
    pub name: String,
    /// The content, for the user.
    pub path: String,
    /// What it holds, for people.
    pub about: String,
}
