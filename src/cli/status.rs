//! `lfs-pipe status`

use std::collections::BTreeMap;

use serde::Serialize;

use super::args::{Common, TargetArgs};
use super::print::{print, print_json};
use super::project::Project;
use crate::digest::Digest;
use crate::engine::Foreseen;
use crate::fault::Result;
use crate::fingerprint::Key;

#[derive(Serialize)]
struct Status<'a> {
    nodes: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    node: &'a str,
    kind: &'a str,
    state: Foreseen,
    key: Option<Key>,
    outputs: BTreeMap<String, Digest>,
}

pub(super) fn status(common: &Common, args: &TargetArgs) -> Result<()> {
    let project = Project::open(common)?;
    let cache = project.cache()?;
    let foreseen = project.forecast(&cache, &args.targets)?;
    let nodes: Vec<Line<'_>> = project
        .plan
        .nodes
        .iter()
        .zip(&foreseen)
        .filter_map(|(node, f)| {
            let f = f.as_ref()?;
            let outputs =
                f.record.iter().flat_map(|r| &r.outputs).map(|(n, s)| (n.clone(), s.digest)).collect();
            Some(Line { node: &node.name, kind: &node.kind, state: f.state, key: f.key, outputs })
        })
        .collect();
    if args.json {
        return print_json(&Status { nodes });
    }
    let width = nodes.iter().map(|l| l.node.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for line in &nodes {
        let state = word(line.state);
        let key = line.key.map_or_else(String::new, |k| k.short());
        let state = coloured(line.state, &format!("{state:9}"));
        text += format!("{:width$}  {state}  {key}", line.node).trim_end();
        text.push('\n');
    }
    print(&text)
}

/// A state in words.
pub(super) fn word(state: Foreseen) -> &'static str {
    match state {
        Foreseen::Cached => "cached",
        Foreseen::Fetch => "to fetch",
        Foreseen::ToRun => "to run",
        Foreseen::Depends => "depends",
    }
}

/// A text in the colour of a state.
pub(super) fn coloured(state: Foreseen, text: &str) -> String {
    let text = console::style(text);
    match state {
        Foreseen::Cached => text.green(),
        Foreseen::Fetch => text.blue(),
        Foreseen::ToRun => text.yellow(),
        Foreseen::Depends => text.dim(),
    }
    .to_string()
}
