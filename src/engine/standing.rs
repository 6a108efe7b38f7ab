//! Where every node stood when the last run ended.
//!
//! A node whose inputs and outputs are as they were then needs no key, no record and no look at the cache: its
//! result is what it was. It holds for one state of the plan, since a key is made from more than inputs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::inputs::{Files, digest_of_inputs};
use crate::cache::{Cache, Hashed, RecordsMark, Seen, Stored};
use crate::checked;
use crate::digest::{Digest, Root};
use crate::fingerprint::Key;
use crate::plan::{Node, Plan, Source};

/// Where nodes stood.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    /// Of all that the plan was made from.
    identity: Digest,
    out: PathBuf,
    records: RecordsMark,
    /// The run that wrote it.
    run: String,
    /// The run database that tells of this run.
    told_in: Option<u64>,
    nodes: Vec<Option<Stood>>,
    files: HashMap<PathBuf, Hashed>,
}

/// Where one node stood.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stood {
    pub key: Key,
    /// Of all that it read.
    pub inputs: Digest,
    /// What lay in the output folder, in the order of the node's outputs.
    pub placed: Vec<Hashed>,
    /// How long it took when it ran.
    pub seconds: f64,
}

impl Stood {
    /// The outputs of the node by name.
    pub fn outputs<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = (&'a String, &'a Stored)> {
        node.outputs.iter().zip(&self.placed).map(|(output, placed)| (&output.name, &placed.stored))
    }
}

impl Standing {
    /// Reads where nodes stood, if it was under the same plan, output folder and records, and the run database
    /// tells how they came to stand there.
    pub fn read(
        file: &Path,
        identity: Digest,
        out: &Path,
        cache: &Cache,
        told_in: Option<u64>,
    ) -> Option<Self> {
        let standing: Self = checked::read(file)?;
        let same = standing.identity == identity && standing.out == out && standing.told_in == told_in;
        (same && told_in.is_some() && cache.nothing_withdrawn_since(&standing.records)).then_some(standing)
    }

    /// The same, for a run of which this run database tells.
    pub fn told_in(self, database: Option<u64>) -> Self {
        Self { told_in: database, ..self }
    }

    /// Writes it for the next run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> std::io::Result<()> {
        checked::write(file, self)
    }

    /// Nothing is known of where nodes stood.
    pub(super) fn none(identity: Digest, out: &Path, nodes: usize) -> Self {
        let nodes = (0..nodes).map(|_| None).collect();
        Self { identity, out: out.to_owned(), nodes, ..Self::default() }
    }

    /// Takes out where a node stood.
    pub(super) fn take(&mut self, i: usize) -> Option<Stood> {
        self.nodes.get_mut(i)?.take()
    }

    /// Puts in where a node stands.
    pub(super) fn put(&mut self, i: usize, stood: Option<Stood>) {
        if let Some(place) = self.nodes.get_mut(i) {
            *place = stood;
        }
    }

    /// Puts in what files are.
    pub(super) fn put_files(&mut self, files: &Files) {
        self.files.extend(files.settled());
    }

    /// The same, at the end of a run, for records that go so far.
    pub(super) fn at(self, records: RecordsMark, run: &str) -> Self {
        Self { records, run: run.to_owned(), ..self }
    }

    /// The records as they were.
    pub fn records(&self) -> RecordsMark {
        self.records
    }

    /// All files that the nodes of a plan read, and all that they wrote below the output folder; `None` if some
    /// node does not stand, or there is doubt about a file.
    pub fn files(&self, plan: &Plan) -> Option<[Vec<(PathBuf, Seen)>; 2]> {
        let mut read = BTreeMap::new();
        let mut wrote = Vec::new();
        for (i, node) in plan.nodes.iter().enumerate() {
            for source in node.inputs.iter().flat_map(|input| &input.sources) {
                if let Source::Path { path, .. } = source {
                    read.insert(path.clone(), self.file(path)?.seen()?);
                }
            }
            let folder = node.folder();
            for (output, placed) in node.outputs.iter().zip(&self.node(i)?.placed) {
                wrote.push((folder.join(&output.path), placed.seen()?));
            }
        }
        Some([read.into_iter().collect(), wrote])
    }

    /// The run at whose end it was so.
    pub fn run(&self) -> Option<String> {
        Some(self.run.clone()).filter(|r| !r.is_empty())
    }

    /// What a file or folder was.
    pub(super) fn file(&self, path: &Path) -> Option<&Hashed> {
        self.files.get(path)
    }

    /// Where a node stood.
    pub(super) fn node(&self, i: usize) -> Option<&Stood> {
        self.nodes.get(i)?.as_ref()
    }

    /// Whether what a node wrote is as it was.
    pub(super) fn is_there(&self, node: &Node, stood: &Stood) -> bool {
        Root::open(&self.out).is_ok_and(|root| self.outputs_are_there(node, stood, &root))
    }

    fn outputs_are_there(&self, node: &Node, stood: &Stood, root: &Root) -> bool {
        stood.placed.len() == node.outputs.len() && {
            let folder = self.out.join(node.folder());
            let mut outputs = node.outputs.iter().zip(&stood.placed);
            outputs.all(|(output, placed)| placed.is_still_at(root, &folder.join(&output.path)))
        }
    }

    /// For each node, whether all that it reads and wrote is as it was.
    pub(super) fn still(&self, plan: &Plan, needed: &[bool], files: &Files) -> Vec<bool> {
        let Ok(root) = Root::open(&self.out) else { return vec![false; plan.nodes.len()] };
        let there = |i: usize| {
            let stood = self.node(i).filter(|_| needed[i]);
            stood.is_some_and(|stood| self.outputs_are_there(&plan.nodes[i], stood, &root))
        };
        let mut still: Vec<bool> = match plan.nodes.len() {
            // Threads take longer to come than so few looks.
            0..4000 => (0..plan.nodes.len()).map(there).collect(),
            _ => (0..plan.nodes.len()).into_par_iter().with_min_len(256).map(there).collect(),
        };
        for i in &plan.order {
            still[*i] = still[*i] && {
                let results = |node: usize, output: usize| match still[node] {
                    true => Some(&self.node(node)?.placed.get(output)?.stored),
                    false => None,
                };
                let now = digest_of_inputs(&plan.nodes[*i], &results, files);
                now.is_some() && now == self.node(*i).map(|stood| stood.inputs)
            };
        }
        still
    }
}
