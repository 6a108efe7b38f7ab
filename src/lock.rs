//! `pipeline.lock`: what came out, to be committed beside the pipeline.
//!
//! It holds for every node its key, the digests of its outputs, its figures, the digests of the code behind it and
//! the facts of the environment. `run --locked` refuses to give anything else; `verify` says whether this checkout
//! reproduces it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::Record;
use crate::digest::Digest;
use crate::fault::{At, Fault, Result};
use crate::fingerprint::{Fingerprint, Key};

/// The form of the file.
const VERSION: u32 = 1;

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The kind.
    pub kind: String,
    /// The key.
    pub key: Key,
    /// Which table of `code`; none for commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Facts of the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The digests of the outputs.
    pub outputs: BTreeMap<String, Digest>,
    /// The figures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

/// How a result compares with what is locked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Verdict {
    /// Every output has the same bytes.
    Exact,
    /// In another environment, and every figure is near enough.
    WithinTolerance {
        /// The largest relative difference.
        largest: f64,
    },
    /// In another environment, behind others that differ, and without figures: nothing can be said of it alone.
    Behind,
    /// Something else came out.
    Different {
        /// What.
        reasons: Vec<String>,
    },
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
            VERSION => Ok(lock),
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

    /// Of results. `None` stands for a node without one.
    pub fn of<'a>(results: impl Iterator<Item = (&'a str, &'a Fingerprint, Key, &'a Record)>) -> Self {
        let mut lock = Self { version: VERSION, ..Self::default() };
        for (name, print, key, record) in results {
            let code = code_of(print).inspect(|digest| {
                lock.code.entry(digest.clone()).or_insert_with(|| (*print.code).clone());
            });
            let outputs = record.outputs.iter().map(|(n, s)| (n.clone(), s.digest)).collect();
            let locked = Locked {
                kind: print.kind.clone(),
                key,
                code,
                environment: print.environment.clone(),
                outputs,
                metrics: record.metrics.clone(),
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
        if reasons.is_empty() {
            reasons.push("its parameters or inputs are others".to_owned());
        }
        reasons
    }

    /// How a node's result compares. `elsewhere`: it, or something that it reads, was made in another environment;
    /// `tolerance` is the largest relative difference of a figure that counts as the same there.
    pub fn verdict(
        &self,
        node: &str,
        (print, key, record): (&Fingerprint, Key, &Record),
        elsewhere: bool,
        tolerance: f64,
    ) -> Verdict {
        let Some(locked) = self.node.get(node) else {
            return Verdict::Different { reasons: vec!["it is not in the lock file".to_owned()] };
        };
        let outputs: BTreeMap<String, Digest> =
            record.outputs.iter().map(|(n, s)| (n.clone(), s.digest)).collect();
        if outputs == locked.outputs {
            return Verdict::Exact;
        }
        // Bytes are promised where the environment is the same; elsewhere figures are.
        let mut reasons = self.against(node, key, print);
        if !elsewhere {
            let names =
                outputs.iter().filter(|(n, d)| locked.outputs.get(*n) != Some(d)).map(|(n, _)| n.as_str());
            reasons.push(format!("other bytes: {}", names.collect::<Vec<_>>().join(", ")));
            return Verdict::Different { reasons };
        }
        let mut largest: f64 = 0.0;
        for (name, value) in &locked.metrics {
            match record.metrics.get(name) {
                Some(now) => {
                    let scale = value.abs().max(now.abs()).max(f64::MIN_POSITIVE);
                    let by = (now - value).abs() / scale;
                    if by > tolerance {
                        reasons.push(format!("{name} was {value} and is {now}"));
                    }
                    largest = largest.max(by);
                }
                None => reasons.push(format!("{name} is gone")),
            }
        }
        match (locked.metrics.is_empty(), largest > tolerance) {
            (true, _) => Verdict::Behind,
            (false, false) if locked.metrics.keys().all(|n| record.metrics.contains_key(n)) => {
                Verdict::WithinTolerance { largest }
            }
            _ => Verdict::Different { reasons },
        }
    }

    /// Whether the facts of a node's own environment are others than the locked ones.
    pub fn in_another_environment(&self, node: &str, print: &Fingerprint) -> bool {
        self.node.get(node).is_some_and(|locked| locked.environment != print.environment)
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

fn code_of(print: &Fingerprint) -> Option<String> {
    let bytes = serde_json::to_vec(&*print.code).unwrap_or_default();
    (!print.code.is_empty()).then(|| Digest::derive("lfs-pipe 2026 code table", &bytes).to_string())
}
