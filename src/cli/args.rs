//! The command line, as it is typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// From raw photographs to the tables of a paper: a pipeline runner that knows of every result which bytes, which
/// code and which parameters it came from, and computes nothing twice.
#[derive(Debug, Parser)]
#[command(name = "lfs-pipe", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 a stage failed, 2 wrong usage or manifest, 3 results differ, \
4 the cache or the machine failed, 130 interrupted.";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The manifest [default: pipeline.toml].
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        default_value = "pipeline.toml",
        hide_default_value = true
    )]
    pub file: PathBuf,
    /// Sets a value of the manifest: a variable (`data=/photos`), a stage's parameter (`train.epochs=20`), or any
    /// key by its full path.
    #[arg(long = "set", global = true, value_name = "NAME=VALUE")]
    pub sets: Vec<String>,
    /// The cache folder, in place of the manifest's.
    #[arg(long, global = true, value_name = "DIR", env = "LFS_CACHE")]
    pub cache: Option<PathBuf>,
    /// The output folder, in place of the manifest's.
    #[arg(long, global = true, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the pipeline, or the named nodes and all that they read.
    Run(RunArgs),
    /// Show what would run, and why; run nothing.
    Plan(PlanArgs),
    /// Show the state of each node.
    Status(TargetArgs),
    /// Say why a node would run: the nearest earlier result, and what has changed since.
    Why(NodeArgs),
    /// Draw the graph.
    Graph(GraphArgs),
    /// Print the log of a node's last run.
    Log(NodeArgs),
    /// Show where a node's result came from: bytes, code, parameters.
    Show(NodeArgs),
    /// Write `pipeline.lock`: the key and the outputs of every node, to be committed beside the pipeline.
    Lock,
    /// Run the pipeline, and compare what comes out with `pipeline.lock`.
    Verify(VerifyArgs),
    /// List the runs, latest first.
    History(HistoryArgs),
    /// Say in what two runs differ: nodes, parameters, figures.
    Diff(DiffArgs),
    /// Say which node, run and key a file came from.
    Who(WhoArgs),
    /// List the kinds of stages, or the parameters, inputs and outputs of one.
    Kinds(KindsArgs),
    /// Say what a data set holds: a folder, an archive, a container of images, a matrix or a list.
    Describe(DescribeArgs),
    /// Look after the cache: its size, its soundness, what may go.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Remove outputs, or the whole cache.
    Clean(CleanArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Options of `run`.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Stages or nodes: `train`, `train[method=softmax]`; all when none is named.
    pub targets: Vec<String>,
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
    /// Run this stage or node, with all its steps, although its result is known.
    #[arg(long, value_name = "NODE")]
    pub force: Vec<String>,
    /// Run this stage or node again, with all its steps, and say whether it comes out with the same bytes (exit code 3 if not).
    /// The published result stays.
    #[arg(long, value_name = "NODE")]
    pub check: Vec<String>,
    /// Replace also what was changed by hand, or put by others, in the place of an output. Without this such a run is refused.
    #[arg(long)]
    pub overwrite: bool,
    /// Refuse to give anything else than what `pipeline.lock` says.
    #[arg(long)]
    pub locked: bool,
    /// First fetch what is to be computed and is in the remote store; one that does not answer is done without.
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
    /// Write a page about the run, all in one file: graph, timeline, and of each node log, figures and origin.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show failures and warnings alone.
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
    /// Ask the remote store what need not be computed: what `run --pull` would do.
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
    pub node: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `graph`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// Stages or nodes; all when none is named.
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
    /// The earlier run: its name or the beginning of it, or `@1` for the last, `@2` for the one before.
    pub before: String,
    /// The later one.
    #[arg(default_value = "@1")]
    pub after: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `who`.
#[derive(Debug, Args)]
pub struct WhoArgs {
    /// A file or folder, in the output folder or anywhere.
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
    pub kind: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Say what the cache holds.
    Stats(JsonArgs),
    /// Hash every object of every result, and say which are not as they were.
    Verify(VerifyCacheArgs),
    /// Remove results that no kept run needs. Runs that go on meanwhile lose nothing.
    Gc(GcArgs),
    /// Send the results that are here to the remote store, for other machines.
    #[command(after_help = REMOTES)]
    Push(PushArgs),
    /// Fetch the results that are in the remote store and not here.
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
  FOLDER                  none; relative to the manifest when it stands there";

/// Options of `cache pull` and `cache remote`.
#[derive(Debug, Args)]
pub struct RemoteArgs {
    /// Stages or nodes with all that they read; all when none is named.
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
    /// Also over what is there: mends a store of which parts are damaged or gone.
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
    /// Set damaged objects aside and forget the results that need them: the next run makes them again.
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
    /// Let go of further runs, oldest first, until the objects fit; the last run of each pipeline always stays.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,
    /// Say what would go, and remove nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `clean`.
#[derive(Debug, Args)]
pub struct CleanArgs {
    /// Remove the cache too: every result is lost.
    #[arg(long)]
    pub cache_too: bool,
}

/// How much `--max-size` means.
fn size(text: &str) -> std::result::Result<u64, String> {
    let units =
        [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1), ("", 1)];
    units
        .iter()
        .find_map(|(unit, size)| Some((text.strip_suffix(unit)?.trim().parse::<f64>().ok()?, *size)))
        .filter(|(number, _)| *number >= 0.0)
        .map(|(number, size)| (number * size as f64) as u64)
        .ok_or_else(|| "write an amount such as `20 GiB` or `500 MiB`".to_owned())
}
