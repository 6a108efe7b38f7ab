//! `lfs-pipe run --check NODE`: does a node give the same bytes again?

use super::project::Project;
use crate::cache::Cache;
use crate::engine::Difference;
use crate::fault::{Fault, Result};
use crate::show::nodes;

/// How many nodes are to be compared. Each must have a result.
pub(super) fn before(project: &Project, cache: &Cache, names: &[String]) -> Result<usize> {
    if names.is_empty() {
        return Ok(0);
    }
    let foreseen = project.forecast(cache, names)?;
    let named = project.plan.named(names)?;
    for i in &named {
        if foreseen[*i].as_ref().is_none_or(|f| f.record.is_none()) {
            let name = &project.plan.nodes[*i].name;
            return Err(Fault::usage(format!("there is no result of `{name}` to compare with"))
                .with_help("run it first, then again with --check"));
        }
    }
    Ok(named.len())
}

/// Says how the comparison ended.
pub(super) fn after(checked: usize, differences: &[Difference]) -> Result<()> {
    if checked == 0 {
        return Ok(());
    }
    if differences.is_empty() {
        crate::say!("{} gave the same bytes again", nodes(checked));
        return Ok(());
    }
    let list: Vec<String> = differences
        .iter()
        .map(|d| {
            let now = d.now.map_or("nothing".to_owned(), |now| now.short());
            format!("`{}` (published {}, now {now})", d.output, d.published.short())
        })
        .collect();
    Err(Fault::differ(format!("not deterministic: other bytes the second time: {}", list.join(", "))).with_help(
        "something that is not declared reaches the result: the time, a random number, a file. The published result stays; the other one lies in the cache until `lfs-pipe cache gc`",
    ))
}
