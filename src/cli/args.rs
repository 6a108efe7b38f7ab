//! The command line, as it is typed.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

/// From raw photographs to the tables of a paper: a pipeline runner that knows of every result which bytes, which
/// code and which parameters it came from, and computes nothing twice.
#[derive(Debug, Parser)]
#[command(name = "lfs-pipe", version, max_term_width = 100, after_help = AFTER)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str =
    "Any kind also runs by itself, outside of a pipeline: lfs-pipe KIND --help; `lfs-pipe kinds` lists them.

Exit codes: 0 done, 1 a stage failed, 2 wrong usage or manifest, 3 results differ, \
4 the cache or the machine failed, 130 interrupted.";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Go to this folder first, as if the command were given there.
    #[arg(short = 'C', long = "directory", global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// The manifest [default: pipeline.toml, here or in the nearest folder above].
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        default_value = MANIFEST,
        hide_default_value = true
    )]
    pub file: PathBuf,
    /// Set a value of the manifest: a variable (`data=/photos`), a stage's parameter (`train.epochs=20`), or any
    /// key by its full path. A variable with which a path of the manifest begins is relative to the current folder.
    #[arg(
        long = "set",
        global = true,
        value_name = "NAME=VALUE",
        add = named(Named::Settings)
    )]
    pub sets: Vec<String>,
    /// The cache folder, in place of the manifest's.
    #[arg(long, global = true, value_name = "DIR", env = "LFS_CACHE")]
    pub cache: Option<PathBuf>,
    /// The output folder, in place of the manifest's.
    #[arg(long, global = true, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// When to use colours.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub color: Colour,
}

/// What a manifest is called where none is named.
pub(super) const MANIFEST: &str = "pipeline.toml";

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// In a file or a pipe, too.
    Always,
    /// Nowhere.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a first manifest into a folder.
    Init(InitArgs),
    /// Run the pipeline, or the named nodes and all that they read.
    Run(RunArgs),
    /// Show what would run, and why; run nothing.
    Plan(PlanArgs),
    /// Show the state of each node.
    Status(TargetArgs),
    /// Explain why a node would run: what changed since the nearest earlier result.
    Why(NodeArgs),
    /// Draw the graph.
    Graph(GraphArgs),
    /// Print the log of a node's last run.
    Log(LogArgs),
    /// Show the provenance of a node's result: bytes, code, parameters.
    Show(NodeArgs),
    /// Write `pipeline.lock`: the key and the outputs of every node, to be committed beside the pipeline.
    Lock,
    /// Run the pipeline, and compare its results with `pipeline.lock`.
    Verify(VerifyArgs),
    /// List the runs, latest first.
    History(HistoryArgs),
    /// Compare two runs: what changed, what followed from it, metrics.
    Diff(DiffArgs),
    /// Show the provenance of a file: which node, run and key made it.
    #[command(alias = "who")]
    Provenance(ProvenanceArgs),
    /// List the kinds of stages, or the parameters, inputs and outputs of one.
    Kinds(KindsArgs),
    /// Describe a data set: a folder, an archive, a container of images, a matrix or a list.
    Describe(DescribeArgs),
    /// Inspect, verify and garbage-collect the cache; push and pull results.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Remove outputs, or the whole cache.
    Clean(CleanArgs),
    /// Print a completion script for a shell: commands, stages, nodes, kinds, variables, runs.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the manual pages, one a command, into a folder.
    Man {
        /// The folder; it is created.
        folder: PathBuf,
    },
    /// A kind that runs by itself.
    #[command(external_subcommand)]
    Alone(Vec<OsString>),
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder; it is created.
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// What the manifest begins with.
    #[arg(long, value_enum, default_value_t = Template::Commands)]
    pub template: Template,
}

/// What a first manifest holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// Two commands and a list to try them on; needs no worker.
    Commands,
    /// Your own photographs: cleaned, aligned, trained on and tested with.
    Faces,
    /// An InsightFace folder: `train.rec`, and each `.bin` beside it as a test set.
    Insightface,
    /// The default pipeline of the repository: the paper's eight methods on a made world.
    Paper,
}

/// Options of `log`.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// The node.
    #[command(flatten)]
    pub of: NodeArgs,
    /// Print what is added, until the run that writes the log is over.
    #[arg(short = 'F', long, conflicts_with = "json")]
    pub follow: bool,
}

/// Options of `run`.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Stages or nodes: `train`, `train[method=softmax]`; all when none is named.
    #[arg(add = named(Named::Nodes))]
    pub targets: Vec<String>,
    /// Show what would run, and why; run nothing. The same as `plan`.
    #[arg(short = 'n', long, conflicts_with_all = ["force", "check", "locked", "watch", "html", "events", "overwrite"])]
    pub dry_run: bool,
    /// How many processors to use [default: all].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
    /// How many GPUs to use [default: all].
    #[arg(long, value_name = "N")]
    pub gpus: Option<u32>,
    /// How many nodes may share a GPU at a time: candidates of a search, say [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub share_gpu: Option<u32>,
    /// Go on with nodes that do not depend on a failed one.
    #[arg(short, long)]
    pub keep_going: bool,
    /// Run this stage or node again, with all its steps, even if its result is cached.
    #[arg(long, value_name = "NODE", add = named(Named::Nodes))]
    pub force: Vec<String>,
    /// Run this stage or node again, with all its steps, and compare the bytes of its outputs (exit code 3 if they differ).
    /// The published result stays.
    #[arg(long, value_name = "NODE", add = named(Named::Nodes))]
    pub check: Vec<String>,
    /// Replace files in the place of an output that no run put there, or that were edited since. Without this such a run is refused.
    #[arg(long)]
    pub overwrite: bool,
    /// Fail unless every key and output is the one in `pipeline.lock`.
    #[arg(long)]
    pub locked: bool,
    /// First fetch results that would be computed and are in the remote store. If it does not answer, compute them.
    #[arg(long, conflicts_with = "watch")]
    pub pull: bool,
    /// The remote store, in place of the manifest's.
    #[arg(long, value_name = "URL", env = "LFS_REMOTE", hide_env_values = true)]
    pub remote: Option<String>,
    /// Write each event as one line of JSON.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Run again whenever the manifest or an input changes, until Ctrl-C.
    #[arg(long, conflicts_with_all = ["locked", "check", "force"])]
    pub watch: bool,
    /// Write a self-contained HTML page about the run: graph, timeline, and the log, metrics and provenance of each node.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print the result of the run as JSON on standard output: counts, and of each node its state, key and time.
    #[arg(long, conflicts_with = "watch")]
    pub json: bool,
    /// Show only failures and warnings.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Show every node and step.
    #[arg(short, long)]
    pub verbose: bool,
}

/// A choice of nodes.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Stages or nodes; all when none is named.
    #[arg(add = named(Named::Nodes))]
    pub targets: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The nodes.
    #[command(flatten)]
    pub of: TargetArgs,
    /// Ask the remote store which results need not be computed: what `run --pull` would do.
    #[arg(long)]
    pub pull: bool,
    /// The remote store, in place of the manifest's.
    #[arg(long, value_name = "URL", env = "LFS_REMOTE", hide_env_values = true)]
    pub remote: Option<String>,
}

/// One node.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The node: `train[method=softmax,seed=0]`.
    #[arg(add = named(Named::Nodes))]
    pub node: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `graph`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// Stages or nodes; all when none is named.
    #[arg(add = named(Named::Nodes))]
    pub targets: Vec<String>,
    /// The form.
    #[arg(long, value_enum, default_value_t = GraphForm::Mermaid)]
    pub form: GraphForm,
    /// One box a node instead of one a stage.
    #[arg(long)]
    pub nodes: bool,
    /// Print JSON instead of a drawing.
    #[arg(long)]
    pub json: bool,
}

/// A form of drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphForm {
    /// For Graphviz.
    Dot,
    /// For Markdown.
    Mermaid,
    /// A picture.
    Svg,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Compute everything again, in a cache of its own that is removed afterwards.
    #[arg(long)]
    pub fresh: bool,
    /// Ask for the same bytes everywhere. Otherwise, where libtorch, the GPU or the like are not those of the lock file, the cells of tables
    /// are to be equivalent and their findings to hold.
    #[arg(long)]
    pub exact: bool,
    /// Write a page about the run, as `run --html` does.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How many processors to use [default: all].
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// How many.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub most: usize,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The earlier run: its name or the beginning of it; `@1` for the last, `@2` for the one before; or a git revision, which means the
    /// last run of that commit.
    #[arg(add = named(Named::Runs))]
    pub before: String,
    /// The later one.
    #[arg(default_value = "@1", add = named(Named::Runs))]
    pub after: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `provenance`.
#[derive(Debug, Args)]
pub struct ProvenanceArgs {
    /// A file or folder, in the output folder or anywhere else.
    pub path: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// The file or folder.
    pub path: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Write text, JSON, a page, a list of the images and a Croissant file into this new folder; print nothing.
    #[arg(long, value_name = "DIR", conflicts_with = "json")]
    pub to: Option<PathBuf>,
}

/// Options of `kinds`.
#[derive(Debug, Args)]
pub struct KindsArgs {
    /// The kind.
    #[arg(add = named(Named::Kinds))]
    pub kind: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Show what the cache holds.
    Stats(JsonArgs),
    /// Hash every object of every result, and list the corrupt ones.
    Verify(VerifyCacheArgs),
    /// Collect garbage: remove results that no kept run needs. Safe beside running pipelines.
    Gc(GcArgs),
    /// Send cached results to the remote store, for other machines.
    #[command(after_help = REMOTES)]
    Push(PushArgs),
    /// Fetch results that are in the remote store and not in the cache.
    #[command(after_help = REMOTES)]
    Pull(RemoteArgs),
    /// Ask the remote store which results of the pipeline it holds.
    #[command(after_help = REMOTES)]
    Remote(RemoteArgs),
}

const REMOTES: &str = "Addresses, and the variables that hold keys and options:
  s3://BUCKET/FOLDER      AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION
     a compatible store   also AWS_ENDPOINT; AWS_ALLOW_HTTP=true for plain HTTP
  gs://BUCKET/FOLDER      GOOGLE_SERVICE_ACCOUNT: a file
  az://CONTAINER/FOLDER   AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY
  https://HOST/FOLDER     none; to send, the server must take PUT
  FOLDER                  none; relative to the manifest when the manifest names it";

/// Options of `cache pull` and `cache remote`.
#[derive(Debug, Args)]
pub struct RemoteArgs {
    /// Stages or nodes with all that they read; all when none is named.
    #[arg(add = named(Named::Nodes))]
    pub targets: Vec<String>,
    /// The remote store, in place of the manifest's.
    #[arg(long, value_name = "URL", env = "LFS_REMOTE", hide_env_values = true)]
    pub remote: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `cache push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// What, and where to.
    #[command(flatten)]
    pub to: RemoteArgs,
    /// Overwrite: repairs a store with missing or corrupt objects.
    #[arg(long)]
    pub again: bool,
}

/// The form of what is printed.
#[derive(Debug, Args)]
pub struct JsonArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `cache verify`.
#[derive(Debug, Args)]
pub struct VerifyCacheArgs {
    /// Set corrupt objects aside and drop the results that need them: the next run computes them again.
    #[arg(long)]
    pub repair: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `cache gc`.
#[derive(Debug, Default, Args)]
pub struct GcArgs {
    /// Keep what the latest N runs of each pipeline need [default: 10, or 1 with --keep-days].
    #[arg(long, value_name = "N")]
    pub keep_runs: Option<usize>,
    /// Keep what the runs of the last D days need, too.
    #[arg(long, value_name = "D")]
    pub keep_days: Option<u32>,
    /// Drop further runs, oldest first, until the objects fit; the last run of each pipeline is always kept.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,
    /// Show what would be removed, and remove nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `clean`.
#[derive(Debug, Args)]
pub struct CleanArgs {
    /// Remove the cache, too: every result is lost.
    #[arg(long)]
    pub cache_too: bool,
}

/// How much `--max-size` means.
fn size(text: &str) -> std::result::Result<u64, String> {
    let size = text.parse::<bytesize::ByteSize>();
    size.map(|size| size.as_u64()).map_err(|_| "write an amount such as `20 GiB` or `500 MiB`".to_owned())
}

/// Names of the project that a shell can complete.
#[derive(Debug, Clone, Copy)]
pub(super) enum Named {
    /// Stages and nodes.
    Nodes,
    /// Kinds.
    Kinds,
    /// Variables and stages, for `--set`.
    Settings,
    /// The latest runs.
    Runs,
}

/// Finds the names that begin so. It is set when a shell asks: the command line itself knows no project.
pub(super) static NAMES: OnceLock<fn(Named, &OsStr) -> Vec<CompletionCandidate>> = OnceLock::new();

fn named(what: Named) -> ArgValueCompleter {
    ArgValueCompleter::new(move |begin: &OsStr| NAMES.get().map_or_else(Vec::new, |names| names(what, begin)))
}
