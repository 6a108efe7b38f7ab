//! A graph to be drawn, independent of the form.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::plan::Plan;
use crate::show::nodes;

/// A graph to draw: boxes, and arrows between them by index.
#[derive(Debug, Serialize)]
pub(super) struct Drawing {
    pub boxes: Vec<Box>,
    pub arrows: Vec<(usize, usize)>,
}

/// One box.
#[derive(Debug, Serialize)]
pub(super) struct Box {
    pub name: String,
    pub kind: String,
    /// How many nodes it represents.
    pub nodes: usize,
}

impl Box {
    /// The second line.
    pub fn caption(&self) -> String {
        match (self.nodes, self.kind == self.name) {
            (1, true) => String::new(),
            (1, false) => self.kind.clone(),
            (n, true) => nodes(n),
            (n, false) => format!("{}, {}", self.kind, nodes(n)),
        }
    }
}

impl Drawing {
    /// The wanted nodes of a plan: one box per stage, or one per node.
    pub fn of(plan: &Plan, needed: &[bool], by_node: bool) -> Self {
        let mut boxes: Vec<Box> = Vec::new();
        let mut index: BTreeMap<&str, usize> = BTreeMap::new();
        let name = |i: usize| match by_node {
            true => plan.nodes[i].name.as_str(),
            false => plan.nodes[i].stage.as_str(),
        };
        for i in (0..plan.nodes.len()).filter(|i| needed[*i]) {
            let at = *index.entry(name(i)).or_insert_with(|| {
                boxes.push(Box { name: name(i).to_owned(), kind: plan.nodes[i].kind.clone(), nodes: 0 });
                boxes.len() - 1
            });
            boxes[at].nodes += 1;
        }
        let mut arrows: Vec<(usize, usize)> = (0..plan.nodes.len())
            .filter(|i| needed[*i])
            .flat_map(|i| plan.reads(i).map(move |r| (r, i)))
            .map(|(from, to)| (index[name(from)], index[name(to)]))
            .collect();
        arrows.sort_unstable();
        arrows.dedup();
        Self { boxes, arrows }
    }
}
