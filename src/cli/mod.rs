//! The commands.

mod args;
mod cache;
mod clean;
mod describe;
mod drawing;
mod execute;
mod explain;
mod graph;
mod history;
mod kinds;
mod lock;
mod log;
mod page;
mod picture;
mod project;
mod remote;
mod reproducibility;
mod rest;
mod run;
mod show;
mod status;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

pub use args::{Cli, Command};

use crate::fault::{Fault, Result};

/// The whole program: reads the command line, does what it says, and gives the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("LFS_LOG").unwrap_or_else(|_| "warn".into()),
        )
        .with_writer(std::io::stderr)
        .without_time()
        .log_internal_errors(false)
        .init();
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            crate::say!("{}", fault.to_string().trim_end());
            ExitCode::from(fault.exit_code())
        }
    }
}

fn dispatch(cli: &Cli) -> Result<()> {
    let common = &cli.common;
    match &cli.command {
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
        Command::Who(args) => history::who(common, args),
        Command::Kinds(args) => kinds::kinds(common, args),
        Command::Describe(args) => describe::describe(args),
        Command::Cache(command) => cache::cache(common, command),
        Command::Clean(args) => clean::clean(common, args),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "lfs-pipe", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
    }
}

/// Writes to standard output; a reader that has gone away (`| head`) is no fault.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Fault::machine(format!("cannot write: {e}")))
        }
        _ => Ok(()),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Fault::machine(e.to_string()))?;
    print(&(text + "\n"))
}
