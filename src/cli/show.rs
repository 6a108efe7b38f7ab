//! `lfs-pipe show`

use serde_json::json;

use super::args::{Common, NodeArgs};
use super::print::{print, print_json};
use super::project::Project;
use super::status::word;
use crate::fault::Result;
use crate::fingerprint::InputPrint;
use crate::show::{count, figure, span};

pub(super) fn show(common: &Common, args: &NodeArgs) -> Result<()> {
    let project = Project::open(common)?;
    let cache = project.cache()?;
    let i = project.node(&args.node)?;
    let node = &project.plan.nodes[i];
    let mut foreseen = project.forecast(&cache, std::slice::from_ref(&node.name))?;
    let Some(f) = foreseen[i].take() else { return Ok(()) };
    if args.json {
        return print_json(&json!({
            "node": node.name, "kind": node.kind, "state": f.state, "key": f.key,
            "fingerprint": f.fingerprint, "record": f.record,
        }));
    }
    let mut text = format!("{} ({}): {}\n", node.name, node.kind, word(f.state));
    if let Some(key) = f.key {
        text += &format!("key        {key}\n");
    }
    if let Some(record) = &f.record {
        let made = &record.made;
        text += &format!(
            "made       {} by {} in {}, run {}",
            made.started,
            made.worker,
            span(made.seconds),
            made.run
        );
        if made.node != node.name {
            text += &format!(", as `{}`", made.node);
        }
        text += "\n";
        for (name, stored) in &record.outputs {
            let files =
                if stored.folder { format!(", {} files", count(stored.files)) } else { String::new() };
            text += &format!(
                "output     {name}  {}  {} bytes{files}\n",
                stored.digest.short(),
                count(stored.bytes)
            );
        }
        for (name, value) in &record.metrics {
            text += &format!("metric     {name}  {}\n", figure(*value));
        }
        for warning in &record.warnings {
            text += &format!("warning    {warning}\n");
        }
    }
    if let Some(print) = &f.fingerprint {
        for (name, input) in &print.inputs {
            match input {
                InputPrint::Bytes(digest) => text += &format!("input      {name}  {}\n", digest.short()),
                InputPrint::Named(named) => {
                    text += &format!("input      {name}  {}  {}\n", named.digest.short(), named.name)
                }
                InputPrint::Several(members) => {
                    for m in members {
                        text += &format!("input      {name}  {}  {}\n", m.digest.short(), m.from);
                    }
                }
            }
        }
        for (name, value) in print.parameters.as_object().into_iter().flatten() {
            text += &format!("parameter  {name} = {value}\n");
        }
        for (name, value) in &print.environment {
            text += &format!("fact       {name} = {value}\n");
        }
        for (file, digest) in print.code.iter() {
            text += &format!("code       {}  {file}\n", digest.get(..12).unwrap_or(digest));
        }
    }
    print(&text)
}
