//! The output folder, where people find the outputs: `out/<stage>[/<labels>]/`.
//!
//! The output folder may hold anything else, too. A path in it is written, replaced or removed only if a run put its current content
//! there: see [`Folder::foreign`].

mod claim;
mod place;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use claim::{Foreign, Sorted, refuse_foreign};
pub use place::Trouble;

pub use crate::cache::PLACING;

use crate::cache::Placed;
use crate::digest::Digest;

/// An output folder.
pub struct Folder {
    path: PathBuf,
    placed: Placed,
    /// Files that no run put in the place of an output may be replaced.
    overwrite: bool,
    /// The digests of the outputs in the cache.
    given: OnceLock<HashSet<Digest>>,
}

/// One output of a node, in an output folder.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The path below the output folder.
    pub path: &'a Path,
}

impl Folder {
    /// The output folder at a path. `overwrite`: files that no run put in the place of an output may be replaced.
    pub fn new(path: &Path, overwrite: bool) -> Self {
        let placed = Placed::at(path.join(PLACING).join("placed"));
        Self { path: path.to_owned(), placed, overwrite, given: OnceLock::new() }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All paths below it at which runs put something, sorted.
    pub fn placed(&self) -> Vec<PathBuf> {
        self.placed.paths()
    }
}
