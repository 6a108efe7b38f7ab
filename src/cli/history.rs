//! `lfs-pipe history`, `lfs-pipe diff` and `lfs-pipe who`

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use super::args::{Common, DiffArgs, HistoryArgs, WhoArgs};
use super::explain::change;
use super::project::Project;
use super::{print, print_json};
use crate::cache::{Cache, Record, Stored};
use crate::fault::{At, Fault, Result};
use crate::fingerprint::{Change, Fingerprint, Key, differences};
use crate::history::{History, Node};
use crate::paths::absolute;
use crate::show::{figure, nodes, span};

pub(super) fn history(common: &Common, args: &HistoryArgs) -> Result<()> {
    let project = Project::open(common)?;
    let runs = match History::is_there(&project.cache_folder) {
        true => History::open(&project.cache_folder)?.runs(args.most)?,
        false => vec![],
    };
    if args.json {
        return print_json(&json!({ "runs": runs }));
    }
    let mut text = String::new();
    for run in &runs {
        let took = run.seconds.map_or_else(|| "-".to_owned(), span);
        text += &format!(
            "{}  {:8} {took:>8}  {} executed, {} cached",
            run.run, run.state, run.executed, run.cached
        );
        if run.failed > 0 {
            text += &format!(", {} failed", run.failed);
        }
        if run.skipped > 0 {
            text += &format!(", {} skipped", run.skipped);
        }
        if !run.arguments.is_empty() {
            text += &format!("  {}", run.arguments);
        }
        text.push('\n');
    }
    print(if text.is_empty() { "no run yet\n" } else { &text })
}

#[derive(Serialize)]
struct Difference {
    node: String,
    /// `only-before`, `only-after` or `changed`.
    what: &'static str,
    changes: Vec<Change>,
    metrics: BTreeMap<String, [Option<f64>; 2]>,
}

pub(super) fn diff(common: &Common, args: &DiffArgs) -> Result<()> {
    let project = Project::open(common)?;
    let cache = project.cache()?;
    let history = History::open(&project.cache_folder)?;
    let (before, after) = (history.named(&args.before)?, history.named(&args.after)?);
    let (a, b) = (history.nodes(&before.run)?, history.nodes(&after.run)?);
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let all: Vec<Difference> =
        names.into_iter().filter_map(|name| difference(name, a.get(name), b.get(name), &cache)).collect();
    if args.json {
        return print_json(&json!({ "before": before, "after": after, "nodes": all }));
    }
    let mut text = format!("{} -> {}\n", before.run, after.run);
    for d in &all {
        text += &format!(
            "{}{}\n",
            d.node,
            match d.what {
                "only-before" => ": is not in the later run",
                "only-after" => ": is not in the earlier run",
                _ => "",
            }
        );
        for c in &d.changes {
            text += &format!("    {}\n", change(c));
        }
        for (name, [x, y]) in &d.metrics {
            let shown = |v: &Option<f64>| v.map_or_else(|| "nothing".to_owned(), figure);
            let by = x.zip(*y).map_or_else(String::new, |(x, y)| format!("  ({:+.4})", y - x));
            text += &format!("    metric {name}: {} -> {}{by}\n", shown(x), shown(y));
        }
    }
    text += &format!("{} with another key\n", nodes(all.len()));
    print(&text)
}

fn difference(name: &str, a: Option<&Node>, b: Option<&Node>, cache: &Cache) -> Option<Difference> {
    let (ka, kb) = (a.and_then(|n| n.key), b.and_then(|n| n.key));
    if a.is_some() && b.is_some() && ka == kb {
        return None;
    }
    let what = match (a, b) {
        (Some(_), None) => "only-before",
        (None, _) => "only-after",
        _ => "changed",
    };
    let print = |key: Option<Key>| cache.fingerprint::<Fingerprint>(&key?);
    let changes = print(ka).zip(print(kb)).map_or_else(Vec::new, |(x, y)| differences(&x, &y));
    let figures =
        |key: Option<Key>| key.and_then(|k| cache.record(&k)).map(|r| r.metrics).unwrap_or_default();
    let (x, y) = (figures(ka), figures(kb));
    let both: BTreeSet<&String> = x.keys().chain(y.keys()).collect();
    let metrics = both
        .into_iter()
        .map(|m| (m.clone(), [x.get(m).copied(), y.get(m).copied()]))
        .filter(|(_, [x, y])| x != y)
        .collect();
    Some(Difference { node: name.to_owned(), what, changes, metrics })
}

pub(super) fn who(common: &Common, args: &WhoArgs) -> Result<()> {
    let project = Project::open(common)?;
    let cache = project.cache()?;
    let path = absolute(&args.path);
    let now = cache.hash(&path).at("read", &path)?.stored;
    let place = place(&project, &path);
    let found = writers(&cache, &now);
    // A file inside of an output that is a folder is no object of its own: the folder tells.
    let inside = place.as_ref().is_some_and(|(_, _, below)| *below);
    let whole = match &place {
        Some((node, output, true)) => {
            let node = &project.plan.nodes[*node];
            let folder = project.out.join(node.folder()).join(&node.outputs[*output].path);
            writers(&cache, &cache.hash(&folder).at("read", &folder)?.stored)
        }
        _ => vec![],
    };
    let found = if found.is_empty() && inside { whole } else { found };
    let latest = found.first();
    if args.json {
        let all: Vec<_> = found
            .iter()
            .map(|(key, record, output)| json!({ "key": key, "output": output, "made": record.made }))
            .collect();
        let place = place.map(|(node, output, _)| {
            let node = &project.plan.nodes[node];
            json!({ "node": node.name, "output": node.outputs[output].name })
        });
        return print_json(&json!({ "path": path, "digest": now.digest, "place": place, "written-by": all }));
    }
    let Some((key, record, output)) = latest else {
        let hint = match place {
            Some((node, ..)) => format!(
                "it lies where `{}` writes, but has other bytes than any known result: run again to put it back",
                project.plan.nodes[node].name
            ),
            None => "no known result has these bytes; results are known as long as the cache keeps them"
                .to_owned(),
        };
        return Err(
            Fault::usage(format!("{} was written by no known node", args.path.display())).with_help(hint)
        );
    };
    let made = &record.made;
    let mut text = format!(
        "{}: output `{output}` of `{}`, made in run {} at {} in {}\n",
        args.path.display(),
        made.node,
        made.run,
        made.started,
        span(made.seconds)
    );
    text += &format!("  digest {}\n  key    {key}\n", now.digest);
    if found.len() > 1 {
        text += &format!("  {} other results have the same bytes\n", found.len() - 1);
    }
    if let Some(print) = cache.fingerprint::<Fingerprint>(key) {
        for (name, value) in print.parameters.as_object().into_iter().flatten() {
            text += &format!("  parameter {name} = {value}\n");
        }
        text += &format!("  all of it: lfs-pipe show '{}'\n", made.node);
    }
    print(&text)
}

/// The node and output that write to this path, and whether it lies inside of the output.
fn place(project: &Project, path: &Path) -> Option<(usize, usize, bool)> {
    for (i, node) in project.plan.nodes.iter().enumerate() {
        for (o, output) in node.outputs.iter().enumerate() {
            let at = project.out.join(node.folder()).join(&output.path);
            if path.starts_with(&at) {
                return Some((i, o, path != at));
            }
        }
    }
    None
}

/// The results that have these bytes, latest first.
fn writers(cache: &Cache, stored: &Stored) -> Vec<(Key, Record, String)> {
    let mut out = Vec::new();
    for key in cache.node_keys() {
        let Some(record) = cache.record(&key) else { continue };
        let name = record.outputs.iter().find(|(_, s)| s.digest == stored.digest).map(|(n, _)| n.clone());
        if let Some(name) = name {
            out.push((key, record, name));
        }
    }
    out
}
