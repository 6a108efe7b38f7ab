//! The user's files, and what the nodes read of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::prior::Prior;
use crate::cache::{Cache, Hashed, Stored};
use crate::digest::{Digest, Root};
use crate::fault::{Fault, Result};
use crate::manifest::{Manifest, Problem, Problems, nearest, shown};
use crate::paths::{overlap, plain};
use crate::plan::{Node, Plan, Source};

/// The user's files and folders, hashed.
#[derive(Default)]
pub struct Files {
    known: HashMap<PathBuf, Hashed>,
    /// Those that have changed since the last run ended.
    renewed: Vec<PathBuf>,
}

impl Files {
    /// Hashes all files that these nodes read, except those that have not changed since the last run.
    ///
    /// # Errors
    /// With every file that is missing or cannot be read.
    pub fn of(
        plan: &Plan,
        needed: &[bool],
        cache: &Cache,
        manifest: &Manifest,
        prior: &Prior,
    ) -> Result<Self> {
        let mut paths = HashMap::new();
        for node in plan.nodes.iter().zip(needed).filter(|(_, n)| **n).map(|(node, _)| node) {
            for source in node.inputs.iter().flat_map(|i| &i.sources) {
                if let Source::Path { path, place, .. } = source {
                    paths.entry(path.clone()).or_insert(place);
                }
            }
        }
        let mut list: Vec<_> = paths.into_iter().collect();
        list.sort_by_key(|(_, place)| place.range.start);
        let mut known = HashMap::with_capacity(list.len());
        if let Ok(root) = Root::open(&manifest.root) {
            list.retain(|(path, _)| match prior.unchanged_input(&root, path) {
                Some(hashed) => {
                    known.insert(path.clone(), hashed.clone());
                    false
                }
                None => true,
            });
        }
        let renewed = list.iter().map(|(path, _)| path.clone()).collect();
        let hashed: Vec<_> = match list.len() {
            0..64 => list.iter().map(|(path, _)| cache.hash(path)).collect(),
            _ => list.par_iter().map(|(path, _)| cache.hash(path)).collect(),
        };
        let mut wrong = Vec::new();
        for ((path, place), hashed) in list.into_iter().zip(hashed) {
            match hashed {
                Ok(hashed) => {
                    let link = || link_into(&path, &plan.own_folders);
                    if let Some(link) = hashed.stored.folder.then(link).flatten() {
                        let said = format!("{} leads into what the run itself writes", shown(&link));
                        let problem = Problem::new(said, place, "in this input");
                        wrong
                            .push(problem.help("name the output as an input of its own: `\"stage.output\"`"));
                    }
                    known.insert(path, hashed);
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    let problem =
                        Problem::new(format!("{} does not exist", shown(&path)), place, "named here");
                    let help = neighbour(&path).unwrap_or_else(|| {
                        format!("paths are relative to the folder of the manifest, {}", shown(&manifest.root))
                    });
                    wrong.push(problem.help(help));
                }
                Err(e) => wrong.push(Problem::new(
                    format!("{} cannot be read: {e}", shown(&path)),
                    place,
                    "named here",
                )),
            }
        }
        if wrong.is_empty() {
            Ok(Self { known, renewed })
        } else {
            Err(Fault::Manifest(Box::new(Problems::new(manifest.sources.clone(), wrong))))
        }
    }

    /// The digest of a file or folder, as an object.
    pub(crate) fn stored(&self, path: &Path) -> Option<&Stored> {
        self.known.get(path).map(|h| &h.stored)
    }

    /// Whether some have been hashed since the last run ended: their stat has changed, if nothing else.
    pub(crate) fn are_renewed(&self) -> bool {
        !self.renewed.is_empty()
    }

    /// The files that were hashed again. One whose times are uncertain says so itself: its previous state must not be kept.
    pub(crate) fn renewed(&self) -> impl Iterator<Item = (PathBuf, Hashed)> + '_ {
        self.renewed.iter().filter_map(|path| Some((path.clone(), self.known.get(path)?.clone())))
    }

    /// Hashes one of these files again.
    pub(crate) fn renew(&mut self, path: &Path, cache: &Cache) -> std::io::Result<()> {
        if let Some(known) = self.known.get_mut(path) {
            *known = cache.hash(path)?;
            self.renewed.push(path.to_owned());
        }
        Ok(())
    }

    /// The files that a node reads, with their digests.
    pub(crate) fn of_node(&self, node: &Node) -> Vec<(PathBuf, Hashed)> {
        node.paths().filter_map(|p| Some((p.clone(), self.known.get(p)?.clone()))).collect()
    }
}

/// A link below a folder that leads into one of these folders.
fn link_into(folder: &Path, own: &[PathBuf]) -> Option<PathBuf> {
    let all = walkdir::WalkDir::new(folder).follow_links(true).into_iter().flatten();
    let mut links = all.filter(walkdir::DirEntry::path_is_symlink).map(walkdir::DirEntry::into_path);
    links.find(|link| {
        let target = plain(link);
        own.iter().any(|own| overlap(&target, own))
    })
}

fn neighbour(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let entries = std::fs::read_dir(path.parent()?).ok()?.flatten().take(1000);
    let names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    nearest(&name, names.iter().map(String::as_str))
}

/// The outputs of nodes, by the indices of node and output; `None` while the node has no result.
pub(crate) type Results<'a> = dyn Fn(usize, usize) -> Option<&'a Stored> + 'a;

/// The object of a source.
pub(crate) fn stored<'a>(source: &Source, results: &Results<'a>, files: &'a Files) -> Option<&'a Stored> {
    match source {
        Source::Node { node, output } => results(*node, *output),
        Source::Path { path, .. } => files.stored(path),
    }
}

/// The digest of everything that a node reads, in the order of its inputs; `None` while an input has no result.
pub(crate) fn digest_of_inputs<'a>(node: &Node, results: &Results<'a>, files: &'a Files) -> Option<Digest> {
    let mut bytes = Vec::with_capacity(64);
    for source in node.inputs.iter().flat_map(|i| &i.sources) {
        let stored = stored(source, results, files)?;
        bytes.extend(stored.digest.0);
        bytes.push(u8::from(stored.executable));
    }
    Some(Digest(*blake3::hash(&bytes).as_bytes()))
}
