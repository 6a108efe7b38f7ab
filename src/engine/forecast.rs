//! What a run would do, without running anything.

use serde::Serialize;

use super::inputs::prints;
use crate::cache::{Cache, Record};
use crate::fault::{Fault, Result};
use crate::fingerprint::{Change, Fingerprint, Key, differences};
use crate::plan::Plan;
use crate::state::Files;

/// What would happen to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its result is known.
    Cached,
    /// A store elsewhere is known to hold its result.
    Fetch,
    /// It would run.
    ToRun,
    /// A node before it would run: whether it must run too depends on that result.
    Depends,
}

/// The forecast of one node.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// What would happen.
    pub state: State,
    /// The fingerprint, where all that it reads is known.
    pub fingerprint: Option<Fingerprint>,
    /// The key of that fingerprint.
    pub key: Option<Key>,
    /// The record, where there is one.
    pub record: Option<Record>,
}

/// Foresees a run over the wanted nodes. Nodes that are not wanted have no forecast. `elsewhere` gives the record of a
/// result that can be fetched.
///
/// # Errors
/// As [`Files::of`].
pub fn forecast(
    plan: &Plan,
    needed: &[bool],
    cache: &Cache,
    elsewhere: &mut dyn FnMut(&Key) -> Option<Record>,
    files: &Files,
) -> Result<Vec<Option<Forecast>>> {
    let mut records: Vec<Option<Record>> = vec![None; plan.nodes.len()];
    let mut out: Vec<Option<Forecast>> = vec![None; plan.nodes.len()];
    for i in plan.order.iter().copied().filter(|i| needed[*i]) {
        let node = &plan.nodes[i];
        let results = |node: usize, output: usize| {
            let name: &String = &plan.nodes[node].outputs[output].name;
            records[node].as_ref()?.outputs.get(name)
        };
        let Some(inputs) = prints(node, plan, &results, files) else {
            out[i] = Some(Forecast { state: State::Depends, fingerprint: None, key: None, record: None });
            continue;
        };
        let fingerprint = Fingerprint::of(node, inputs);
        let key = fingerprint.key().map_err(|e| Fault::machine(e.to_string()))?;
        let (state, record) = match cache.record(&key) {
            Some(record) => (State::Cached, Some(record)),
            None => match elsewhere(&key) {
                Some(record) => (State::Fetch, Some(record)),
                None => (State::ToRun, None),
            },
        };
        records[i] = record.clone();
        out[i] = Some(Forecast { state, fingerprint: Some(fingerprint), key: Some(key), record });
    }
    Ok(out)
}

/// The nearest earlier result of a node, and in what its fingerprint differs.
#[derive(Debug, Clone, Serialize)]
pub struct Nearest {
    /// Its key.
    pub key: Key,
    /// How it came about.
    pub made: crate::cache::Made,
    /// The leaves that differ.
    pub changes: Vec<Change>,
}

/// How far back `why` looks for an earlier result of the same kind.
const LOOK_BACK: usize = 2000;

impl Forecast {
    /// The nearest earlier result: of the same node's name if there is one, else of the same kind; among these the
    /// one with the fewest differences, and the latest of them.
    pub fn nearest(&self, node: &str, cache: &Cache) -> Option<Nearest> {
        let now = self.fingerprint.as_ref()?;
        let mut best: Option<((bool, usize), Nearest)> = None;
        for key in cache.node_keys().into_iter().filter(|k| Some(*k) != self.key).take(LOOK_BACK) {
            let (Some(record), Some(before)) = (cache.record(&key), cache.fingerprint::<Fingerprint>(&key))
            else {
                continue;
            };
            if before.kind != now.kind {
                continue;
            }
            let changes = differences(&before, now);
            let rank = (record.made.node != node, changes.len());
            if best.as_ref().is_none_or(|(b, _)| rank < *b) {
                best = Some((rank, Nearest { key, made: record.made, changes }));
            }
        }
        best.map(|(_, nearest)| nearest)
    }
}
