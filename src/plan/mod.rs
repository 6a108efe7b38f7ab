//! From drafts to a graph of nodes whose every parameter is known.

mod build;
mod command;
mod grounds;
mod pattern;
mod places;
mod premises;
mod reference;
mod schema;
mod select;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lfs_stage::{Cpu, KindInfo, Labels};
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::{Deserialize, Serialize};

pub use build::build;
pub use grounds::Grounds;
pub use premises::{Asked, Premises};
pub use schema::describe_parameters;

use crate::digest::Digest;
use crate::manifest::Place;

/// The kind that needs no worker.
pub const COMMAND: &str = "command";

/// What to do when there is no worker.
pub const NO_WORKER: &str =
    "build `lfs-stages`: `cargo build --release --workspace`; or name a worker with the variable LFS_WORKER";

/// All nodes of a manifest and what they read of each other.
#[derive(Debug)]
pub struct Plan {
    /// The nodes, in file order.
    pub nodes: Vec<Node>,
    /// An edge from a node to each that reads it. Node weights are indices into `nodes`.
    pub graph: DiGraph<usize, ()>,
    /// The nodes, each after all that it reads.
    pub order: Vec<usize>,
    /// The patterns that it was made from, with what matched.
    pub patterns: Vec<(String, Vec<PathBuf>)>,
    /// Folders in which the run itself writes.
    pub own_folders: Vec<PathBuf>,
    /// The digest of the workers' descriptions that it was made from.
    pub described: Digest,
    by_name: OnceLock<HashMap<String, usize>>,
}

/// A stage after its matrix is expanded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    /// `train[method=softmax]`
    pub name: String,
    /// The stage's name.
    pub stage: String,
    /// Its labels, in the order of the matrix.
    pub labels: Vec<(String, String)>,
    /// Its kind.
    pub kind: String,
    /// The place of the stage's name.
    pub place: Place,
    /// Who does the work.
    pub work: Work,
    /// Every parameter of a worker's kind, defaults filled in, those that do not count left out.
    #[serde(with = "as_text")]
    pub parameters: serde_json::Value,
    /// The digests of the source files behind the result.
    #[serde(skip)]
    pub code: Arc<BTreeMap<String, String>>,
    /// Facts of the environment on which the result depends.
    pub environment: BTreeMap<String, String>,
    /// What it reads, sorted by name.
    pub inputs: Vec<Input>,
    /// What it writes.
    pub outputs: Vec<Output>,
    /// What it needs of the machine.
    pub resources: Resources,
    /// What a worker process must have settled on, if anything; see [`lfs_stage::Choice::process`].
    pub process: Option<String>,
    /// After how long it is stopped.
    pub timeout: Option<Duration>,
    /// How often it is tried again after a failure.
    pub retries: u32,
}

impl Node {
    /// The files and folders of the user's that it reads.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.inputs.iter().flat_map(|input| &input.sources).filter_map(|source| match source {
            Source::Path { path, .. } => Some(path),
            Source::Node { .. } => None,
        })
    }

    /// The labels as a map.
    pub fn label_map(&self) -> Labels {
        self.labels.iter().cloned().collect()
    }

    /// The folder of its outputs, relative to the output folder.
    pub fn folder(&self) -> PathBuf {
        let mut path = PathBuf::from(&self.stage);
        if !self.labels.is_empty() {
            let labels: Vec<String> = self.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            // Two nodes never share a folder: the escape of a slash cannot occur otherwise.
            path.push(labels.join(",").replace('%', "%25").replace('/', "%2F"));
        }
        path
    }
}

/// Who does a node's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// A program of the user's, under `/bin/sh`.
    Command {
        /// The script.
        run: String,
        /// Environment variables.
        env: BTreeMap<String, String>,
        /// It may touch nothing but what is declared, the system's files, and these.
        strict: Option<Vec<PathBuf>>,
    },
    /// A worker, by its index among the programs.
    Worker(usize),
}

/// An input of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Whether the stage sees a list.
    pub several: bool,
    /// What it is read from.
    pub sources: Vec<Source>,
}

/// Where an input's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// An output of another node.
    Node {
        /// Index of the node.
        node: usize,
        /// Index of its output.
        output: usize,
    },
    /// A file or folder of the user's.
    Path {
        /// Where it lies.
        path: PathBuf,
        /// As the manifest names it.
        shown: String,
        /// Where it is named.
        place: Place,
    },
}

/// An output of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// The path below the node's folder.
    pub path: String,
}

/// What a node needs of the machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resources {
    /// Processors.
    pub cpu: CpuDemand,
    /// GPUs.
    pub gpu: u32,
    /// Bytes of memory.
    pub memory: u64,
}

/// A number of processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CpuDemand {
    /// So many.
    Count(u32),
    /// All that the run may use.
    All,
}

impl Plan {
    /// A plan that was kept, and whose premises hold.
    pub(crate) fn kept(nodes: Vec<Node>, order: Vec<usize>, premises: &Premises, described: Digest) -> Self {
        Self {
            graph: graph(&nodes),
            nodes,
            order,
            patterns: premises.patterns.clone(),
            own_folders: premises.grounds.left_out(),
            described,
            by_name: OnceLock::new(),
        }
    }

    /// The node with this full name.
    pub fn find(&self, name: &str) -> Option<usize> {
        let all = || self.nodes.iter().enumerate().map(|(i, n)| (n.name.clone(), i)).collect();
        self.by_name.get_or_init(all).get(name).copied()
    }

    /// Whether some pattern would find a path.
    pub fn has_pattern_for(&self, root: &std::path::Path, path: &std::path::Path) -> bool {
        self.patterns.iter().any(|(text, _)| pattern::fits(root, text, path))
    }

    /// The folders in which patterns look, below the folder of the manifest.
    pub fn pattern_folders(&self, root: &std::path::Path) -> Vec<PathBuf> {
        self.patterns.iter().map(|(text, _)| root.join(pattern::fixed(text))).collect()
    }

    /// Whether no node needs a worker.
    pub fn is_commands_alone(&self) -> bool {
        self.nodes.iter().all(|n| n.kind == COMMAND)
    }

    /// The nodes that a node reads, each once.
    pub fn reads(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.graph.neighbors_directed(NodeIndex::new(node), Direction::Incoming).map(|i| self.graph[i])
    }

    /// The nodes that read a node, each once.
    pub fn readers(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.graph.neighbors_directed(NodeIndex::new(node), Direction::Outgoing).map(|i| self.graph[i])
    }
}

/// An edge from each node to each that reads it.
fn graph(nodes: &[Node]) -> DiGraph<usize, ()> {
    let mut graph = DiGraph::with_capacity(nodes.len(), 2 * nodes.len());
    for i in 0..nodes.len() {
        graph.add_node(i);
    }
    let mut from: Vec<usize> = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        from.clear();
        from.extend(node.inputs.iter().flat_map(|input| &input.sources).filter_map(|s| match s {
            Source::Node { node, .. } => Some(*node),
            Source::Path { .. } => None,
        }));
        from.sort_unstable();
        from.dedup();
        for source in &from {
            graph.add_edge(NodeIndex::new(*source), NodeIndex::new(i), ());
        }
    }
    graph
}

/// A kind with the worker that has it.
#[derive(Debug, Clone)]
pub struct KnownKind {
    /// What the worker says of it.
    pub info: Arc<KindInfo>,
    /// The worker's index.
    pub worker: usize,
    /// The digests that hold whatever the parameters are.
    pub code: Arc<BTreeMap<String, String>>,
}

/// All kinds of all workers, by name.
pub type Kinds = BTreeMap<String, KnownKind>;

fn demand(cpu: &Cpu, parameters: &serde_json::Value) -> CpuDemand {
    match cpu {
        Cpu::One => CpuDemand::Count(1),
        Cpu::All => CpuDemand::All,
        Cpu::Parameter(name) => CpuDemand::Count(parameter_count(parameters, name)),
    }
}

/// The number that a parameter holds, at least 1.
fn parameter_count(parameters: &serde_json::Value, name: &str) -> u32 {
    let count = parameters.get(name).and_then(serde_json::Value::as_u64).unwrap_or(1);
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

/// JSON, in a format that is not self-describing.
mod as_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
    use serde_json::Value;

    pub fn serialize<S: Serializer>(value: &Value, s: S) -> Result<S::Ok, S::Error> {
        serde_json::to_string(value).map_err(S::Error::custom)?.serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Value, D::Error> {
        let text = <&str>::deserialize(d)?;
        match text {
            "null" => Ok(Value::Null),
            text => serde_json::from_str(text).map_err(D::Error::custom),
        }
    }
}
