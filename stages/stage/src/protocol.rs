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
    /// Run a job to its end. One at a time.
    Run(Job),
    /// Compute one step of a job that runs elsewhere, into `folder`.
    RunStep {
        /// The job whose step it is; its outputs are not to be written.
        job: Job,
        /// The step.
        step: Step,
        /// Where the steps in `step.after` lie, in that order.
        after: Vec<PathBuf>,
        /// The empty folder to fill.
        folder: PathBuf,
    },
    /// The answer to [`Reply::Steps`].
    Steps {
        /// One answer a step, in order.
        answers: Vec<StepAnswer>,
    },
}

/// Work for a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The node's name, for messages: `train[method=softmax]`.
    pub node: String,
    /// The kind to run.
    pub kind: String,
    /// The parameters, complete: every default filled in.
    pub parameters: Value,
    /// The inputs by name. They must not be written to.
    pub inputs: BTreeMap<String, Binding>,
    /// Where each output is to be written: a file or a folder, the worker decides. Nothing is there yet.
    pub outputs: BTreeMap<String, PathBuf>,
    /// An empty folder for the job's own use.
    pub scratch: PathBuf,
    /// How many threads it may use. Results must not depend on it.
    pub threads: usize,
    /// For a kind that works by row ([`crate::KindInfo::by_row`]): the outputs, by name, of an earlier result of the same kind, code,
    /// parameters and other inputs, where there is one. A help: the result must be the same bytes without it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub earlier: BTreeMap<String, PathBuf>,
}

/// What stands behind an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// One file or folder.
    One(PathBuf),
    /// Several, each with the labels of the node that made it.
    Several(Vec<Member>),
}

/// One of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The node that made it: `evaluate[method=softmax,set=lfw]`, or the path of a file of the project.
    pub from: String,
    /// That node's matrix labels.
    pub labels: Labels,
    /// The file or folder.
    pub path: PathBuf,
}

/// A memoised part of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// A name for people: `epoch 3, a = -0.82`.
    pub name: String,
    /// All that the step depends on beside the kind's code, the environment, `after` and `inputs`.
    pub spec: Value,
    /// The parameters that choose code (a key of the kind's `choices`) and matter for this step.
    #[serde(default)]
    pub choices: Vec<String>,
    /// The job's inputs that it reads.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Digests of the steps that it continues from, as the host gave them.
    #[serde(default)]
    pub after: Vec<String>,
    /// Its note will do: where only that is left of it, it need not be computed again.
    #[serde(default)]
    pub note_will_do: bool,
}

/// A file of this name in a step's folder is its note: what is to be known of the step without its bytes. It is kept
/// with the record.
pub const NOTE_FILE: &str = "note.json";

/// What the host says of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepAnswer {
    /// It is known: its folder, not to be written to.
    Known {
        /// The digest of the folder.
        digest: String,
        /// The folder. It is not there any more where only the note is left.
        folder: PathBuf,
        /// What its `note.json` says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<Value>,
    },
    /// These of the steps that it continues from are not there any more. They are to be asked for first, and then all again:
    /// where one of several lacks something, none of them is given out, and the others lack nothing.
    Lacking {
        /// Their digests.
        after: Vec<String>,
    },
    /// Compute it into this empty folder, then say [`Reply::StepDone`].
    Compute {
        /// The folder to fill.
        folder: PathBuf,
    },
    /// Another worker computes it. Ask for it with [`Reply::StepWait`] when nothing else is left to do.
    Elsewhere,
}

/// A number of a table, with what is needed to say whether another run gave the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The number; none where it was not resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What repetitions say of it; none where it was computed once, so that nothing says how far another run may be from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<Repeated>,
}

/// What repetitions of a computation say of a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Repeated {
    /// Another run's number says the same when it is no farther away than this.
    pub bound: f64,
    /// The standard error of the number over the repetitions.
    pub error: f64,
    /// The degrees of freedom of that error: one less than there are repetitions.
    pub freedom: f64,
}

/// Worker to host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Reply {
    /// Where the job stands.
    Progress {
        /// What is being done: `epoch 3`, `writing`.
        doing: String,
        /// How much is done, in `unit`.
        done: u64,
        /// How much there is, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        /// `images`, `pairs`.
        unit: String,
        /// Figures to show beside it: `loss`, `lr`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        figures: BTreeMap<String, f64>,
    },
    /// A line for the node's log.
    Note {
        /// The text.
        text: String,
    },
    /// Something a reader of the result must know; kept with the record.
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
    /// A cell of a table; kept with the record and in a lock file, by which `verify` judges another run.
    Cell {
        /// Its name: `AM-Softmax, LFW`.
        name: String,
        /// What stands in it.
        #[serde(flatten)]
        cell: Cell,
    },
    /// What the result says of a claim; kept likewise.
    Finding {
        /// The claim: `AM-Softmax against Softmax`.
        claim: String,
        /// What is said of it: `better`, `worse`, `not resolved`.
        verdict: String,
    },
    /// Asks for steps; the host answers with [`Request::Steps`].
    Steps {
        /// Steps that do not depend on each other.
        steps: Vec<Step>,
    },
    /// The folder of the `index`-th step asked for last is complete; the host answers with
    /// [`Request::Steps`] holding its one, now known, answer.
    StepDone {
        /// Which one.
        index: usize,
    },
    /// Waits for the `index`-th step asked for last, which another worker computes; the host answers with
    /// [`Request::Steps`] holding one answer: known, or to be computed after all.
    StepWait {
        /// Which one.
        index: usize,
    },
    /// Of these steps only the notes are needed from now on: the host may remove the rest when it likes.
    Spent {
        /// Their digests.
        digests: Vec<String>,
    },
    /// The job is done and every output is written.
    Done,
    /// The job failed.
    Failed(Failure),
}
