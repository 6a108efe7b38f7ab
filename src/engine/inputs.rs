//! The inputs of a node: digests for the key, paths for the work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lfs_stage::{Binding, Member};

use crate::cache::{Cache, Stored};
use crate::fingerprint::{InputPrint, MemberPrint, Named};
use crate::plan::{COMMAND, Node, Plan, Source};
use crate::state::{Files, Results, stored};

/// The inputs of a node as its fingerprint has them; `None` while a node before it has no result.
pub fn prints<'a>(
    node: &Node,
    plan: &Plan,
    results: &Results<'a>,
    files: &'a Files,
) -> Option<BTreeMap<String, InputPrint>> {
    let mut out = BTreeMap::new();
    for input in &node.inputs {
        let print = if input.several {
            let members: Option<Vec<MemberPrint>> = input
                .sources
                .iter()
                .map(|source| {
                    let Stored { digest, executable, .. } = *stored(source, results, files)?;
                    let (from, labels) = match source {
                        Source::Node { node, .. } => {
                            (plan.nodes[*node].name.clone(), plan.nodes[*node].label_map())
                        }
                        Source::Path { shown, .. } => (shown.clone(), BTreeMap::new()),
                    };
                    Some(MemberPrint { from, labels, digest, executable })
                })
                .collect();
            InputPrint::Several(members?)
        } else {
            let source = input.sources.first()?;
            let Stored { digest, executable, .. } = *stored(source, results, files)?;
            match (node.kind == COMMAND, executable) {
                (true, _) => InputPrint::Named(Named { name: last_name(source, plan), digest, executable }),
                (false, true) => InputPrint::Named(Named { name: String::new(), digest, executable }),
                (false, false) => InputPrint::Bytes(digest),
            }
        };
        out.insert(input.name.clone(), print);
    }
    Some(out)
}

/// The last part of the path under which a command sees a source.
pub(super) fn last_name(source: &Source, plan: &Plan) -> String {
    let path = match source {
        Source::Node { node, output } => Path::new(&plan.nodes[*node].outputs[*output].path),
        Source::Path { path, .. } => path.as_path(),
    };
    path.file_name().map_or_else(|| "input".to_owned(), |n| n.to_string_lossy().into_owned())
}

/// The inputs of a node as a worker gets them. Outputs of other nodes are read from the cache.
pub(super) fn bindings(
    node: &Node,
    plan: &Plan,
    results: &Results<'_>,
    cache: &Cache,
) -> BTreeMap<String, Binding> {
    let mut out = BTreeMap::new();
    for input in &node.inputs {
        let binding = if input.several {
            let members = input.sources.iter().map(|source| {
                let (from, labels) = match source {
                    Source::Node { node, .. } => {
                        (plan.nodes[*node].name.clone(), plan.nodes[*node].label_map())
                    }
                    Source::Path { shown, .. } => (shown.clone(), BTreeMap::new()),
                };
                Member { from, labels, path: lies_at(source, results, cache) }
            });
            Binding::Several(members.collect())
        } else {
            match input.sources.first() {
                Some(source) => Binding::One(lies_at(source, results, cache)),
                None => continue,
            }
        };
        out.insert(input.name.clone(), binding);
    }
    out
}

/// Where the bytes of a source lie: at the user's path, or in the cache.
pub(super) fn lies_at(source: &Source, results: &Results<'_>, cache: &Cache) -> PathBuf {
    match source {
        Source::Path { path, .. } => path.clone(),
        Source::Node { node, output } => {
            results(*node, *output).map_or_else(PathBuf::new, |s| cache.object(&s.digest))
        }
    }
}
