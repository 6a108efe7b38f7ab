//! The state of every node at the end of a run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::Files;
use crate::cache::{Cache, Hashed, RecordsMark, Seen, Stored};
use crate::digest::Digest;
use crate::fingerprint::Key;
use crate::plan::Node;

/// The states of a plan's nodes. They hold for one state of the plan, since a key is made from more than inputs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct NodeStates {
    end: End,
    nodes: Vec<Option<NodeState>>,
    files: HashMap<PathBuf, Hashed>,
    /// The run at whose end they were as they were read from their file.
    #[serde(skip)]
    base: Option<String>,
    /// What is not in the file.
    #[serde(skip)]
    changed: Changed,
}

/// How the run ended that left them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct End {
    run: String,
    records: RecordsMark,
    /// The run database that tells of this run.
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
    /// Of all that it read.
    pub inputs: Digest,
    /// What lay in the output folder, in the order of the node's outputs.
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

/// What is appended to the file of a plan; states are owned or borrowed.
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
    /// Nothing is known of so many nodes.
    pub(super) fn none(nodes: usize) -> Self {
        Self { nodes: (0..nodes).map(|_| None).collect(), ..Self::default() }
    }

    /// As they were read from their file.
    pub(super) fn read(mut self) -> Self {
        self.base = Some(self.end.run.clone());
        self
    }

    /// Takes in what a run changed.
    pub(super) fn apply(&mut self, change: Change<Option<NodeState>>) {
        // Of two runs at once only one can build on the one before; what the other found is looked up again.
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

    /// Whether they are of use: no result was withdrawn since, and this run database tells how they came about.
    pub(super) fn hold(&self, cache: &Cache, database: Option<u64>) -> bool {
        database.is_some()
            && self.end.database == database
            && cache.nothing_withdrawn_since(&self.end.records)
    }

    /// What is not in the file from which they were read; `None` if they were not.
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

    /// The same for a run of which this run database tells. `None` where there is nothing to be kept: no run left them, nothing changed,
    /// or the run that they build on is in another database.
    pub fn told_in(mut self, database: Option<u64>) -> Option<Self> {
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

    /// Puts in the new state of a node.
    pub(crate) fn put(&mut self, i: usize, state: Option<NodeState>) {
        if let Some(place) = self.nodes.get_mut(i) {
            *place = state;
            self.changed.nodes.push(i);
        }
    }

    /// Puts in what files are that were hashed anew.
    pub(crate) fn put_files(&mut self, files: &Files) {
        for (path, hashed) in files.renewed() {
            self.changed.files.push(path.clone());
            self.files.insert(path, hashed);
        }
    }

    /// The same, at the end of a run after which all nodes are up to date, or not, for records that go so far.
    pub(crate) fn at(mut self, records: RecordsMark, run: &str, all: bool) -> Self {
        self.end = End { run: run.to_owned(), records, all, ..self.end };
        self.changed.end = true;
        self
    }

    /// Every node is up to date.
    pub(crate) fn are_all_up_to_date(&mut self) {
        self.changed.end |= !std::mem::replace(&mut self.end.all, true);
    }

    /// What the file system said of these files, which the nodes read; `None` if some node was not up to date, or there is doubt
    /// about a file.
    pub(super) fn inputs_seen(&self, inputs: &[PathBuf]) -> Option<Vec<Seen>> {
        let seen = || inputs.iter().map(|path| self.file(path)?.seen()).collect();
        self.end.all.then(seen)?
    }

    /// What it said of all that the nodes wrote, in their order.
    pub(super) fn outputs_seen(&self) -> Option<Vec<Seen>> {
        let mut seen = Vec::with_capacity(self.nodes.len());
        for state in &self.nodes {
            for placed in &state.as_ref()?.placed {
                seen.push(placed.seen()?);
            }
        }
        Some(seen)
    }

    /// How far the records went at the end of the run that left them, if any did.
    pub(crate) fn records(&self) -> Option<RecordsMark> {
        (!self.end.run.is_empty()).then_some(self.end.records)
    }

    /// The run at whose end it was so.
    pub fn run(&self) -> Option<String> {
        Some(self.end.run.clone()).filter(|r| !r.is_empty())
    }

    /// What an input was.
    pub(super) fn file(&self, path: &Path) -> Option<&Hashed> {
        self.files.get(path)
    }

    /// The state of a node.
    pub(crate) fn node(&self, i: usize) -> Option<&NodeState> {
        self.nodes.get(i)?.as_ref()
    }
}
