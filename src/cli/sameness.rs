//! `lfs-pipe run --check NODE`: does a node give the same bytes again?

use std::collections::BTreeMap;

use super::project::Project;
use crate::cache::{Cache, Record};
use crate::fault::{Fault, Result};
use crate::show::nodes;

/// What the nodes gave before: by node.
pub(super) type Before = BTreeMap<usize, Record>;

pub(super) fn before(project: &Project, cache: &Cache, names: &[String]) -> Result<Before> {
    if names.is_empty() {
        return Ok(Before::new());
    }
    let foreseen = project.forecast(cache, names)?;
    let mut out = Before::new();
    for i in project.plan.named(names)? {
        let record = foreseen[i].as_ref().and_then(|f| f.record.clone());
        let name = &project.plan.nodes[i].name;
        out.insert(
            i,
            record.ok_or_else(|| {
                Fault::usage(format!("there is no result of `{name}` to compare with"))
                    .with_help("run it first, then again with --check")
            })?,
        );
    }
    Ok(out)
}

pub(super) fn after(project: &Project, cache: &Cache, before: &Before) -> Result<()> {
    if before.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = before.keys().map(|i| project.plan.nodes[*i].name.clone()).collect();
    let foreseen = project.forecast(cache, &names)?;
    let mut differ = Vec::new();
    for (i, record) in before {
        let now = foreseen[*i].as_ref().and_then(|f| f.record.as_ref());
        for (name, stored) in &record.outputs {
            let again = now.and_then(|r| r.outputs.get(name)).map(|s| s.digest);
            if again != Some(stored.digest) {
                differ.push(format!("`{}.{name}`", project.plan.nodes[*i].name));
            }
        }
    }
    if differ.is_empty() {
        crate::say!("{} gave the same bytes again", nodes(before.len()));
        return Ok(());
    }
    Err(Fault::differ(format!("other bytes came out the second time: {}", differ.join(", "))).with_help(
        "something that is not declared reaches the result: the time, a random number, a file; the later result is kept",
    ))
}
