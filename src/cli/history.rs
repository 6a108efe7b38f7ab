//! `lfs-pipe history` and `lfs-pipe diff`

use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

use super::args::{Common, DiffArgs, HistoryArgs};
use super::explain::values;
use super::print::{print, print_json};
use super::project::Project;
use crate::cache::Cache;
use crate::fault::Result;
use crate::fingerprint::{Change, Fingerprint, Key, differences};
use crate::history::{History, Node, Run};
use crate::plan::{Input, Source};
use crate::revision;
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
        if let Some(revision) = revision(run) {
            text += &format!("  {revision}");
        }
        if !run.arguments.is_empty() {
            text += &format!("  {}", run.arguments);
        }
        text.push('\n');
    }
    print(if text.is_empty() { "no run yet\n" } else { &text })
}

/// The commit of a run, with a plus if files were not committed.
fn revision(run: &Run) -> Option<String> {
    let commit = run.commit.as_ref()?;
    let changed = if run.clean == Some(false) { "+" } else { "" };
    Some(format!("{}{changed}", commit.get(..10).unwrap_or(commit)))
}

#[derive(Serialize)]
struct Difference {
    node: String,
    /// `only-before`, `only-after` or `changed`.
    what: &'static str,
    changes: Vec<Change>,
    metrics: BTreeMap<String, [Option<f64>; 2]>,
    /// The inputs that other nodes make.
    #[serde(skip)]
    made: BTreeSet<String>,
}

impl Difference {
    /// Whether a change only follows from other outputs of an upstream node.
    fn follows(&self, change: &Change) -> bool {
        let input = change.leaf.strip_prefix("inputs.").and_then(|rest| rest.split(['.', '[']).next());
        input.is_some_and(|name| self.made.contains(name))
    }

    /// Whether something differs that no upstream node explains.
    fn is_cause(&self) -> bool {
        self.what != "changed" || self.changes.is_empty() || self.changes.iter().any(|c| !self.follows(c))
    }
}

pub(super) fn diff(common: &Common, args: &DiffArgs) -> Result<()> {
    let project = Project::open(common)?;
    let cache = project.cache()?;
    let history = History::open(&project.cache_folder)?;
    let root = &project.manifest.root;
    let named = |text: &str| history.named(text, &|text| revision::resolve(root, text));
    let (before, after) = (named(&args.before)?, named(&args.after)?);
    let (a, b) = (history.nodes(&before.run)?, history.nodes(&after.run)?);
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let all: Vec<Difference> = names
        .into_iter()
        .filter_map(|name| difference(name, a.get(name), b.get(name), &cache))
        .map(|d| Difference { made: made(&project, &d.node), ..d })
        .collect();
    if args.json {
        return print_json(&json!({ "before": before, "after": after, "nodes": all }));
    }
    print(&as_table(&before, &after, &all))
}

/// The nodes that differ by themselves, then those that follow from them, then the metrics.
fn as_table(before: &Run, after: &Run, all: &[Difference]) -> String {
    let name = |run: &Run| match revision(run) {
        Some(revision) => format!("{} ({revision})", run.run),
        None => run.run.clone(),
    };
    let mut text = format!("{} -> {}\n", name(before), name(after));
    let (causes, follow): (Vec<&Difference>, Vec<&Difference>) = all.iter().partition(|d| d.is_cause());
    let mut rows: Vec<[String; 3]> = Vec::new();
    for d in causes {
        match d.what {
            "only-before" => rows.push([d.node.clone(), "only in the earlier run".to_owned(), String::new()]),
            "only-after" => rows.push([d.node.clone(), "only in the later run".to_owned(), String::new()]),
            _ => {
                let own = d.changes.iter().filter(|c| !d.follows(c));
                rows.extend(own.map(|c| [d.node.clone(), c.leaf.clone(), values(c)]));
            }
        }
    }
    text += &columns("changed", rows);
    if !follow.is_empty() {
        let names: Vec<&str> = follow.iter().take(FEW).map(|d| d.node.as_str()).collect();
        let more = if follow.len() > FEW { ", .." } else { "" };
        text += &format!("\nfollow from that: {}: {}{more}\n", nodes(follow.len()), names.join(", "));
    }
    let shown = |v: &Option<f64>| v.map_or_else(|| "none".to_owned(), figure);
    let metrics = all.iter().flat_map(|d| {
        d.metrics.iter().map(|(metric, [x, y])| {
            let by = x.zip(*y).map_or_else(String::new, |(x, y)| format!("  ({:+.4})", y - x));
            [d.node.clone(), metric.clone(), format!("{} -> {}{by}", shown(x), shown(y))]
        })
    });
    text += &columns("metrics", metrics.collect());
    text + &format!("\n{} with another key\n", nodes(all.len()))
}

/// How many of the nodes that follow are named.
const FEW: usize = 8;

/// Rows under a title, in aligned columns; a node is named once.
fn columns(title: &str, rows: Vec<[String; 3]>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let width = |k: usize| rows.iter().map(|r| r[k].chars().count()).max().unwrap_or(0);
    let (a, b) = (width(0), width(1));
    let mut text = format!("\n{title}\n");
    let mut last = "";
    for [node, what, values] in &rows {
        let node_shown = if node == last { "" } else { node };
        text += format!("  {node_shown:a$}  {what:b$}  {values}").trim_end();
        text.push('\n');
        last = node;
    }
    text
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
    Some(Difference { node: name.to_owned(), what, changes, metrics, made: BTreeSet::new() })
}

/// The inputs of a node that other nodes make.
fn made(project: &Project, node: &str) -> BTreeSet<String> {
    let inputs = project.plan.find(node).map(|i| &project.plan.nodes[i].inputs);
    let is_made = |input: &&Input| input.sources.iter().any(|s| matches!(s, Source::Node { .. }));
    inputs.into_iter().flatten().filter(is_made).map(|input| input.name.clone()).collect()
}
