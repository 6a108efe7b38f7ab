//! The result of a run as JSON on standard output.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use super::Subscriber;
use crate::digest::Digest;
use crate::engine::{Ended, Event};
use crate::fingerprint::Key;

/// Collects what a run did, and prints it when it is over.
#[derive(Default, Serialize)]
pub struct Report {
    run: String,
    nodes: Vec<Node>,
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
            Event::NodeFinished { node, state, key, seconds, outputs, error, .. } => self.nodes.push(Node {
                node: node.clone(),
                state: *state,
                key: *key,
                seconds: *seconds,
                outputs: outputs.clone(),
                error: error.clone(),
            }),
            Event::RunFinished { .. } => {
                self.end = Some(event.clone());
                let text = serde_json::to_string_pretty(&self).unwrap_or_default();
                // A reader that has gone away is no fault.
                let _ = writeln!(std::io::stdout(), "{text}");
            }
            _ => {}
        }
    }
}
