//! Whether what lies at an output's path was put there by a run.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Folder, Of, PLACING};
use crate::cache::{Cache, Copied, started_by_another_boot};
use crate::fault::{Fault, Result};
use crate::manifest::shown;
use crate::plan::Plan;

/// What stands in the way of an output, and is not ours to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Where it lies.
    pub path: PathBuf,
    /// The node whose output belongs there.
    pub node: String,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// A link: what lies behind it is somebody's.
    Link,
    /// A file where a folder must be.
    File,
    /// No run put it there.
    NotPlaced,
    /// A run put something there, and it is not that any more.
    Edited,
}

impl Foreign {
    /// What is wrong with it.
    pub fn message(&self) -> String {
        let path = shown(&self.path);
        let node = &self.node;
        match self.why {
            Why::Link => format!("{path} is a link, and an output of `{node}` belongs there"),
            Why::File => format!("{path} is a file, and a folder for outputs of `{node}` belongs there"),
            Why::NotPlaced => {
                format!("{path} was put there by no run, and an output of `{node}` belongs there")
            }
            Why::Edited => format!("{path}, the place of an output of `{node}`, is not what a run put there"),
        }
    }

    /// How to go on.
    pub fn help(&self) -> &'static str {
        match self.why {
            Why::Link => {
                "what lies behind a link is left alone: remove the link, or name another folder with `out` in `[pipeline]` or --out"
            }
            Why::File => {
                "move it away, or name another folder for outputs with `out` in `[pipeline]` or --out"
            }
            Why::NotPlaced | Why::Edited => {
                "move it away if you want to keep it; or name another folder for outputs with `out` in `[pipeline]` or --out; or have it replaced: `lfs-pipe run --overwrite`"
            }
        }
    }
}

/// Refuses a run that would replace what no run put there. `wanted` are the nodes whose outputs may be written.
///
/// # Errors
/// With the paths, and how to go on.
pub fn refuse_foreign(
    folder: &Folder,
    plan: &Plan,
    wanted: &dyn Fn(usize) -> bool,
    cache: &Cache,
) -> Result<()> {
    const SHOWN: usize = 10;
    let mut found = Vec::new();
    for (i, node) in plan.nodes.iter().enumerate().filter(|(i, _)| wanted(*i) || folder.crashed().is_some()) {
        let below = node.folder();
        for output in &node.outputs {
            let path = below.join(&output.path);
            let of = Of { node: &node.name, output: &output.name, path: &path };
            found.extend(folder.foreign(of, cache).filter(|_| wanted(i)));
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    let Some(first) = found.first() else { return Ok(()) };
    let mut text: Vec<String> = found.iter().take(SHOWN).map(Foreign::message).collect();
    if found.len() > SHOWN {
        text.push(format!("and {} more", found.len() - SHOWN));
    }
    Err(Fault::usage(format!("nothing was run: {}", text.join("\n  "))).with_help(first.help()))
}

impl Folder {
    /// What lies in the place of an output and is not ours to replace.
    pub fn foreign(&self, of: Of<'_>, cache: &Cache) -> Option<Foreign> {
        if let Some(foreign) = self.on_the_way(of) {
            return Some(foreign);
        }
        let to = self.path().join(of.path);
        let metadata = std::fs::symlink_metadata(&to).ok()?;
        if self.overwrite {
            return None;
        }
        if metadata.is_symlink() {
            return Some(Foreign { path: to, node: of.node.to_owned(), why: Why::Link });
        }
        self.is_not_ours(of, &to, cache)
    }

    /// What stands in place of a folder above an output.
    pub(super) fn on_the_way(&self, of: Of<'_>) -> Option<Foreign> {
        let mut at = self.path().to_owned();
        for part in of.path.parent()?.components() {
            at.push(part);
            let why = match std::fs::symlink_metadata(&at) {
                Ok(m) if m.is_symlink() => Why::Link,
                Ok(m) if !m.is_dir() => Why::File,
                Ok(_) => continue,
                Err(_) => return None,
            };
            return Some(Foreign { path: at, node: of.node.to_owned(), why });
        }
        None
    }

    /// Whether what lies at `there`, which is or was the place of an output, was not put there by a run.
    pub(super) fn is_not_ours(&self, of: Of<'_>, there: &Path, cache: &Cache) -> Option<Foreign> {
        let foreign = |why| Some(Foreign { path: self.path().join(of.path), node: of.node.to_owned(), why });
        let Ok(copied) = Copied::look(there) else { return foreign(Why::NotPlaced) };
        if self.placed.is(of.path, &copied) {
            return None;
        }
        // The journal of the folder is lost, or the folder was copied: what a result consists of is in the cache, too.
        let given = || self.given.get_or_init(|| cache.given());
        if cache.hash_output(there).is_ok_and(|hashed| given().contains(&hashed.stored.digest)) {
            return None;
        }
        if let Some(since) = self.crashed()
            && copied.is_born_since(since)
        {
            let _ = self.placed.note(of.path, &copied);
            return None;
        }
        foreign(if self.placed.paths().iter().any(|p| p == of.path) { Why::Edited } else { Why::NotPlaced })
    }

    /// When a run began that was cut off with the machine. What it noted may not have reached the disk although what it placed did:
    /// files that were made since then are taken for its.
    pub(super) fn crashed(&self) -> Option<SystemTime> {
        *self.crashed.get_or_init(|| started_by_another_boot(&self.path().join(PLACING)))
    }
}
