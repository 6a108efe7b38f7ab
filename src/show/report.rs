//! The result of a run as JSON on standard output.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use serde::Serialize;

use super::Subscriber;
use crate::digest::Digest;
use crate::engine::{Ended, Event};
use crate::fingerprint::Key;

/// Collects the results of a run, and prints them when it is over.
#[derive(Default, Serialize)]
pub struct Report {
    run: String,
    nodes: Vec<Node>,
    #[serde(skip)]
    index: HashMap<String, usize>,
    #[serde(flatten)]
    end: Option<Event>,
}

#[derive(Serialize)]
struct Node {
    node: String,
    state: Ended,
    key: Option<Key>,
    seconds: f64,
    outputs: BTreeMap<String, Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Subscriber for Report {
    fn on(&mut self, event: &Event) {
        match event {
            Event::RunStarted { run, .. } => self.run.clone_from(run),
            Event::NodeFinished { node, state, key, seconds, outputs, error, .. } => {
                let row = Node {
                    node: node.clone(),
                    state: *state,
                    key: *key,
                    seconds: *seconds,
                    outputs: outputs.clone(),
                    error: error.clone(),
                };
                // A node whose cached output was corrupt finishes twice.
                let i = *self.index.entry(node.clone()).or_insert(self.nodes.len());
                match self.nodes.get_mut(i) {
                    Some(before) => *before = row,
                    None => self.nodes.push(row),
                }
            }
            Event::RunFinished { .. } => {
                self.end = Some(event.clone());
                let text = serde_json::to_string_pretty(&self).unwrap_or_default();
                // It is no error if the reader has closed the pipe.
                let _ = writeln!(std::io::stdout(), "{text}");
            }
            _ => {}
        }
    }
}
