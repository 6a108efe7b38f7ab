//! Which nodes are up to date: the last run's states, compared with the current files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::files::{Files, digest_of_inputs};
use super::nodes::{NodeState, NodeStates};
use crate::cache::{Hashed, Seen};
use crate::digest::Root;
use crate::plan::{Node, Plan};

/// From this number of files on, threads are worth starting.
const MANY: usize = 4000;

/// The state before a run.
#[derive(Default)]
pub struct Prior {
    states: NodeStates,
    /// The inputs that have changed, if they have been checked.
    changed: Option<HashSet<PathBuf>>,
    /// Whether each output is unchanged, in the order of nodes and outputs, if they have been checked.
    outputs: Option<Vec<bool>>,
}

impl Prior {
    pub(super) fn of(states: NodeStates) -> Self {
        Self { states, ..Self::default() }
    }

    /// The state of this many nodes, of which nothing is known.
    pub fn none(nodes: usize) -> Self {
        Self::of(NodeStates::none(nodes))
    }

    /// The states, to be updated by a run.
    pub fn into_states(self) -> NodeStates {
        self.states
    }

    /// The run that left them.
    pub(super) fn run(&self) -> Option<String> {
        self.states.run()
    }

    /// Whether something is known to have changed.
    pub fn has_changes(&self) -> bool {
        self.has_changed_inputs() || self.outputs.as_ref().is_some_and(|all| all.contains(&false))
    }

    /// Whether some input is known to have changed.
    pub(super) fn has_changed_inputs(&self) -> bool {
        self.changed.as_ref().is_some_and(|changed| !changed.is_empty())
    }

    /// Checks the files that the nodes read; returns whether none has changed since all nodes were up to date.
    pub(super) fn check_inputs(&mut self, root: &Path, inputs: &[PathBuf]) -> bool {
        let Some(seen) = self.states.inputs_seen(inputs) else { return false };
        let unchanged = unchanged(root, inputs, &seen);
        let changed = inputs.iter().zip(unchanged).filter(|(_, unchanged)| !unchanged);
        let changed: HashSet<PathBuf> = changed.map(|(path, _)| path.clone()).collect();
        self.changed.insert(changed).is_empty()
    }

    /// Checks the files that the nodes wrote; returns whether none has changed.
    pub(super) fn check_outputs(&mut self, out: &Path, outputs: &[PathBuf]) -> bool {
        let Some(seen) = self.states.outputs_seen().filter(|seen| seen.len() == outputs.len()) else {
            return false;
        };
        let unchanged = self.outputs.insert(unchanged(out, outputs, &seen));
        unchanged.iter().all(|unchanged| *unchanged)
    }

    /// The state of an input, if it is unchanged.
    pub(super) fn unchanged_input(&self, root: &Root, path: &Path) -> Option<&Hashed> {
        let hashed = self.states.file(path)?;
        let unchanged = match &self.changed {
            Some(changed) => !changed.contains(path),
            None => hashed.is_still_at(root, path),
        };
        unchanged.then_some(hashed)
    }

    /// For each node, whether it is needed and up to date: neither what it reads nor what it wrote below `out` has changed.
    pub fn up_to_date(&self, plan: &Plan, out: &Path, needed: &[bool], files: &Files) -> Vec<bool> {
        let mut up_to_date = match self.outputs.as_ref().and_then(|outputs| by_node(plan, outputs)) {
            Some(unchanged) => unchanged,
            None => self.with_outputs(plan, out, needed),
        };
        for i in &plan.order {
            up_to_date[*i] = up_to_date[*i] && needed[*i] && {
                let results = |node: usize, output: usize| match up_to_date[node] {
                    true => Some(&self.states.node(node)?.placed.get(output)?.stored),
                    false => None,
                };
                let now = digest_of_inputs(&plan.nodes[*i], &results, files);
                now.is_some() && now == self.states.node(*i).map(|state| state.inputs)
            };
        }
        up_to_date
    }

    /// For each needed node, whether none of its outputs has changed.
    fn with_outputs(&self, plan: &Plan, out: &Path, needed: &[bool]) -> Vec<bool> {
        let Ok(root) = Root::open(out) else { return vec![false; plan.nodes.len()] };
        let unchanged = |i: usize| {
            let state = self.states.node(i).filter(|_| needed[i]);
            state.is_some_and(|state| state.outputs_are_unchanged(&plan.nodes[i], &root))
        };
        match plan.nodes.len() {
            0..MANY => (0..plan.nodes.len()).map(unchanged).collect(),
            _ => (0..plan.nodes.len()).into_par_iter().with_min_len(256).map(unchanged).collect(),
        }
    }
}

impl NodeState {
    /// Whether none of the node's outputs below the output folder has changed.
    pub(crate) fn outputs_are_unchanged(&self, node: &Node, out: &Root) -> bool {
        self.placed.len() == node.outputs.len() && {
            let folder = out.path().join(node.folder());
            let mut outputs = node.outputs.iter().zip(&self.placed);
            outputs.all(|(output, placed)| placed.is_still_at(out, &folder.join(&output.path)))
        }
    }
}

/// For each of these files below a folder, whether `stat` reports the same as before.
fn unchanged(folder: &Path, files: &[PathBuf], seen: &[Seen]) -> Vec<bool> {
    let Ok(folder) = Root::open(folder) else { return vec![false; files.len()] };
    let unchanged = |(path, seen): (&PathBuf, &Seen)| seen.is_still_at(&folder, path);
    match files.len() {
        0..MANY => files.iter().zip(seen).map(unchanged).collect(),
        _ => files.par_iter().zip(seen).with_min_len(256).map(unchanged).collect(),
    }
}

/// For each node, whether all of its outputs are unchanged.
fn by_node(plan: &Plan, mut outputs: &[bool]) -> Option<Vec<bool>> {
    let mut all = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let (own, rest) = outputs.split_at_checked(node.outputs.len())?;
        all.push(own.iter().all(|unchanged| *unchanged));
        outputs = rest;
    }
    outputs.is_empty().then_some(all)
}
