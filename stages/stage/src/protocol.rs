//! The messages between a host and a worker: one JSON object a line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Failure;

/// Matrix labels of a node: `method` -> `softmax`.
pub type Labels = BTreeMap<String, String>;

/// Host to worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Run a job to its end. A worker runs one job at a time.
    Run(Job),
    /// Compute one step of a job that runs in another worker, into `folder`.
    RunStep {
        /// The job of the step; its outputs must not be written.
        job: Job,
        /// The step.
        step: Step,
        /// The folders of the steps in `step.after`, in that order.
        after: Vec<PathBuf>,
        /// The empty folder to fill.
        folder: PathBuf,
    },
    /// The answer to [`Reply::Steps`].
    Steps {
        /// One answer for each step, in order.
        answers: Vec<StepAnswer>,
    },
}

/// Work for a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The name of the node, for messages: `train[method=softmax]`.
    pub node: String,
    /// The kind to run.
    pub kind: String,
    /// The parameters, with every default filled in.
    pub parameters: Value,
    /// The inputs by name. They must not be written to.
    pub inputs: BTreeMap<String, Binding>,
    /// Where to write each output, as a file or a folder; the worker decides which. Nothing exists there yet.
    pub outputs: BTreeMap<String, PathBuf>,
    /// An empty folder for the job's own use.
    pub scratch: PathBuf,
    /// The number of threads that it may use. Results must not depend on it.
    pub threads: usize,
    /// For a kind that works by row ([`crate::KindInfo::by_row`]): the outputs, by name, of an earlier result of the same kind,
    /// code, parameters and other inputs, if there is one. It only saves work: the result must have the same bytes without it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub earlier: BTreeMap<String, PathBuf>,
}

/// The members of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// One file or folder.
    One(PathBuf),
    /// Several files or folders, each with the labels of the node that produced it.
    Several(Vec<Member>),
}

/// A member of an input with several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The node that produced it, `evaluate[method=softmax,set=lfw]`, or the path of a file of the project.
    pub from: String,
    /// The matrix labels of that node.
    pub labels: Labels,
    /// The file or folder.
    pub path: PathBuf,
}

/// A part of a job that is cached by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The name shown to the user: `epoch 3, a = -0.82`.
    pub name: String,
    /// Everything that the step depends on, except the kind's code, the environment, `after` and `inputs`.
    pub spec: Value,
    /// The parameters that select code (keys of the kind's `choices`) and matter for this step.
    #[serde(default)]
    pub choices: Vec<String>,
    /// The job's inputs that it reads.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// The digests of the steps from which it continues, as the host reported them.
    #[serde(default)]
    pub after: Vec<String>,
    /// The note is enough: if only the note was kept, the step need not be computed again.
    #[serde(default)]
    pub note_will_do: bool,
}

/// The name of a step's note in its folder: what must be known of the step without its other files. The note is stored with the
/// record.
pub const NOTE_FILE: &str = "note.json";

/// The host's answer for one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepAnswer {
    /// The step is cached.
    Known {
        /// The digest of the folder.
        digest: String,
        /// The folder, which must not be written to. It does not exist if only the note was kept.
        folder: PathBuf,
        /// The content of its `note.json`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Value>,
    },
    /// These predecessors of the step have lost their folders. They must be requested first, and then all steps of the request
    /// again: until then no step of the request is assigned. All its steps that are not cached get this answer, with an empty list
    /// if they lack nothing.
    Lacking {
        /// The digests of those predecessors.
        after: Vec<String>,
    },
    /// Compute the step into this empty folder, then send [`Reply::StepDone`].
    Compute {
        /// The folder to fill.
        folder: PathBuf,
    },
    /// Another worker computes the step. Send [`Reply::StepWait`] when no other work is left.
    Elsewhere,
}

/// A number of a table, with what is needed to decide whether another run reproduces it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The number; none if it was not resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The variation over repetitions; none if the number was computed once, so that its variation is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<Repeated>,
}

/// The variation of a number over repetitions of its computation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Repeated {
    /// The bound within which another run's number counts as equal.
    pub bound: f64,
    /// The standard error of the number over the repetitions.
    pub error: f64,
    /// The degrees of freedom of that error: the number of repetitions less one.
    pub freedom: f64,
}

/// Worker to host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Reply {
    /// The progress of the job.
    Progress {
        /// The current activity: `epoch 3`, `writing`.
        doing: String,
        /// The amount done, in `unit`.
        done: u64,
        /// The total amount, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// The unit: `images`, `pairs`.
        unit: String,
        /// Figures to display: `loss`, `lr`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        figures: BTreeMap<String, f64>,
    },
    /// A line for the node's log.
    Note {
        /// The text.
        text: String,
    },
    /// Something that the reader of the result must know; kept with the record.
    Warning {
        /// The text.
        text: String,
    },
    /// A figure of the result; kept with the record.
    Metric {
        /// The name: `train/accuracy`.
        name: String,
        /// The value.
        value: f64,
    },
    /// A cell of a table, kept with the record and in the lock file, against which `verify` checks another run.
    Cell {
        /// Its name: `AM-Softmax, LFW`.
        name: String,
        /// The content of the cell.
        #[serde(flatten)]
        cell: Cell,
    },
    /// The verdict of the result on a claim; kept likewise.
    Finding {
        /// The claim: `AM-Softmax against Softmax`.
        claim: String,
        /// The verdict: `better`, `worse`, `not resolved`.
        verdict: String,
    },
    /// Requests steps; the host answers with [`Request::Steps`].
    Steps {
        /// Steps that do not depend on each other.
        steps: Vec<Step>,
    },
    /// The folder of step number `index` of the last request is complete; the host answers with [`Request::Steps`] that contains
    /// the one answer for it, now known.
    StepDone {
        /// The index of the step.
        index: usize,
    },
    /// Waits for step number `index` of the last request, which another worker computes; the host answers with [`Request::Steps`]
    /// that contains one answer: known, or to be computed after all.
    StepWait {
        /// The index of the step.
        index: usize,
    },
    /// From now on only the notes of these steps are needed: the host may remove the rest at any time.
    Spent {
        /// Their digests.
        digests: Vec<String>,
    },
    /// The job is done and every output is written.
    Done,
    /// The job failed.
    Failed(Failure),
}
