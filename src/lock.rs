//! `pipeline.lock`: what came out, to be committed beside the pipeline.
//!
//! It holds for every node its key, the digests of its outputs, its figures, the digests of the code behind it and
//! the facts of the environment. `run --locked` refuses to give anything else; [`crate::verify`] says whether a run reproduces it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use lfs_stage::Cell;
use serde::{Deserialize, Serialize};

use crate::cache::Record;
use crate::digest::Digest;
use crate::fault::{At, Fault, Result};
use crate::fingerprint::{Fingerprint, Key};

/// The form of the file.
const VERSION: u32 = 2;
/// A form that is read, too: without cells and findings.
const FIRST: u32 = 1;

/// A lock file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The form.
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
    /// A digest of the parameters; none in a lock file of the first form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Digest>,
    /// Facts of the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The digests of the outputs.
    pub outputs: BTreeMap<String, Digest>,
    /// The figures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Cells of a table.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cells: BTreeMap<String, Cell>,
    /// What the result says of claims.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub findings: BTreeMap<String, String>,
}

/// A result that is there now.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// All of what it depends on.
    pub print: &'a Fingerprint,
    /// Its key.
    pub key: Key,
    /// What came out.
    pub record: &'a Record,
}

impl Lock {
    /// The file of a manifest: `pipeline.lock` beside `pipeline.toml`.
    pub fn file(manifest: &Path) -> PathBuf {
        manifest.with_extension("lock")
    }

    /// Reads a lock file.
    ///
    /// # Errors
    /// When there is none, or it is none.
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
                .with_help("take it from version control again, or write it anew with `lfs-pipe lock`")
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
        let head = "# What came out, node by node. `lfs-pipe lock` writes this file; `lfs-pipe verify` compares with it.\n";
        Ok(head.to_owned() + &toml::to_string(self)?)
    }

    /// Of results.
    pub fn of<'a>(results: impl Iterator<Item = (&'a str, Now<'a>)>) -> Self {
        let mut lock = Self { version: VERSION, ..Self::default() };
        for (name, Now { print, key, record }) in results {
            let code = code_of(print).inspect(|digest| {
                lock.code.entry(digest.clone()).or_insert_with(|| (*print.code).clone());
            });
            let outputs = record.outputs.iter().map(|(n, s)| (n.clone(), s.digest)).collect();
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

    /// Why a node's key is another than the locked one; empty when it is the same.
    pub fn against(&self, node: &str, key: Key, print: &Fingerprint) -> Vec<String> {
        let Some(locked) = self.node.get(node) else {
            return vec!["it is not in the lock file".to_owned()];
        };
        if locked.key == key {
            return vec![];
        }
        let mut reasons = Vec::new();
        if locked.kind != print.kind {
            reasons.push(format!("its kind was `{}` and is `{}`", locked.kind, print.kind));
        }
        if locked.code != code_of(print) {
            let none = BTreeMap::new();
            let before = locked.code.as_ref().and_then(|c| self.code.get(c)).unwrap_or(&none);
            reasons.extend(differing(before, &print.code).map(|file| format!("code: {file}")));
        }
        for name in differing(&locked.environment, &print.environment) {
            let shown = |m: &BTreeMap<String, String>| {
                m.get(&name).map_or("nothing".to_owned(), |v| format!("`{v}`"))
            };
            reasons.push(format!(
                "environment: {name} was {} and is {}",
                shown(&locked.environment),
                shown(&print.environment)
            ));
        }
        match locked.parameters {
            Some(before) if before != parameters_of(print) => {
                reasons.push("its parameters are others".to_owned())
            }
            Some(_) if reasons.is_empty() => reasons.push("its inputs are others".to_owned()),
            None if reasons.is_empty() => reasons.push("its parameters or inputs are others".to_owned()),
            _ => {}
        }
        reasons
    }

    /// Why a node's result is not the locked one; empty where every byte is the same.
    pub fn differences(&self, node: &str, now: Now<'_>) -> Vec<String> {
        let Some(locked) = self.node.get(node) else {
            return vec!["it is not in the lock file".to_owned()];
        };
        let outputs = digests(now.record);
        if outputs == locked.outputs {
            return Vec::new();
        }
        let mut reasons = self.against(node, now.key, now.print);
        let names: BTreeSet<&str> = outputs.keys().chain(locked.outputs.keys()).map(String::as_str).collect();
        let other: Vec<&str> =
            names.into_iter().filter(|n| outputs.get(*n) != locked.outputs.get(*n)).collect();
        reasons.push(format!("other bytes: {}", other.join(", ")));
        reasons
    }

    /// Whether the facts of a node's own environment are others than the locked ones.
    pub fn in_another_environment(&self, node: &str, print: &Fingerprint) -> bool {
        self.node.get(node).is_some_and(|locked| locked.environment != print.environment)
    }

    /// Whether a node is computed in the same way, if also from other inputs, with other parameters or in another environment.
    pub fn is_computed_alike(&self, node: &str, now: Now<'_>) -> bool {
        self.node.get(node).is_some_and(|locked| {
            locked.key != now.key
                && locked.kind == now.print.kind
                && locked.code == code_of(now.print)
                && locked.outputs.keys().eq(now.record.outputs.keys())
        })
    }

    /// Whether it has been written before there were cells in lock files.
    pub fn is_without_cells(&self) -> bool {
        self.version == FIRST
    }
}

/// The names under which two maps differ.
fn differing<'a>(
    a: &'a BTreeMap<String, String>,
    b: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = String> + 'a {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names.into_iter().filter(|n| a.get(*n) != b.get(*n)).cloned()
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
