//! The key of a result: the digest of everything that the result depends on.
//!
//! A [`Fingerprint`] is kept as JSON with the result. `why` compares two of them, so that the
//! explanation always agrees with the key.

use std::collections::BTreeMap;
use std::sync::Arc;

use lfs_stage::Labels;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::digest::Digest;
pub use crate::key::Key;
use crate::plan::{Node, Work};

/// The version of the format of fingerprints. A change of it makes every earlier result a cache miss.
///
/// - 1: the first.
const VERSION: u32 = 1;

/// Everything that a node's result depends on. It holds no names of stages, no job counts, no log levels, no
/// host, no time and no absolute paths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The version of the format.
    pub version: u32,
    /// The kind.
    pub kind: String,
    /// Digest of each source file behind the result.
    pub code: Arc<BTreeMap<String, String>>,
    /// The parameters.
    pub parameters: Json,
    /// What it reads, by name.
    pub inputs: BTreeMap<String, InputPrint>,
    /// Facts of the environment.
    pub environment: BTreeMap<String, String>,
    /// The outputs and their paths.
    pub outputs: BTreeMap<String, String>,
}

/// An input in a fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum InputPrint {
    /// One file or folder, of which a worker sees only the bytes.
    Bytes(Digest),
    /// One file or folder whose name a command sees, or an executable file.
    Named(Named),
    /// Several, with what the stage sees of each.
    Several(Vec<MemberPrint>),
}

/// A file or folder with its last name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// The last part of the path; empty where the stage does not see it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The digest of the bytes.
    pub digest: Digest,
    /// Whether it is a file that can be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// One of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberPrint {
    /// The node or the path, as the stage sees it.
    pub from: String,
    /// The node's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// The digest of the bytes.
    pub digest: Digest,
    /// Whether it is a file that can be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

impl Fingerprint {
    /// The fingerprint of a node whose inputs have these digests.
    pub fn of(node: &Node, inputs: BTreeMap<String, InputPrint>) -> Self {
        let outputs = match node.work {
            Work::Command { .. } => node.outputs.iter().map(|o| (o.name.clone(), o.path.clone())).collect(),
            // A worker's output paths belong to its kind: they are names, not content.
            Work::Worker(_) => BTreeMap::new(),
        };
        Self {
            version: VERSION,
            kind: node.kind.clone(),
            code: Arc::clone(&node.code),
            parameters: match &node.work {
                Work::Command { run, env, strict: None } => serde_json::json!({ "env": env, "run": run }),
                // The paths that `strict` also allows are not part of the key.
                Work::Command { run, env, strict: Some(_) } => {
                    serde_json::json!({ "env": env, "run": run, "strict": true })
                }
                Work::Worker(_) => canonical(&node.parameters),
            },
            inputs,
            environment: node.environment.clone(),
            outputs,
        }
    }

    /// Whether another one differs at most in the content of these inputs.
    pub fn differs_at_most_in(&self, inputs: &[String], other: &Self) -> bool {
        let is_other = |input: &(&String, &InputPrint)| !inputs.contains(input.0);
        (self.version, &self.kind, &self.code, &self.parameters, &self.environment, &self.outputs)
            == (
                other.version,
                &other.kind,
                &other.code,
                &other.parameters,
                &other.environment,
                &other.outputs,
            )
            && self.inputs.iter().filter(is_other).eq(other.inputs.iter().filter(is_other))
    }

    /// The key.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which no value of this type does.
    pub fn key(&self) -> serde_json::Result<Key> {
        Ok(Key(Digest::derive("lfs-pipe 2026 fingerprint v1", &serde_json::to_vec(self)?)))
    }
}

/// What a step's result depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepPrint {
    /// The version of the format.
    pub version: u32,
    /// The kind.
    pub kind: String,
    /// Digest of each source file behind the step.
    pub code: BTreeMap<String, String>,
    /// Everything that it depends on, as the worker declares.
    pub spec: Json,
    /// The job's inputs that it reads.
    pub inputs: BTreeMap<String, InputPrint>,
    /// The steps that it continues from.
    pub after: Vec<String>,
    /// Facts of the environment.
    pub environment: BTreeMap<String, String>,
}

impl StepPrint {
    /// The key.
    ///
    /// # Errors
    /// As [`Fingerprint::key`].
    pub fn key(&self) -> serde_json::Result<Key> {
        Ok(Key(Digest::derive("lfs-pipe 2026 step v1", &serde_json::to_vec(self)?)))
    }
}

/// The same value with the keys of every table sorted.
pub fn canonical(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            let sorted: BTreeMap<&String, Json> = map.iter().map(|(k, v)| (k, canonical(v))).collect();
            sorted.into_iter().map(|(k, v)| (k.clone(), v)).collect()
        }
        Json::Array(list) => list.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

/// One leaf in which two fingerprints differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Where: `parameters.margin`, `code.train/src/loss/arc.rs`, `inputs.dataset`.
    pub leaf: String,
    /// The earlier value.
    pub before: Option<Json>,
    /// The value now.
    pub now: Option<Json>,
}

/// The leaves in which a fingerprint differs from an earlier one.
pub fn differences(before: &Fingerprint, now: &Fingerprint) -> Vec<Change> {
    let (mut a, mut b) = (BTreeMap::new(), BTreeMap::new());
    for (fingerprint, out) in [(before, &mut a), (now, &mut b)] {
        if let Ok(json) = serde_json::to_value(fingerprint) {
            flatten("", &json, out);
        }
    }
    let mut changes = Vec::new();
    let leaves: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for leaf in leaves {
        let (before, now) = (a.get(leaf), b.get(leaf));
        if before != now {
            changes.push(Change { leaf: leaf.clone(), before: before.cloned(), now: now.cloned() });
        }
    }
    changes
}

fn flatten(at: &str, value: &Json, out: &mut BTreeMap<String, Json>) {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        Json::Object(map) => {
            for (key, value) in map {
                flatten(&below(key), value, out);
            }
        }
        Json::Array(list) if list.iter().any(|v| v.get("from").is_some()) => {
            for member in list {
                let from = member.get("from").and_then(Json::as_str).unwrap_or_default();
                out.insert(below(from), member.get("digest").cloned().unwrap_or_default());
                if let Some(executable) = member.get("executable") {
                    out.insert(below(from) + ".executable", executable.clone());
                }
            }
        }
        other => {
            out.insert(at.to_owned(), other.clone());
        }
    }
}
