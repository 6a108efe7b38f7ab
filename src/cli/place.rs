//! Where a command is given: its folder, its manifest, and what a relative path in `--set` means.

use std::path::{Component, Path, PathBuf};

use super::args::{Common, MANIFEST};
use crate::fault::{Fault, Result};
use crate::manifest::{Manifest, folder};

/// Goes to the folder of `-C`, finds the manifest, and makes paths in `--set` relative to it.
pub(super) fn settle(common: &mut Common) -> Result<()> {
    if let Some(folder) = &common.directory {
        std::env::set_current_dir(folder)
            .map_err(|e| Fault::usage(format!("cannot go to {}: {e}", folder.display())))?;
    }
    let Ok(here) = std::env::current_dir() else { return Ok(()) };
    if common.file == Path::new(MANIFEST)
        && let Some(found) = here.ancestors().map(|f| f.join(MANIFEST)).find(|f| f.is_file())
        && found.parent() != Some(&here)
    {
        common.file = found;
    }
    let root = folder(&common.file);
    if !common.sets.is_empty()
        && root != here
        && let Ok(text) = Manifest::text(&common.file)
    {
        for set in &mut common.sets {
            if let Some(moved) = from_here(set, &text, &here, &root) {
                *set = moved;
            }
        }
    }
    Ok(())
}

/// `NAME=PATH` for the manifest's folder, where the path is relative to `here`.
fn from_here(set: &str, text: &str, here: &Path, root: &Path) -> Option<String> {
    let (name, value) = set.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_path = name.ends_with(".path") || begins_a_path(name.strip_prefix("vars.").unwrap_or(name), text);
    let is_relative =
        !value.is_empty() && !value.starts_with(['/', '"', '\'', '[', '{']) && !value.contains("://");
    (is_path && is_relative).then(|| format!("{name}={}", between(root, &here.join(value)).display()))
}

/// Whether a path of the manifest begins with a variable: `path = "${vars.data}/images"`.
fn begins_a_path(name: &str, text: &str) -> bool {
    let used = format!("${{vars.{name}}}");
    text.match_indices(&used).any(|(at, _)| {
        let before = text[..at].trim_end_matches(['"', '\'']).trim_end();
        before.strip_suffix('=').is_some_and(|key| key.trim_end().ends_with("path"))
    })
}

/// The way from one absolute folder to a path, by names alone.
fn between(from: &Path, to: &Path) -> PathBuf {
    let mut names: Vec<Component<'_>> = Vec::new();
    for part in to.components() {
        match part {
            Component::ParentDir => drop(names.pop()),
            part => names.push(part),
        }
    }
    let from: Vec<Component<'_>> = from.components().collect();
    let same = from.iter().zip(&names).take_while(|(a, b)| a == b).count();
    let up = from[same..].iter().map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(names[same..].iter().copied()).collect();
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_command_line_is_relative_to_where_it_was_typed() {
        let text = "input.a = { path = \"${vars.data}/x\" }\ninput.b = { path='${vars.other}' }\nrun = \"${vars.word}\"";
        let moved = |set: &str| from_here(set, text, Path::new("/a/b"), Path::new("/a/pipelines"));
        assert_eq!(moved("data=faces").as_deref(), Some("data=../b/faces"));
        assert_eq!(moved("vars.other=../c").as_deref(), Some("vars.other=../c"));
        assert_eq!(moved("data=../pipelines").as_deref(), Some("data=."));
        assert_eq!(moved("stage.x.input.y.path=z").as_deref(), Some("stage.x.input.y.path=../b/z"));
        for as_it_is in
            ["word=faces", "data=/faces", "data=hf://a/b", "data=\"faces\"", "data", "train.epochs=3"]
        {
            assert_eq!(moved(as_it_is), None, "{as_it_is}");
        }
    }
}
