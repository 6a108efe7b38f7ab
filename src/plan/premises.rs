//! What a plan is made from. While none of it has changed, a plan that was kept is valid.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Grounds, Plan, pattern};
use crate::digest::{Digest, Stat};
use crate::manifest::{Manifest, folder};

/// The version of the format in which plans are kept.
const VERSION: u32 = 3;

/// All that a plan is made from, besides the descriptions of the workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Premises {
    version: u32,
    /// This program.
    program: Option<Stat>,
    text: Digest,
    folder: PathBuf,
    sets: Vec<String>,
    environment: BTreeMap<String, Option<String>>,
    asked: Asked,
    pub(super) grounds: Grounds,
    pub(super) patterns: Vec<(String, Vec<PathBuf>)>,
}

/// The folders that the command line asks for, as absolute paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The output folder.
    pub out: Option<PathBuf>,
    /// The cache folder.
    pub cache: Option<PathBuf>,
}

impl Premises {
    /// The premises of a plan that was made just now.
    pub fn of(
        manifest: &Manifest,
        text: &str,
        sets: &[String],
        (asked, grounds): (Asked, Grounds),
        plan: &Plan,
    ) -> Self {
        Self {
            version: VERSION,
            program: program(),
            text: digest(text),
            folder: manifest.root.clone(),
            sets: sets.to_vec(),
            environment: manifest.environment.clone(),
            asked,
            grounds,
            patterns: plan.patterns.clone(),
        }
    }

    /// Whether none of it has changed.
    pub fn hold(&self, text: &str, path: &Path, sets: &[String], asked: &Asked) -> bool {
        let variables = self.environment.keys();
        let (root, left_out) = (folder(path), self.grounds.left_out());
        let matching = |text: &String| pattern::meant(&root, text, &left_out).unwrap_or_default();
        let now = Self {
            version: VERSION,
            program: program(),
            text: digest(text),
            folder: root.clone(),
            sets: sets.to_vec(),
            asked: asked.clone(),
            grounds: self.grounds.again(),
            environment: variables.map(|name| (name.clone(), std::env::var(name).ok())).collect(),
            patterns: self.patterns.iter().map(|(text, _)| (text.clone(), matching(text))).collect(),
        };
        *self == now
    }

    /// The variables of the environment that the manifest reads, with their values.
    pub fn environment(&self) -> &BTreeMap<String, Option<String>> {
        &self.environment
    }
}

fn program() -> Option<Stat> {
    std::fs::metadata("/proc/self/exe").ok().map(|m| Stat::from(&m))
}

fn digest(text: &str) -> Digest {
    Digest(*blake3::hash(text.as_bytes()).as_bytes())
}
