//! The events of a run and their times, for reports that are written afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};

use super::Subscriber;
use crate::engine::{Ended, Event};
use crate::fingerprint::Key;

/// Collects a run. Clones share what they collect.
#[derive(Debug, Clone, Default)]
pub struct Trace(Arc<Mutex<Collected>>);

/// What was collected.
#[derive(Debug, Default)]
pub struct Collected {
    /// The run's name.
    pub run: String,
    /// When it began.
    began: Option<Instant>,
    /// Its nodes by name.
    pub nodes: BTreeMap<String, Span>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// One node in a run.
#[derive(Debug, Clone, Default)]
pub struct Span {
    /// Seconds from the beginning of the run; none for a node that did not run.
    pub from: Option<f64>,
    /// Seconds from the beginning of the run.
    pub to: f64,
    /// How it ended.
    pub ended: Option<Ended>,
    /// Its key.
    pub key: Option<Key>,
    /// The peak memory, in bytes.
    pub peak: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Warnings for readers of the result.
    pub warnings: Vec<String>,
}

impl Trace {
    /// The events so far.
    pub fn read(&self) -> MutexGuard<'_, Collected> {
        self.0.lock()
    }
}

impl Subscriber for Trace {
    fn on(&mut self, event: &Event) {
        let mut all = self.read();
        let now = all.began.map_or(0.0, |b| b.elapsed().as_secs_f64());
        match event {
            Event::RunStarted { run, .. } => {
                all.run.clone_from(run);
                all.began = Some(Instant::now());
            }
            Event::NodeStarted { node, .. } => {
                all.nodes.entry(node.clone()).or_default().from = Some(now);
            }
            Event::NodeWarning { node, text } => {
                all.nodes.entry(node.clone()).or_default().warnings.push(text.clone());
            }
            Event::NodeFinished { node, state, key, error, peak, .. } => {
                let span = all.nodes.entry(node.clone()).or_default();
                span.to = now;
                span.ended = Some(*state);
                span.key = *key;
                span.peak = *peak;
                span.error.clone_from(error);
            }
            Event::RunFinished { seconds, .. } => all.seconds = *seconds,
            _ => {}
        }
    }
}
