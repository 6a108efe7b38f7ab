//! `lfs-pipe log`

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, copy, stdout};
use std::path::Path;
use std::time::Duration;

use super::args::{Common, LogArgs};
use super::print::print_json;
use super::project::Project;
use crate::engine::log_name;
use crate::fault::{At, Fault, Result};
use crate::history::History;
use crate::paths::absolute;

pub(super) fn log(common: &Common, args: &LogArgs) -> Result<()> {
    let project = Project::open(common)?;
    let node = &project.plan.nodes[project.node(&args.of.node)?];
    let runs = project.cache_folder.join("runs");
    let found = latest_first(&project, &runs)?.into_iter();
    let found = found.map(|run| runs.join(run).join(log_name(&node.name))).find(|p| p.is_file());
    let Some(path) = found else {
        return Err(Fault::usage(format!("there is no log of `{}`", node.name))
            .with_help("a node has a log once it ran with this cache and wrote something"));
    };
    if args.of.json {
        let text = String::from_utf8_lossy(&std::fs::read(&path).at("read", &path)?).into_owned();
        let run = path.parent().and_then(|p| p.file_name()).map(|n| n.to_string_lossy().into_owned());
        return print_json(&serde_json::json!({ "node": node.name, "run": run, "log": text }));
    }
    let mut log = File::open(&path).at("read", &path)?;
    let run = path.parent().and_then(|p| p.file_name()).map(|n| n.to_string_lossy().into_owned());
    let cache = if args.follow { Some(project.cache()?) } else { None };
    let running = || cache.as_ref().zip(run.as_ref()).is_some_and(|(cache, run)| cache.is_running(run));
    loop {
        // Checked before reading, so that everything that was written before the end is read.
        let goes_on = running();
        match copy(&mut log, &mut stdout().lock()) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(()),
            other => other.at("print", &path)?,
        };
        if !goes_on {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
}

/// The runs of this pipeline, and behind them those that the run database does not have.
fn latest_first(project: &Project, folder: &Path) -> Result<Vec<String>> {
    let all = match History::is_there(&project.cache_folder) {
        true => History::open(&project.cache_folder)?.runs(usize::MAX >> 1)?,
        false => Vec::new(),
    };
    let known: HashSet<&str> = all.iter().map(|run| run.run.as_str()).collect();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut unknown: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !known.contains(name.as_str()))
        .collect();
    // Runs are named by their time.
    unknown.sort();
    let manifest = absolute(&project.manifest.path).display().to_string();
    let own = all.into_iter().filter(|run| run.manifest == manifest).map(|run| run.run);
    Ok(own.chain(unknown.into_iter().rev()).collect())
}

/// How long `--follow` waits before it reads again.
const PAUSE: Duration = Duration::from_millis(200);
