//! Where outputs appear: each in a place of its own.

use super::{Grounds, Node, Output};
use crate::manifest::Problem;
use crate::paths::{LONGEST_NAME, LONGEST_PATH, not_below};

/// Adds an output to those of a node; or says what is wrong with it, and what to do.
pub(super) fn add(outputs: &mut Vec<Output>, name: &str, path: &str) -> Option<(String, String)> {
    let clean = path.trim_end_matches('/');
    if let Some(why) = not_below(path) {
        return Some((format!("`{}` cannot be an output's path", path.escape_debug()), why.to_owned()));
    }
    // One path inside another, or the same twice, would give one of them the other's bytes.
    let inside = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
    if let Some(other) = outputs.iter().find(|o| inside(&o.path, clean) || inside(clean, &o.path)) {
        let what = format!("outputs `{}` and `{name}` share the path `{clean}`", other.name);
        return Some((what, "give each output a path of its own".to_owned()));
    }
    outputs.push(Output { name: name.to_owned(), path: clean.to_owned() });
    None
}

/// Looks for nodes whose outputs cannot lie where they are to appear, or would lie in each other's.
pub(super) fn check(nodes: &[Node], grounds: &Grounds, wrong: &mut Vec<Problem>) {
    let mut all: Vec<(String, &Node)> = Vec::new();
    for node in nodes {
        let folder = node.folder();
        let refuse = |what: String, help: &str| Problem::new(what, &node.place, "this stage").help(help);
        if let Some(part) = folder.iter().find(|part| part.len() > LONGEST_NAME) {
            wrong.push(refuse(
                format!(
                    "the folder of `{}` would have a name of {} bytes, of {LONGEST_NAME} at the most",
                    short(&node.name),
                    part.len()
                ),
                "its name is made of the stage's name or of its labels: make these shorter, and give long values by `include`",
            ));
            continue;
        }
        if grounds.cache_is_in_the_way_of(&node.stage) {
            wrong.push(refuse(
                format!("the outputs of `{}` and the cache would lie in each other", node.stage),
                "give the stage another name, or name another folder with `out` or `cache` in `[pipeline]`",
            ));
        }
        for output in &node.outputs {
            let path = folder.join(&output.path);
            if grounds.out().join(&path).as_os_str().len() > LONGEST_PATH {
                wrong.push(refuse(
                    format!(
                        "the path of the output `{}` of `{}` is too long",
                        output.name,
                        short(&node.name)
                    ),
                    "make the names shorter, or name an output folder nearer to the root",
                ));
            }
            all.push((path.to_string_lossy().into_owned(), node));
        }
    }
    // Sorted by parts of the path, so that what lies in a folder directly follows it.
    all.sort_by(|a, b| a.0.split('/').cmp(b.0.split('/')));
    for pair in all.windows(2) {
        let [(first, one), (second, other)] = pair else { continue };
        let inside =
            second.strip_prefix(first.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if inside && one.name != other.name {
            wrong.push(
                Problem::new(
                    format!("outputs of `{}` and `{}` share the place `{first}`", one.name, other.name),
                    &one.place,
                    "this stage",
                )
                .also(&other.place, "and this one")
                .help("give one of them another name, label or output path"),
            );
        }
    }
}

/// A long name, cut.
fn short(name: &str) -> String {
    match name.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
