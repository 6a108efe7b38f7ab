//! A plan that was kept from the last time.
//!
//! Reading and checking a manifest of thousands of stages takes longer than a run with nothing to do. So the plan
//! is kept, with everything that it was made from: where all of that is as it was, the plan is as it was, too.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::{Grounds, Node, Plan, graph, pattern};
use crate::checked;
use crate::digest::{Digest, Stat};
use crate::manifest::{Manifest, Settings, Sources, WorkerEntry, folder};

/// The form of the file.
const VERSION: u32 = 2;

/// All that a plan is made from, beside the descriptions of the workers.
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
    grounds: Grounds,
    patterns: Vec<(String, Vec<PathBuf>)>,
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
    /// Those of a plan that was made just now.
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

    /// Whether all of it is as it was.
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

    /// The digest of it and of the descriptions of the workers.
    pub fn identity(&self, described: &Digest) -> Digest {
        let bytes = postcard::to_stdvec(&(self, described)).unwrap_or_default();
        Digest::derive("lfs-pipe 2026 plan identity", &bytes)
    }
}

/// A plan with what it was made from.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    premises: Premises,
    settings: Settings,
    workers: Vec<WorkerEntry>,
    /// Of the workers' descriptions.
    described: Digest,
    order: Vec<usize>,
    nodes: Vec<Node>,
    /// The digests of sources, each once, and which of them a node has.
    codes: Vec<BTreeMap<String, String>>,
    code_of: Vec<usize>,
}

impl Kept {
    /// The name of the file for a manifest with these `--set` arguments.
    pub fn name(manifest: &Path, sets: &[String]) -> String {
        let mut all = vec![manifest.as_os_str().as_encoded_bytes().to_vec()];
        all.extend(sets.iter().map(|s| s.as_bytes().to_vec()));
        Digest::derive("lfs-pipe 2026 kept plan", &all.join(&0)).to_string()[..16].to_owned()
    }

    /// Reads a kept plan; `None` where there is none, or something that it was made from is not as it was. Of premises in `held`
    /// that is known already.
    pub fn read(
        file: &Path,
        text: &str,
        path: &Path,
        sets: &[String],
        asked: &Asked,
        held: Option<&Premises>,
    ) -> Option<Self> {
        let values = checked::Values::of(file)?;
        let body = values.iter().next()?;
        let (premises, _) = postcard::take_from_bytes::<Premises>(body).ok()?;
        if held != Some(&premises) && !premises.hold(text, path, sets, asked) {
            return None;
        }
        postcard::from_bytes(body).ok()
    }

    /// The manifest (without drafts: they are planned already), its plan, and what that was made from.
    pub fn into_parts(self, path: &Path, text: &str, sets: &[String]) -> (Manifest, Plan, Premises) {
        let identity = self.premises.identity(&self.described);
        let manifest = Manifest {
            path: path.to_owned(),
            root: folder(path),
            sources: Sources::of(path, text, sets),
            settings: self.settings,
            workers: self.workers,
            environment: self.premises.environment.clone(),
            drafts: Vec::new(),
        };
        let codes: Vec<_> = self.codes.into_iter().map(Arc::new).collect();
        let mut nodes = self.nodes;
        for (node, code) in nodes.iter_mut().zip(self.code_of) {
            node.code = codes.get(code).cloned().unwrap_or_default();
        }
        let plan = Plan {
            graph: graph(&nodes),
            nodes,
            order: self.order,
            patterns: self.premises.patterns.clone(),
            own_folders: self.premises.grounds.left_out(),
            described: self.described,
            identity,
            by_name: OnceLock::new(),
        };
        (manifest, plan, self.premises)
    }

    /// Keeps a plan.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(file: &Path, manifest: &Manifest, premises: &Premises, plan: &Plan) -> std::io::Result<()> {
        let mut codes = Vec::new();
        let mut known: HashMap<&BTreeMap<String, String>, usize> = HashMap::new();
        let mut code_of = Vec::with_capacity(plan.nodes.len());
        for node in &plan.nodes {
            code_of.push(*known.entry(&node.code).or_insert_with(|| {
                codes.push((*node.code).clone());
                codes.len() - 1
            }));
        }
        let kept = Self {
            premises: premises.clone(),
            settings: manifest.settings.clone(),
            workers: manifest.workers.clone(),
            described: plan.described,
            order: plan.order.clone(),
            nodes: plan.nodes.clone(),
            codes,
            code_of,
        };
        checked::write(file, &kept)
    }
}

fn program() -> Option<Stat> {
    std::fs::metadata("/proc/self/exe").ok().map(|m| Stat::from(&m))
}

fn digest(text: &str) -> Digest {
    Digest(*blake3::hash(text.as_bytes()).as_bytes())
}

/// JSON inside a form that does not describe itself.
pub(super) mod as_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
    use serde_json::Value;

    pub fn serialize<S: Serializer>(value: &Value, s: S) -> Result<S::Ok, S::Error> {
        serde_json::to_string(value).map_err(S::Error::custom)?.serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Value, D::Error> {
        let text = <&str>::deserialize(d)?;
        match text {
            "null" => Ok(Value::Null),
            text => serde_json::from_str(text).map_err(D::Error::custom),
        }
    }
}
