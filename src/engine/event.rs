//! What happens in a run. The scheduler prints nothing: it says events, and subscribers show them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::digest::Digest;
use crate::fingerprint::Key;

/// One thing that happened. `--events FILE` writes each as one line of JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// The run's name; its logs are under `runs/` in the cache.
        run: String,
        /// The run whose node states it builds on.
        #[serde(skip_serializing_if = "Option::is_none")]
        base: Option<String>,
        /// How many nodes are wanted.
        nodes: usize,
        /// Processor slots; none when nothing has to run.
        #[serde(skip_serializing_if = "Option::is_none")]
        jobs: Option<usize>,
    },
    /// A node must run, and begins.
    NodeStarted {
        /// The node.
        node: String,
        /// Its kind.
        kind: String,
    },
    /// Another run computes the same result; this one waits for it.
    NodeWaiting {
        /// The node.
        node: String,
    },
    /// The progress of a node.
    NodeProgress {
        /// The node.
        node: String,
        /// What it is doing.
        doing: String,
        /// How much is done.
        done: u64,
        /// Of how much.
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// In what.
        unit: String,
        /// Figures beside it.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        figures: BTreeMap<String, f64>,
    },
    /// A step of a node was found or computed.
    NodeStep {
        /// The node.
        node: String,
        /// The step.
        step: String,
        /// Whether it was known.
        known: bool,
    },
    /// A node says something that a reader of the result must know.
    NodeWarning {
        /// The node.
        node: String,
        /// What it says.
        text: String,
    },
    /// A figure of a result.
    NodeMetric {
        /// The node.
        node: String,
        /// The figure's name.
        name: String,
        /// Its value.
        value: f64,
    },
    /// A node's result is there, or will not be.
    NodeFinished {
        /// The node.
        node: String,
        /// How it ended.
        state: Ended,
        /// The key of its result.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
        /// How long it took.
        seconds: f64,
        /// The most memory that it held, in bytes.
        #[serde(skip_serializing_if = "Option::is_none")]
        peak: Option<u64>,
        /// Whether the last run left its result and nothing has changed since: it was not looked up.
        #[serde(skip)]
        unchanged: bool,
        /// The digests of its outputs.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        outputs: BTreeMap<String, Digest>,
        /// Why it failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What to do about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        help: Option<String>,
        /// The last lines of its log, when it failed.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        log: Vec<String>,
    },
    /// The run is being stopped: nothing new starts.
    RunStopping {
        /// Nodes that still run.
        running: usize,
        /// Whether these are ended now, in place of being waited for.
        now: bool,
    },
    /// The run is over. Always the last.
    RunFinished {
        /// Nodes that ran.
        executed: usize,
        /// Nodes whose result was known.
        cached: usize,
        /// Nodes that failed.
        failed: usize,
        /// Nodes that were not tried, since a node before them failed or the run was stopped.
        skipped: usize,
        /// How long it took.
        seconds: f64,
        /// What fault of the cache or the machine ended it, if one did.
        #[serde(skip_serializing_if = "Option::is_none")]
        fault: Option<String>,
    },
}

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Its result was known.
    Cached,
    /// It ran.
    Executed,
    /// It failed.
    Failed,
    /// It was not tried.
    Skipped,
}
