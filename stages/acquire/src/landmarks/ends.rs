//! Matches paths in lists with images.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use lfs_formats::names;

use super::composed;

/// The first two matching faces.
type Two = [Option<usize>; 2];

/// Faces by the last parts of their names, without extensions.
type Stems<'a> = HashMap<&'a str, Two>;

/// A face that matches a path.
pub(super) struct Found {
    pub(super) face: usize,
    /// Whether the path contains the exact name of the face.
    pub(super) exact: bool,
    /// The number of parts of the path that form the name.
    pub(super) parts: usize,
}

/// An index of faces by the ends of their names.
pub(super) struct Ends<'a> {
    names: &'a [Cow<'a, str>],
    /// Existing files that are not faces.
    passed_over: &'a BTreeSet<String>,
    whole: HashMap<&'a str, usize>,
    depths: BTreeSet<usize>,
    /// Faces by the last parts of their names without extensions; the keys are the number of parts, and whether names may have more
    /// parts. Filled on demand.
    stems: RefCell<BTreeMap<(usize, bool), Stems<'a>>>,
}

impl<'a> Ends<'a> {
    pub(super) fn new(names: &'a [Cow<'a, str>], passed_over: &'a BTreeSet<String>) -> Self {
        let whole = names.iter().enumerate().map(|(k, n)| (&**n, k)).collect();
        let depths = names.iter().map(|n| n.split('/').count()).collect();
        Self { names, passed_over, whole, depths, stems: RefCell::default() }
    }

    /// The face that matches a path; an error with two names if several match.
    pub(super) fn find(&self, path: &str) -> Result<Option<Found>, [String; 2]> {
        let path = composed(path);
        let ends = || self.depths.iter().rev().filter_map(|&d| Some((d, tail(&path, d)?)));
        if let Some((parts, face)) = ends().find_map(|(d, end)| Some((d, *self.whole.get(end)?))) {
            return Ok(Some(Found { face, exact: true, parts }));
        }
        // The path of an existing file belongs to that file, not to an image with another extension.
        let all = (1..=path.split('/').count()).filter_map(|d| tail(&path, d));
        if all.into_iter().any(|end| self.passed_over.contains(end)) {
            return Ok(None);
        }
        let stem = names::stem(&path);
        if let Some(found) = self.by_stem(stem)? {
            return Ok(Some(found));
        }
        // An extension that is not of an image: `1.npy`.
        match stem.rsplit_once('.') {
            Some((shorter, ending)) if stem == path && !ending.contains('/') => self.by_stem(shorter),
            _ => Ok(None),
        }
    }

    fn by_stem(&self, stem: &str) -> Result<Option<Found>, [String; 2]> {
        let parts = stem.split('/').count();
        let by_name = self.depths.iter().rev().filter(|d| **d <= parts).map(|&d| (d, false));
        // A path shorter than the names matches the only face whose name ends with it.
        for (depth, deeper) in by_name.chain([(parts, true)]) {
            match tail(stem, depth).map(|end| self.stem(depth, deeper, end)).unwrap_or_default() {
                [Some(a), Some(b)] => return Err([a, b].map(|k| self.names[k].to_string())),
                [Some(face), None] => return Ok(Some(Found { face, exact: false, parts: depth })),
                _ => {}
            }
        }
        Ok(None)
    }

    fn stem(&self, depth: usize, deeper: bool, end: &str) -> Two {
        let mut all = self.stems.borrow_mut();
        let of_depth = all.entry((depth, deeper)).or_insert_with(|| {
            let mut ends: HashMap<&str, Two> = HashMap::new();
            for (k, name) in self.names.iter().enumerate() {
                let parts = name.split('/').count();
                if parts == depth || deeper && parts > depth {
                    let Some(end) = tail(names::stem(name), depth) else { continue };
                    if let Some(free) = ends.entry(end).or_default().iter_mut().find(|b| b.is_none()) {
                        *free = Some(k);
                    }
                }
            }
            ends
        });
        of_depth.get(end).copied().unwrap_or_default()
    }
}

/// The last `depth` parts of a path.
fn tail(path: &str, depth: usize) -> Option<&str> {
    let mut starts = path.rmatch_indices('/').map(|(i, _)| i + 1);
    match starts.nth(depth - 1) {
        Some(start) => Some(&path[start..]),
        None => (path.split('/').count() == depth).then_some(path),
    }
}
