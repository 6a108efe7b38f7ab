//! `lfs-pipe log`

use super::args::{Common, NodeArgs};
use super::print_json;
use super::project::Project;
use crate::engine::log_name;
use crate::fault::{At, Fault, Result};

pub(super) fn log(common: &Common, args: &NodeArgs) -> Result<()> {
    let project = Project::open(common)?;
    let node = &project.plan.nodes[project.node(&args.node)?];
    let runs = project.cache_folder.join("runs");
    // Runs are named by their time: the last name is the latest run.
    let mut names: Vec<_> =
        std::fs::read_dir(&runs).into_iter().flatten().flatten().map(|e| e.path()).collect();
    names.sort();
    let found = names.iter().rev().map(|run| run.join(log_name(&node.name))).find(|p| p.is_file());
    let Some(path) = found else {
        return Err(Fault::usage(format!("there is no log of `{}`", node.name))
            .with_help("a node has a log when it ran from this cache and wrote something"));
    };
    if args.json {
        let text = String::from_utf8_lossy(&std::fs::read(&path).at("read", &path)?).into_owned();
        let run = path.parent().and_then(|p| p.file_name()).map(|n| n.to_string_lossy().into_owned());
        return print_json(&serde_json::json!({ "node": node.name, "run": run, "log": text }));
    }
    let mut log = std::fs::File::open(&path).at("read", &path)?;
    match std::io::copy(&mut log, &mut std::io::stdout().lock()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).at("print", &path),
        _ => Ok(()),
    }
}
