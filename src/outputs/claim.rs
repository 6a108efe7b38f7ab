//! Whether what lies at an output's path was put there by a run.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Folder, Of};
use crate::cache::{Cache, Copied};
use crate::digest::Digest;
use crate::fault::{Fault, Result};
use crate::manifest::shown;
use crate::plan::Plan;

/// How often a path is checked again because it changed meanwhile.
const TRIES: usize = 16;

/// Something in the place of an output that is not ours to remove.
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
    /// A link: what it points to is not ours.
    Link,
    /// A file where a folder must be.
    File,
    /// No run put it there.
    NotPlaced,
    /// A run put something there, and it has changed since.
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

    /// What to do next.
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

/// Refuses a run that would replace files that no run put there. `wanted` are the nodes whose outputs may be written.
///
/// # Errors
/// With the paths, and what to do next.
pub fn refuse_foreign(
    folder: &Folder,
    plan: &Plan,
    wanted: &dyn Fn(usize) -> bool,
    cache: &Cache,
) -> Result<()> {
    const SHOWN: usize = 10;
    let mut found = Vec::new();
    for (_, node) in plan.nodes.iter().enumerate().filter(|(i, _)| wanted(*i)) {
        let below = node.folder();
        for output in &node.outputs {
            let path = below.join(&output.path);
            let of = Of { node: &node.name, path: &path };
            found.extend(folder.foreign(of, cache));
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
        if let Some(foreign) = self.on_the_way(of, cache) {
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

    /// A link or a foreign file in place of a folder above an output.
    pub(super) fn on_the_way(&self, of: Of<'_>, cache: &Cache) -> Option<Foreign> {
        let (at, metadata) = self.first_that_is_no_folder(of.path)?;
        let why = if metadata.is_symlink() { Why::Link } else { Why::File };
        if why == Why::File && self.is_own_file(&at, cache) {
            return None;
        }
        Some(Foreign { path: at, node: of.node.to_owned(), why })
    }

    /// Whether a folder above a path is a link.
    pub fn is_behind_a_link(&self, path: &Path) -> bool {
        self.first_that_is_no_folder(path).is_some_and(|(_, metadata)| metadata.is_symlink())
    }

    /// Whether a run put a file where it lies: an output whose path was above this one's.
    pub(super) fn is_own_file(&self, at: &Path, cache: &Cache) -> bool {
        at.strip_prefix(self.path()).is_ok_and(|below| self.sort_out(below, at, cache).foreign.is_empty())
    }

    /// Among the folders above a path, the first thing that exists and is not a folder.
    pub(super) fn first_that_is_no_folder(&self, path: &Path) -> Option<(PathBuf, std::fs::Metadata)> {
        let mut at = self.path().to_owned();
        for part in path.parent()?.components() {
            at.push(part);
            let metadata = std::fs::symlink_metadata(&at).ok()?;
            if !metadata.is_dir() {
                return Some((at, metadata));
            }
        }
        None
    }

    /// Whether what lies at `there`, which is or was the place of an output, was not put there by a run.
    pub(super) fn is_not_ours(&self, of: Of<'_>, there: &Path, cache: &Cache) -> Option<Foreign> {
        // If another run put something there, or `clean` removed it, during the check, the check proves nothing.
        let seen = || std::fs::symlink_metadata(there).ok().map(|m| (m.ino(), m.ctime(), m.ctime_nsec()));
        let mut tries = 0..TRIES;
        let first = loop {
            let before = seen()?;
            let first = self.sort_out(of.path, there, cache).foreign.into_iter().next()?;
            if seen()? == before || tries.next().is_none() {
                break first;
            }
        };
        let below = first.strip_prefix(there).unwrap_or(Path::new(""));
        let path: PathBuf = self.path().join(of.path).join(below).components().collect();
        let why = if self.placed.objects(of.path).is_empty() { Why::NotPlaced } else { Why::Edited };
        Some(Foreign { path, node: of.node.to_owned(), why })
    }

    /// Separates what runs put at a place from what others did. `there` is where it lies now.
    pub fn sort_out(&self, below: &Path, there: &Path, cache: &Cache) -> Sorted {
        let all_foreign = || Sorted { ours: vec![], foreign: vec![there.to_owned()] };
        let all_ours = || Sorted { ours: vec![there.to_owned()], foreign: vec![] };
        let Ok(copied) = Copied::look(there) else { return all_foreign() };
        let noted = self.placed.object_at(below, &copied);
        if noted.is_some() && !copied.has_coarse_times() {
            return all_ours();
        }
        // The times prove nothing, or the journal is lost, or the folder was copied: the digests of results in the cache decide.
        let given = || self.given.get_or_init(|| cache.given());
        let is_ours = |now: &Digest| noted.map_or_else(|| given().contains(now), |noted| noted == *now);
        if cache.hash_output(there).is_ok_and(|hashed| is_ours(&hashed.stored.digest)) {
            return all_ours();
        }
        if !there.is_dir() || there.is_symlink() {
            return all_foreign();
        }
        self.sort_out_folder(below, there, &copied, cache)
    }

    /// The same, leaf by leaf: compared with what was put there, and with outputs that had places below this one.
    fn sort_out_folder(&self, below: &Path, there: &Path, copied: &Copied, cache: &Cache) -> Sorted {
        let digest = |path: &Path| cache.hash_output(path).ok().map(|hashed| hashed.stored.digest);
        let objects: Vec<PathBuf> = self
            .placed
            .objects(below)
            .iter()
            .map(|object| cache.object(object))
            .filter(|o| o.is_dir())
            .collect();
        let mut sorted = Sorted::default();
        for leaf in copied.leaves() {
            let name = Path::new(leaf.name.trim_end_matches('/'));
            let path = there.join(name);
            let put = |object: &PathBuf| match leaf.is_file() {
                true => {
                    !path.is_symlink() && digest(&object.join(name)).is_some_and(|d| Some(d) == digest(&path))
                }
                false => object.join(name).is_dir(),
            };
            let put_alone = || {
                let placed =
                    Copied::look(&path).ok().and_then(|c| self.placed.object_at(&below.join(name), &c));
                placed.is_some_and(|placed| Some(placed) == digest(&path))
            };
            match objects.iter().any(put) || put_alone() {
                true => sorted.ours.push(path),
                false => sorted.foreign.push(path),
            }
        }
        // An empty folder where no run put a folder.
        if copied.leaves().is_empty() && objects.is_empty() {
            sorted.foreign.push(there.to_owned());
        }
        sorted
    }
}

/// What lies at a place.
#[derive(Debug, Default)]
pub struct Sorted {
    /// What runs put there: all of it, or files and empty folders in it.
    pub ours: Vec<PathBuf>,
    /// All else.
    pub foreign: Vec<PathBuf>,
}
