//! The commands.

mod alone;
mod args;
mod cache;
mod clean;
mod complete;
mod describe;
mod drawing;
mod execute;
mod explain;
mod graph;
mod history;
mod init;
mod kinds;
mod lock;
mod log;
mod page;
mod picture;
mod place;
mod print;
mod project;
mod provenance;
mod remote;
mod reproducibility;
mod run;
mod show;
mod status;
mod watch;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::env::Shells;

use args::Colour;
pub use args::{Cli, Command};

use crate::fault::{At, Fault, Result};
use print::print;

/// The environment variable by which a shell asks for completions.
const COMPLETE: &str = "LFS_COMPLETE";

/// The whole program: reads the command line, does what it says, and gives the exit code.
pub fn main() -> ExitCode {
    if std::env::var_os(COMPLETE).is_some() {
        let _ = args::NAMES.set(complete::names);
        clap_complete::CompleteEnv::with_factory(Cli::command).var(COMPLETE).complete();
    }
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("LFS_LOG").unwrap_or_else(|_| "warn".into()),
        )
        .with_writer(std::io::stderr)
        .without_time()
        .log_internal_errors(false)
        .init();
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            crate::say!("{}", fault.to_string().trim_end());
            ExitCode::from(fault.exit_code())
        }
    }
}

fn dispatch(mut cli: Cli) -> Result<()> {
    match cli.common.color {
        Colour::Auto => {}
        when => {
            console::set_colors_enabled(when == Colour::Always);
            console::set_colors_enabled_stderr(when == Colour::Always);
        }
    }
    place::settle(&mut cli.common)?;
    let common = &cli.common;
    match &cli.command {
        Command::Init(args) => init::init(args),
        Command::Run(args) => run::run(common, args),
        Command::Plan(args) => explain::plan(common, args),
        Command::Status(args) => status::status(common, args),
        Command::Why(args) => explain::why(common, args),
        Command::Graph(args) => graph::graph(common, args),
        Command::Log(args) => log::log(common, args),
        Command::Show(args) => show::show(common, args),
        Command::Lock => lock::lock(common),
        Command::Verify(args) => lock::verify(common, args),
        Command::History(args) => history::history(common, args),
        Command::Diff(args) => history::diff(common, args),
        Command::Provenance(args) => provenance::provenance(common, args),
        Command::Kinds(args) => kinds::kinds(common, args),
        Command::Describe(args) => describe::describe(args),
        Command::Cache(command) => cache::cache(common, command),
        Command::Clean(args) => clean::clean(common, args),
        Command::Alone(words) => alone::command(common, words),
        Command::Completions { shell } => completions(&shell.to_string()),
        Command::Man { folder } => man(folder),
    }
}

fn completions(shell: &str) -> Result<()> {
    let shells = Shells::builtins();
    let completer =
        shells.completer(shell).ok_or_else(|| Fault::usage(format!("no script for `{shell}`")))?;
    let mut text = Vec::new();
    completer
        .write_registration(COMPLETE, "lfs_pipe", "lfs-pipe", "lfs-pipe", &mut text)
        .map_err(|e| Fault::machine(e.to_string()))?;
    print(&String::from_utf8_lossy(&text))
}

fn man(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).at("create", folder)?;
    clap_mangen::generate_to(Cli::command(), folder).at("write the manual pages into", folder)
}
