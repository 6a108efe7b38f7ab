//! `lfs-pipe plan` and `lfs-pipe why`

use serde::Serialize;
use serde_json::Value as Json;

use super::args::{Common, NodeArgs, PlanArgs};
use super::print::{print, print_json};
use super::project::Project;
use super::remote;
use super::status::{coloured, word};
use crate::cache::Cache;
use crate::engine::{Forecast, Foreseen, Nearest};
use crate::fault::Result;
use crate::fingerprint::Change;
use crate::outputs::{Folder, refuse_foreign};
use crate::show::{bytes, span};

#[derive(Default, Serialize)]
struct Plan {
    nodes: Vec<Line>,
    #[serde(rename = "to-run")]
    to_run: usize,
    cached: usize,
    /// Nodes whose result the remote store holds.
    #[serde(rename = "to-fetch")]
    to_fetch: usize,
    #[serde(rename = "bytes-to-fetch")]
    bytes_to_fetch: u64,
    depends: usize,
    /// The expected time, from the last times of these nodes where they are known.
    seconds: f64,
}

#[derive(Serialize)]
struct Line {
    node: String,
    kind: String,
    state: Foreseen,
    why: Vec<String>,
}

impl Line {
    /// Whether it differs from another line only in the node's labels, and both nodes wait for others.
    fn alike(&self, other: &Self) -> bool {
        let stage = |line: &Self| line.node.split('[').next().map(str::to_owned);
        let waits = |line: &Self| line.state == Foreseen::Depends;
        waits(self) && waits(other) && stage(self) == stage(other) && self.why == other.why
    }
}

pub(super) fn plan(common: &Common, args: &PlanArgs) -> Result<()> {
    let project = Project::open(common)?;
    let cache = project.cache()?;
    let foreseen = match args.pull {
        true => remote::foresee(&project, &cache, args.remote.as_deref(), &args.of.targets)?,
        false => project.forecast(&cache, &args.of.targets)?,
    };
    // What `run` would refuse is refused here. Outputs that have not changed since a run put them there are not refused.
    let folder = Folder::new(&project.out, false);
    refuse_foreign(&folder, &project.plan, &|i| foreseen[i].is_some(), &cache)?;
    let mut plan = Plan::default();
    for (i, node) in project.plan.nodes.iter().enumerate() {
        let Some(f) = &foreseen[i] else { continue };
        let why = match f.state {
            Foreseen::Cached => {
                plan.cached += 1;
                vec![]
            }
            Foreseen::Fetch => {
                plan.to_fetch += 1;
                let outputs = f.record.iter().flat_map(|r| r.outputs.values());
                let size = outputs.map(|s| s.bytes).sum();
                plan.bytes_to_fetch += size;
                vec![format!("{} in the remote store", bytes(size))]
            }
            Foreseen::ToRun => {
                plan.to_run += 1;
                let nearest = f.nearest(&node.name, &cache);
                plan.seconds += nearest.as_ref().map_or(0.0, |n| n.made.seconds);
                reasons(f, nearest.as_ref())
            }
            Foreseen::Depends => {
                plan.depends += 1;
                let unknown = |r: &usize| foreseen[*r].as_ref().is_some_and(|f| f.record.is_none());
                let mut stages: Vec<&str> = project
                    .plan
                    .reads(i)
                    .filter(unknown)
                    .map(|r| project.plan.nodes[r].stage.as_str())
                    .collect();
                stages.sort_unstable();
                stages.dedup();
                vec![format!("on the outputs of {}", stages.join(", "))]
            }
        };
        plan.nodes.push(Line { node: node.name.clone(), kind: node.kind.clone(), state: f.state, why });
    }
    if args.of.json {
        return print_json(&plan);
    }
    let mut text = String::new();
    let mut lines = plan.nodes.iter().filter(|l| l.state != Foreseen::Cached).peekable();
    while let Some(line) = lines.next() {
        // Nodes of one stage that only wait for others are one line.
        let mut same = 1;
        while lines.peek().is_some_and(|next| next.alike(line)) {
            lines.next();
            same += 1;
        }
        let name = match (same, line.node.split_once('[')) {
            (1, _) | (_, None) => line.node.clone(),
            (n, Some((stage, _))) => format!("{stage}, {n} nodes"),
        };
        let state = coloured(line.state, &format!("{:8}", word(line.state)));
        text += &format!("{state} {name} ({})\n", line.kind);
        for why in &line.why {
            text += &format!("         {why}\n");
        }
    }
    text += &format!("{} to run, {} cached, {} undetermined", plan.to_run, plan.cached, plan.depends);
    if args.pull {
        text += &format!(", {} to fetch ({})", plan.to_fetch, bytes(plan.bytes_to_fetch));
    }
    if plan.seconds > 0.0 {
        text += &format!("; those to run took {} last time", span(plan.seconds));
    }
    print(&(text + "\n"))
}

/// Why a node would run, one line per reason.
fn reasons(f: &Forecast, nearest: Option<&Nearest>) -> Vec<String> {
    match nearest {
        _ if f.state == Foreseen::Cached => vec!["its result is cached".to_owned()],
        None => vec!["no earlier result of this kind is cached".to_owned()],
        Some(nearest) => nearest.changes.iter().map(change).collect(),
    }
}

pub(super) fn change(change: &Change) -> String {
    format!("{}: {}", change.leaf, values(change))
}

/// The earlier and the current value.
pub(super) fn values(change: &Change) -> String {
    let shown = |value: &Option<Json>| match value {
        None => "none".to_owned(),
        Some(Json::String(s)) if s.len() == 64 && s.bytes().all(|b| b.is_ascii_hexdigit()) => {
            s[..12].to_owned()
        }
        Some(value) => value.to_string(),
    };
    format!("{} -> {}", shown(&change.before), shown(&change.now))
}

#[derive(Serialize)]
struct Why<'a> {
    node: &'a str,
    state: Foreseen,
    nearest: Option<Nearest>,
}

pub(super) fn why(common: &Common, args: &NodeArgs) -> Result<()> {
    let project = Project::open(common)?;
    let cache: Cache = project.cache()?;
    let i = project.node(&args.node)?;
    let node = &project.plan.nodes[i];
    let foreseen = project.forecast(&cache, std::slice::from_ref(&node.name))?;
    let Some(f) = foreseen[i].as_ref() else { return Ok(()) };
    let nearest = f.nearest(&node.name, &cache);
    if args.json {
        return print_json(&Why { node: &node.name, state: f.state, nearest });
    }
    let mut text = format!("{}: {}\n", node.name, word(f.state));
    if f.state == Foreseen::Depends {
        for before in project.plan.reads(i) {
            let standing = match foreseen[before].as_ref().map(|f| f.state) {
                None | Some(Foreseen::Cached) => continue,
                Some(Foreseen::ToRun | Foreseen::Fetch) => "must run",
                Some(Foreseen::Depends) => "depends on others itself",
            };
            text += &format!("  it reads {}, which {standing}\n", project.plan.nodes[before].name);
        }
        return print(&text);
    }
    if let Some(record) = &f.record {
        text += &format!(
            "  its result is cached: made by `{}` in {}, {}\n",
            record.made.node, record.made.run, record.made.started
        );
        if let Some(earlier) = &record.made.earlier {
            text += &format!(
                "  the earlier result {} was reused: its unchanged rows were taken over\n",
                earlier.short()
            );
        }
    }
    match nearest {
        None => text += "  no earlier result of this kind is cached\n",
        Some(nearest) => {
            text += &format!(
                "  against the nearest {}result, of `{}` at {}:\n",
                if f.record.is_some() { "other " } else { "earlier " },
                nearest.made.node,
                nearest.made.started
            );
            for c in &nearest.changes {
                text += &format!("    {}\n", change(c));
            }
        }
    }
    print(&text)
}
