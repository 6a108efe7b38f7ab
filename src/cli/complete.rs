//! Shell completion of the names in this project.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use clap::Parser;
use clap_complete::engine::CompletionCandidate;

use super::args::{Common, Named};
use super::place::settle;
use super::project::Project;
use crate::history::History;
use crate::manifest::{Data, Manifest, parse};

/// The options of every command, if they are on the line that is completed.
#[derive(Parser)]
#[command(ignore_errors = true, disable_help_flag = true, disable_version_flag = true)]
struct Line {
    #[command(flatten)]
    common: Common,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<std::ffi::OsString>,
}

fn common() -> Option<Common> {
    // The words of the line follow `--`; an option is followed by its value.
    let line: Vec<_> = std::env::args_os().skip_while(|a| a != "--").skip(1).collect();
    let mut options = vec![std::ffi::OsString::from("lfs-pipe")];
    for pair in line.windows(2) {
        if ["-f", "--file", "-C", "--directory", "--cache", "--out"].iter().any(|o| pair[0] == *o) {
            options.extend(pair.to_vec());
        }
    }
    let mut common = Line::try_parse_from(options).ok()?.common;
    settle(&mut common).ok()?;
    Some(common)
}

fn beginning(names: impl IntoIterator<Item = String>, current: &OsStr) -> Vec<CompletionCandidate> {
    let begin = current.to_string_lossy();
    names.into_iter().filter(|n| n.starts_with(&*begin)).map(CompletionCandidate::new).collect()
}

/// The names of the project that begin with `current`.
pub(super) fn names(what: Named, current: &OsStr) -> Vec<CompletionCandidate> {
    match what {
        Named::Nodes => nodes(current),
        Named::Kinds => kinds(current),
        Named::Settings => settings(current),
        Named::Runs => runs(current),
    }
}

/// Stages and nodes.
fn nodes(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(project) = common().and_then(|c| Project::open(&c).ok()) else { return vec![] };
    let nodes = &project.plan.nodes;
    let names: BTreeSet<String> = nodes.iter().flat_map(|n| [n.stage.clone(), n.name.clone()]).collect();
    beginning(names, current)
}

/// Kinds.
fn kinds(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(project) = common().and_then(|c| Project::open(&c).ok()) else { return vec![] };
    beginning(project.workers.kinds.keys().cloned(), current)
}

/// Variables and stages that `--set` takes.
fn settings(current: &OsStr) -> Vec<CompletionCandidate> {
    let text = common().and_then(|c| Manifest::text(&c.file).ok());
    let Some(root) = text.and_then(|text| parse(&text, 0).ok()) else { return vec![] };
    let keys = |table: &str| match root.get(table).map(|value| &value.data) {
        Some(Data::Table(table)) => table.keys().map(str::to_owned).collect(),
        _ => vec![],
    };
    let variables = keys("vars").into_iter().map(|v| format!("{v}="));
    let stages = keys("stage").into_iter().map(|s| format!("{s}."));
    beginning(variables.chain(stages), current)
}

/// The latest runs.
fn runs(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(project) = common().and_then(|c| Project::open(&c).ok()) else { return vec![] };
    let runs = History::open(&project.cache_folder).and_then(|h| h.runs(50));
    beginning(runs.into_iter().flatten().map(|r| r.run), current)
}
