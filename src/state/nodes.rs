//! The state of every node at the end of a run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::Files;
use crate::cache::{Cache, Hashed, RecordsMark, Seen, Stored};
use crate::digest::Digest;
use crate::fingerprint::Key;
use crate::plan::Node;

/// The states of a plan's nodes. They hold for one version of the plan, since a key depends on more than inputs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct NodeStates {
    end: End,
    nodes: Vec<Option<NodeState>>,
    files: HashMap<PathBuf, Hashed>,
    /// The run that left them, when they were read from their file.
    #[serde(skip)]
    base: Option<String>,
    /// Changes that are not in the file yet.
    #[serde(skip)]
    changed: Changed,
}

/// The end of the run that left them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct End {
    run: String,
    records: RecordsMark,
    /// The run database that contains this run.
    database: Option<u64>,
    /// Every node was up to date, and no file changed meanwhile.
    all: bool,
}

#[derive(Debug, Default)]
struct Changed {
    end: bool,
    nodes: Vec<usize>,
    files: Vec<PathBuf>,
}

/// The state of one node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NodeState {
    pub key: Key,
    /// The digest of everything that it read.
    pub inputs: Digest,
    /// The outputs in the output folder, in the order of the node's outputs.
    pub placed: Vec<Hashed>,
    /// How long it took when it ran.
    pub seconds: f64,
}

impl NodeState {
    /// The outputs of the node by name.
    pub fn outputs<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = (&'a String, &'a Stored)> {
        node.outputs.iter().zip(&self.placed).map(|(output, placed)| (&output.name, &placed.stored))
    }
}

/// An entry in the file of a plan; states are owned or borrowed.
#[derive(Serialize, Deserialize)]
pub(super) enum Entry<A, S> {
    All(A),
    Changed(Change<S>),
}

/// What a run changed.
#[derive(Serialize, Deserialize)]
pub(super) struct Change<S> {
    /// The run that it builds on.
    base: String,
    end: End,
    nodes: Vec<(usize, S)>,
    files: Vec<(PathBuf, Hashed)>,
}

impl NodeStates {
    /// The states of this many nodes, of which nothing is known.
    pub(super) fn none(nodes: usize) -> Self {
        Self { nodes: (0..nodes).map(|_| None).collect(), ..Self::default() }
    }

    /// Marks them as read from their file.
    pub(super) fn read(mut self) -> Self {
        self.base = Some(self.end.run.clone());
        self
    }

    /// Applies the change of a run.
    pub(super) fn apply(&mut self, change: Change<Option<NodeState>>) {
        // Of two runs at once only one can build on the one before; what the other one recorded is looked up again.
        if change.base != self.end.run {
            return;
        }
        for (i, state) in change.nodes {
            if let Some(place) = self.nodes.get_mut(i) {
                *place = state;
            }
        }
        self.files.extend(change.files);
        self.end = change.end;
    }

    /// Whether they can be used: no result was withdrawn since, and this run database contains the run that left them.
    pub(super) fn hold(&self, cache: &Cache, database: Option<u64>) -> bool {
        database.is_some()
            && self.end.database == database
            && cache.nothing_withdrawn_since(&self.end.records)
    }

    /// The changes that are not in the file from which they were read; `None` if they were not read from one.
    pub(super) fn change(&self) -> Option<Change<Option<&NodeState>>> {
        let node = |i: &usize| (*i, self.node(*i));
        let hashed = |path: &PathBuf| Some((path.clone(), self.files.get(path)?.clone()));
        Some(Change {
            base: self.base.clone()?,
            end: self.end.clone(),
            nodes: self.changed.nodes.iter().map(node).collect(),
            files: self.changed.files.iter().filter_map(hashed).collect(),
        })
    }

    /// The same for a run that is in this run database. `None` if there is nothing to keep: no run left them, nothing changed, or the run
    /// that they build on is in another database.
    pub fn recorded_in(mut self, database: Option<u64>) -> Option<Self> {
        let Changed { end, nodes, files } = &self.changed;
        let is_news = *end || !nodes.is_empty() || !files.is_empty();
        let same = self.base.is_none() || self.end.database == database;
        self.end.database = database;
        (is_news && same && !self.end.run.is_empty()).then_some(self)
    }

    /// Takes out the state of a node.
    pub(crate) fn take(&mut self, i: usize) -> Option<NodeState> {
        self.nodes.get_mut(i)?.take()
    }

    /// Puts back the state of a node, which has not changed.
    pub(crate) fn put_back(&mut self, i: usize, state: NodeState) {
        if let Some(place) = self.nodes.get_mut(i) {
            *place = Some(state);
        }
    }

    /// Sets the new state of a node.
    pub(crate) fn put(&mut self, i: usize, state: Option<NodeState>) {
        if let Some(place) = self.nodes.get_mut(i) {
            *place = state;
            self.changed.nodes.push(i);
        }
    }

    /// Sets the new state of the files that were hashed again.
    pub(crate) fn put_files(&mut self, files: &Files) {
        for (path, hashed) in files.renewed() {
            self.changed.files.push(path.clone());
            self.files.insert(path, hashed);
        }
    }

    /// The same at the end of a run; `all` says whether every node is up to date, and `records` is the end of the records.
    pub(crate) fn at(mut self, records: RecordsMark, run: &str, all: bool) -> Self {
        self.end = End { run: run.to_owned(), records, all, ..self.end };
        self.changed.end = true;
        self
    }

    /// Records that every node is up to date.
    pub(crate) fn are_all_up_to_date(&mut self) {
        self.changed.end |= !std::mem::replace(&mut self.end.all, true);
    }

    /// What `stat` reported of the files that the nodes read; `None` if some node was not up to date, or the times of a file are
    /// uncertain.
    pub(super) fn inputs_seen(&self, inputs: &[PathBuf]) -> Option<Vec<Seen>> {
        let seen = || inputs.iter().map(|path| self.file(path)?.seen()).collect();
        self.end.all.then(seen)?
    }

    /// What `stat` reported of everything that the nodes wrote, in their order.
    pub(super) fn outputs_seen(&self) -> Option<Vec<Seen>> {
        let mut seen = Vec::with_capacity(self.nodes.len());
        for state in &self.nodes {
            for placed in &state.as_ref()?.placed {
                seen.push(placed.seen()?);
            }
        }
        Some(seen)
    }

    /// The end of the records when the run ended that left the states, if any did.
    pub(crate) fn records(&self) -> Option<RecordsMark> {
        (!self.end.run.is_empty()).then_some(self.end.records)
    }

    /// The run that left them.
    pub fn run(&self) -> Option<String> {
        Some(self.end.run.clone()).filter(|r| !r.is_empty())
    }

    /// The state of an input.
    pub(super) fn file(&self, path: &Path) -> Option<&Hashed> {
        self.files.get(path)
    }

    /// The state of a node.
    pub(crate) fn node(&self, i: usize) -> Option<&NodeState> {
        self.nodes.get(i)?.as_ref()
    }
}
