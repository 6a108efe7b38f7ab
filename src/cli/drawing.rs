//! A graph that is to be drawn, whatever the form.

use serde::Serialize;

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
    /// How many nodes it stands for.
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
