//! What the threads of a run do, and how it ends.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lfs_stage::Binding;

use super::slots::Taken;
use crate::cache::{Hashed, Record, Refused, Stored};
use crate::digest::Digest;
use crate::fault::Fault;
use crate::fingerprint::{Fingerprint, Key};
use crate::outputs::Trouble;
use crate::plan::Node;

/// A file or folder that a command reads.
pub(super) struct Reading {
    /// Where it lies.
    pub path: PathBuf,
    /// The name under which the command is to see it, where that is not the path's own.
    pub link: Option<String>,
}

/// What a thread does.
pub(super) enum Task<'a> {
    /// The outputs of a cache hit are to be materialised.
    Restore(Box<Restore<'a>>),
    /// A node must run, and has its slots.
    Run(Box<Run<'a>>),
}

/// A node whose result is in the cache.
pub(super) struct Restore<'a> {
    pub index: usize,
    pub node: &'a Node,
    pub key: Key,
    pub record: Record,
}

/// An object that a node reads, made by another.
#[derive(Clone)]
pub(super) struct Reads {
    /// Index of the node that made it.
    pub by: usize,
    /// Which of its results in this run: a node may be computed again.
    pub result: u32,
    pub stored: Stored,
}

/// A node that must run.
pub(super) struct Run<'a> {
    pub index: usize,
    pub node: &'a Node,
    pub key: Key,
    pub fingerprint: Fingerprint,
    pub files: Vec<(PathBuf, Hashed)>,
    /// The objects behind what it reads of other nodes.
    pub objects: Vec<Reads>,
    /// For a worker: its inputs.
    pub bindings: BTreeMap<String, Binding>,
    /// For a command: its inputs.
    pub reads: BTreeMap<String, Vec<Reading>>,
    /// What it may use.
    pub taken: Taken,
    /// What a result that is known means.
    pub mode: Mode,
}

/// What it means for a node, and for the steps of it, that a result is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It need not run.
    Known,
    /// It runs again, and the new result replaces the cached one.
    Again,
    /// It runs again, and the new result is compared with the cached one, which stays.
    Check,
}

/// How a node's work ended.
pub(super) enum Outcome {
    /// Its outputs were materialised: what lies in the output folder, and how long the node took when it ran.
    Restored(Vec<Hashed>, f64),
    /// Its result is no whole one: an object is corrupt or missing.
    Unusable,
    /// Objects that it reads of other nodes are corrupt or missing.
    Unsound(Vec<Reads>),
    /// Another run had the result ready: what lies in the output folder, and how long it took then.
    Found(Vec<Hashed>, f64),
    /// It ran: what lies in the output folder, how long it took, and the most memory that it held.
    Ran(Vec<Hashed>, f64, Option<u64>),
    /// It ran for a comparison: what lies in the output folder, how long it took when it was published, and what differs.
    Checked(Vec<Hashed>, f64, Vec<Difference>),
    /// One of the user's files changed while it ran: the result belongs to no key.
    Changed(Vec<PathBuf>),
    /// It failed.
    Failed(Failed),
    /// It was stopped.
    Stopped,
    /// The cache or the machine failed.
    Broken(Fault),
}

/// An output whose bytes differ from the published ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `node.output`
    pub output: String,
    /// What is published.
    pub published: Digest,
    /// The digest of this time.
    pub now: Option<Digest>,
}

/// Why a node failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Failed {
    pub message: String,
    pub help: Option<String>,
    /// The last lines of its log.
    pub log: Vec<String>,
    /// It took an input away.
    pub took_away: bool,
}

impl Task<'_> {
    /// The node, and the key of its result.
    pub fn of(&self) -> (usize, Key) {
        match self {
            Self::Restore(restore) => (restore.index, restore.key),
            Self::Run(run) => (run.index, run.key),
        }
    }
}

impl Run<'_> {
    /// The GPUs that it may use, as `CUDA_VISIBLE_DEVICES` names them.
    pub fn gpus(&self) -> &[String] {
        &self.taken.what.gpus
    }

    /// Whether an input may have several members.
    pub fn several(&self, input: &str) -> bool {
        self.node.inputs.iter().any(|i| i.name == *input && i.several)
    }

    /// How many threads it may use.
    pub fn threads(&self) -> usize {
        self.taken.what.cpu.max(1) as usize
    }
}

impl Failed {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// A fault that is this node's alone.
    pub fn of(fault: Fault) -> Self {
        match fault {
            Fault::Machine { message, help } | Fault::Usage { message, help } => {
                Self { message, help, ..Self::default() }
            }
            other => Self::new(other.to_string()),
        }
    }
}

/// What ends a piece of work early.
pub(super) enum End {
    Failed(Failed),
    Stopped,
    Broken(Fault),
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        let (message, help) = match refused {
            Refused::Fault(fault) => return fault.into(),
            Refused::Missing => ("an output is not there".to_owned(), "this is a defect of the stage"),
            Refused::Link(link) => {
                (format!("the output holds a symbolic link: {}", link.display()), "write the file itself")
            }
            Refused::Unreadable(e) => (
                format!("the output cannot be taken into the cache: {e}"),
                "an output is a file, or a folder of files and folders, which its owner can read",
            ),
            Refused::Busy(path) => (
                format!("the output is still written to: {}", path.display()),
                "let it end only when everything is written: wait for what it starts in the background, and close its files",
            ),
        };
        Self::Failed(Failed::new(message).help(help))
    }
}

impl From<Trouble> for End {
    /// Only a fault of the cache ends the run; that of a place in the output folder is one of its node.
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Cache(fault) => fault.into(),
            Trouble::Foreign(foreign) => Self::Failed(
                Failed::new(format!("{}; the result is in the cache", foreign.message()))
                    .help(foreign.help()),
            ),
            Trouble::Out(fault) => Self::Failed(Failed::of(fault)),
            Trouble::Stopped => Self::Stopped,
            Trouble::Damaged => Self::Failed(Failed::new(
                "an output was still written to after it had ended: the result is thrown away",
            )),
        }
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Interrupted => Self::Stopped,
            other => Self::Broken(other),
        }
    }
}
