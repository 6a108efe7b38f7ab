//! `lfs-pipe provenance`

use std::path::Path;

use serde_json::json;

use super::args::{Common, ProvenanceArgs};
use super::print::{print, print_json};
use super::project::Project;
use crate::cache::{Cache, Record, Stored};
use crate::fault::{At, Fault, Result};
use crate::fingerprint::{Fingerprint, Key};
use crate::paths::absolute;
use crate::show::span;

pub(super) fn provenance(common: &Common, args: &ProvenanceArgs) -> Result<()> {
    let project = Project::open(common)?;
    let cache = project.cache()?;
    let path = absolute(&args.path);
    let now = cache.hash(&path).at("read", &path)?.stored;
    let place = place(&project, &path);
    let found = writers(&cache, &now);
    // A file inside an output folder is not an object of its own: its provenance is that of the folder.
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
                "`{}` writes to this path, and no cached result has these bytes: run again to restore the output",
                project.plan.nodes[node].name
            ),
            None => "no cached result has these bytes; garbage collection may have removed it".to_owned(),
        };
        return Err(
            Fault::usage(format!("{} was made by no cached result", args.path.display())).with_help(hint)
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
