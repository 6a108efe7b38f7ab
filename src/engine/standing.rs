//! Where every node stood when the last run ended.
//!
//! A node whose inputs and outputs are as they were then needs no key, no record and no look at the cache: its
//! result is what it was. It holds for one state of the plan, since a key is made from more than inputs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::inputs::Files;
use crate::cache::{Cache, Hashed, RecordsMark, Stored};
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
    nodes: Vec<Option<Stood>>,
    files: HashMap<PathBuf, Hashed>,
}

/// Where one node stood.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stood {
    pub key: Key,
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
    /// Reads where nodes stood, if it was under the same plan, output folder and records.
    pub fn read(file: &Path, identity: Digest, out: &Path, cache: &Cache) -> Option<Self> {
        let standing: Self = checked::read(file)?;
        let same = standing.identity == identity && standing.out == out;
        (same && cache.nothing_withdrawn_since(&standing.records)).then_some(standing)
    }

    /// Writes it for the next run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> std::io::Result<()> {
        checked::write(file, self)
    }

    /// Where these nodes stand now. `before` says it of nodes that this run did not want.
    pub(super) fn now(
        before: Option<Self>,
        identity: Digest,
        out: &Path,
        nodes: Vec<Option<Stood>>,
        files: &Files,
    ) -> Self {
        let before = before.unwrap_or_default();
        let mut earlier = before.nodes;
        earlier.resize_with(nodes.len(), || None);
        let nodes = nodes.into_iter().zip(earlier).map(|(now, earlier)| now.or(earlier)).collect();
        let mut known = before.files;
        known.extend(files.settled());
        Self { identity, out: out.to_owned(), records: RecordsMark::default(), nodes, files: known }
    }

    /// The same, for records that go so far.
    pub(super) fn at(self, records: RecordsMark) -> Self {
        Self { records, ..self }
    }

    /// What a file or folder was.
    pub(super) fn file(&self, path: &Path) -> Option<&Hashed> {
        self.files.get(path)
    }

    /// Where a node stood.
    pub(super) fn node(&self, i: usize) -> Option<&Stood> {
        self.nodes.get(i)?.as_ref()
    }

    /// For each node, whether all that it reads and wrote is as it was.
    pub(super) fn still(&self, plan: &Plan, needed: &[bool], files: &Files) -> Vec<bool> {
        let Ok(root) = Root::open(&self.out) else { return vec![false; plan.nodes.len()] };
        let there = |i: usize| {
            let Some(stood) = self.node(i).filter(|_| needed[i]) else { return false };
            let node = &plan.nodes[i];
            stood.placed.len() == node.outputs.len() && {
                let folder = self.out.join(node.folder());
                let mut outputs = node.outputs.iter().zip(&stood.placed);
                outputs.all(|(output, placed)| placed.is_still_at(&root, &folder.join(&output.path)))
            }
        };
        let mut still: Vec<bool> = match plan.nodes.len() {
            // Threads take longer to come than so few looks.
            0..4000 => (0..plan.nodes.len()).map(there).collect(),
            _ => (0..plan.nodes.len()).into_par_iter().with_min_len(256).map(there).collect(),
        };
        for i in &plan.order {
            still[*i] = still[*i] && self.reads_the_same(&plan.nodes[*i], &still, files);
        }
        still
    }

    fn reads_the_same(&self, node: &Node, still: &[bool], files: &Files) -> bool {
        node.inputs.iter().flat_map(|i| &i.sources).all(|source| match source {
            Source::Node { node, .. } => still[*node],
            Source::Path { path, .. } => {
                let (now, then) = (files.stored(path), self.file(path));
                now.zip(then).is_some_and(|(now, then)| now.digest == then.stored.digest)
            }
        })
    }
}
