//! `pipeline.lock`: the results of every node, to be committed next to the pipeline.
//!
//! It holds for every node its key, the digests of its outputs, its metrics, the digests of the code behind it and
//! the facts of the environment. `run --locked` refuses to give anything else; `verify` says whether a run reproduces it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use lfs_stage::Cell;
use serde::{Deserialize, Serialize};

use crate::cache::Record;
use crate::digest::Digest;
use crate::fault::{At, Fault, Result};
use crate::fingerprint::{Fingerprint, Key};

/// The version of the format.
const VERSION: u32 = 2;
/// An older version, which is still read: without cells and findings.
const FIRST: u32 = 1;

/// A lock file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The version of the format.
    pub version: u32,
    /// Digests of source files, by a digest of all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub code: BTreeMap<String, BTreeMap<String, String>>,
    /// The nodes by name.
    #[serde(default)]
    pub node: BTreeMap<String, Locked>,
}

/// What a node's result was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The kind.
    pub kind: String,
    /// The key.
    pub key: Key,
    /// Which table of `code`; none for commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A digest of the parameters; none in a lock file of version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Digest>,
    /// Facts of the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The digests of the outputs.
    pub outputs: BTreeMap<String, Digest>,
    /// The metrics.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Cells of a table.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cells: BTreeMap<String, Cell>,
    /// What the result says of claims, by claim.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub findings: BTreeMap<String, String>,
}

/// The current result of a node.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// Everything that it depends on.
    pub print: &'a Fingerprint,
    /// Its key.
    pub key: Key,
    /// The record of the result.
    pub record: &'a Record,
}

/// How a node differs from its entry in the lock file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub enum Reason {
    /// The lock file does not contain it.
    NotLocked,
    /// Only the lock file contains it.
    OnlyLocked,
    /// Its kind.
    Kind {
        /// As locked.
        locked: String,
        /// In this run.
        now: String,
    },
    /// A source file.
    Code(String),
    /// A fact of the environment.
    Environment {
        /// Its name.
        fact: String,
        /// As locked.
        locked: Option<String>,
        /// In this run.
        now: Option<String>,
    },
    /// Its parameters.
    Parameters,
    /// Its inputs.
    Inputs,
    /// One of the two; a lock file of version 1 does not record which.
    ParametersOrInputs,
    /// The bytes of these outputs.
    Bytes(Vec<String>),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLocked => f.write_str("it is not in the lock file"),
            Self::OnlyLocked => f.write_str("it is in the lock file, and not in the pipeline"),
            Self::Kind { locked, now } => write!(f, "its kind was `{locked}` and is `{now}`"),
            Self::Code(file) => write!(f, "code: {file}"),
            Self::Environment { fact, locked, now } => {
                let [locked, now] =
                    [locked, now].map(|v| v.as_ref().map_or("nothing".to_owned(), |v| format!("`{v}`")));
                write!(f, "environment: {fact} was {locked} and is {now}")
            }
            Self::Parameters => f.write_str("its parameters differ"),
            Self::Inputs => f.write_str("its inputs differ"),
            Self::ParametersOrInputs => f.write_str("its parameters or inputs differ"),
            Self::Bytes(outputs) => write!(f, "other bytes: {}", outputs.join(", ")),
        }
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.to_string()
    }
}

impl Lock {
    /// The file of a manifest: `pipeline.lock` beside `pipeline.toml`.
    pub fn file(manifest: &Path) -> PathBuf {
        manifest.with_extension("lock")
    }

    /// Reads a lock file.
    ///
    /// # Errors
    /// When there is none, or it is not a lock file.
    pub fn read(file: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(file) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Fault::usage(format!("there is no lock file {}", file.display()))
                    .with_help("`lfs-pipe lock` writes one from the results of a run"));
            }
            other => other.at("read", file)?,
        };
        Self::parse(&text).map_err(|e| {
            Fault::usage(format!("{} is no lock file of this program: {e}", file.display()))
                .with_help("restore it from version control, or write a new one with `lfs-pipe lock`")
        })
    }

    /// Reads the text of a lock file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let lock: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        match lock.version {
            FIRST | VERSION => Ok(lock),
            other => Err(format!("it has the form {other}, and this program writes {VERSION}")),
        }
    }

    /// Its text: sorted, so that a change of one result is a change of few lines.
    ///
    /// # Errors
    /// When it cannot be written as TOML, which no value of this type does.
    pub fn text(&self) -> std::result::Result<String, toml::ser::Error> {
        let head = "# The results of every node. `lfs-pipe lock` writes this file; `lfs-pipe verify` compares with it.\n";
        Ok(head.to_owned() + &toml::to_string(self)?)
    }

    /// The lock file of these results.
    pub fn of<'a>(results: impl Iterator<Item = (&'a str, Now<'a>)>) -> Self {
        let mut lock = Self { version: VERSION, ..Self::default() };
        for (name, Now { print, key, record }) in results {
            let code = code_of(print).inspect(|digest| {
                lock.code.entry(digest.clone()).or_insert_with(|| (*print.code).clone());
            });
            let outputs = digests(record);
            let locked = Locked {
                kind: print.kind.clone(),
                key,
                code,
                parameters: Some(parameters_of(print)),
                environment: print.environment.clone(),
                outputs,
                metrics: record.metrics.clone(),
                cells: record.cells.clone(),
                findings: record.findings.clone(),
            };
            lock.node.insert(name.to_owned(), locked);
        }
        lock
    }

    /// Why a node's key differs from the locked one; empty when it is the same.
    pub fn against(&self, node: &str, key: Key, print: &Fingerprint) -> Vec<Reason> {
        let Some(locked) = self.node.get(node) else {
            return vec![Reason::NotLocked];
        };
        if locked.key == key {
            return vec![];
        }
        let mut reasons = Vec::new();
        if locked.kind != print.kind {
            reasons.push(Reason::Kind { locked: locked.kind.clone(), now: print.kind.clone() });
        }
        if locked.code != code_of(print) {
            let none = BTreeMap::new();
            let before = locked.code.as_ref().and_then(|c| self.code.get(c)).unwrap_or(&none);
            reasons.extend(differing(before, &print.code).cloned().map(Reason::Code));
        }
        for fact in differing(&locked.environment, &print.environment) {
            let [locked, now] =
                [&locked.environment, &print.environment].map(|facts| facts.get(fact).cloned());
            reasons.push(Reason::Environment { fact: fact.clone(), locked, now });
        }
        match locked.parameters {
            Some(before) if before != parameters_of(print) => reasons.push(Reason::Parameters),
            Some(_) if reasons.is_empty() => reasons.push(Reason::Inputs),
            None if reasons.is_empty() => reasons.push(Reason::ParametersOrInputs),
            _ => {}
        }
        reasons
    }

    /// Why a node's result is not the locked one; empty where every byte is the same.
    pub fn differences(&self, node: &str, now: Now<'_>) -> Vec<Reason> {
        let Some(locked) = self.node.get(node) else {
            return vec![Reason::NotLocked];
        };
        let outputs = digests(now.record);
        if outputs == locked.outputs {
            return Vec::new();
        }
        let mut reasons = self.against(node, now.key, now.print);
        reasons.push(Reason::Bytes(differing(&outputs, &locked.outputs).cloned().collect()));
        reasons
    }

    /// Whether the facts of a node's own environment differ from the locked ones.
    pub fn in_another_environment(&self, node: &str, print: &Fingerprint) -> bool {
        self.node.get(node).is_some_and(|locked| locked.environment != print.environment)
    }

    /// Whether a node is computed in the same way, even if from other inputs, with other parameters or in another environment.
    pub fn is_computed_alike(&self, node: &str, now: Now<'_>) -> bool {
        self.node.get(node).is_some_and(|locked| {
            locked.key != now.key
                && locked.kind == now.print.kind
                && locked.code == code_of(now.print)
                && locked.outputs.keys().eq(now.record.outputs.keys())
        })
    }

    /// Whether it is of version 1, which has no cells.
    pub fn is_without_cells(&self) -> bool {
        self.version == FIRST
    }
}

/// The names in either of two maps.
pub(crate) fn names<'a, V>(a: &'a BTreeMap<String, V>, b: &'a BTreeMap<String, V>) -> BTreeSet<&'a String> {
    a.keys().chain(b.keys()).collect()
}

/// The names under which two maps differ.
fn differing<'a, V: PartialEq>(
    a: &'a BTreeMap<String, V>,
    b: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = &'a String> {
    names(a, b).into_iter().filter(|n| a.get(*n) != b.get(*n))
}

fn parameters_of(print: &Fingerprint) -> Digest {
    let bytes = serde_json::to_vec(&print.parameters).unwrap_or_default();
    Digest::derive("lfs-pipe 2026 parameters", &bytes)
}

fn code_of(print: &Fingerprint) -> Option<String> {
    let bytes = serde_json::to_vec(&*print.code).unwrap_or_default();
    (!print.code.is_empty()).then(|| Digest::derive("lfs-pipe 2026 code table", &bytes).to_string())
}

fn digests(record: &Record) -> BTreeMap<String, Digest> {
    record.outputs.iter().map(|(n, s)| (n.clone(), s.digest)).collect()
}
