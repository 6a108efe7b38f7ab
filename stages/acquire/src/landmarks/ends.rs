//! Which image a path means.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use lfs_formats::names;

use super::composed;

/// The two first of the faces that something means.
type Two = [Option<usize>; 2];

/// Faces by the last parts of their names without endings.
type Stems<'a> = HashMap<&'a str, Two>;

/// A face that a path means.
pub(super) struct Found {
    pub(super) face: usize,
    /// Whether the path writes the face's name as it is.
    pub(super) exact: bool,
    /// How many parts of the path are the name.
    pub(super) parts: usize,
}

/// Faces by the ends of their names.
pub(super) struct Ends<'a> {
    names: &'a [Cow<'a, str>],
    /// Files that are there and are no faces.
    passed_over: &'a BTreeSet<String>,
    whole: HashMap<&'a str, usize>,
    depths: BTreeSet<usize>,
    /// By number of parts, and whether names have so many or more: faces by the last parts of their names without endings. Made
    /// when a list first asks for them.
    stems: RefCell<BTreeMap<(usize, bool), Stems<'a>>>,
}

impl<'a> Ends<'a> {
    pub(super) fn new(names: &'a [Cow<'a, str>], passed_over: &'a BTreeSet<String>) -> Self {
        let whole = names.iter().enumerate().map(|(k, n)| (&**n, k)).collect();
        let depths = names.iter().map(|n| n.split('/').count()).collect();
        Self { names, passed_over, whole, depths, stems: RefCell::default() }
    }

    /// The face that a path means; an error with two names where it may mean several.
    pub(super) fn find(&self, path: &str) -> Result<Option<Found>, [String; 2]> {
        let path = composed(path);
        let ends = || self.depths.iter().rev().filter_map(|&d| Some((d, tail(&path, d)?)));
        if let Some((parts, face)) = ends().find_map(|(d, end)| Some((d, *self.whole.get(end)?))) {
            return Ok(Some(Found { face, exact: true, parts }));
        }
        // What names a file that is there is of that file, not of its neighbour with another ending.
        let all = (1..=path.split('/').count()).filter_map(|d| tail(&path, d));
        if all.into_iter().any(|end| self.passed_over.contains(end)) {
            return Ok(None);
        }
        let stem = names::stem(&path);
        if let Some(found) = self.by_stem(stem)? {
            return Ok(Some(found));
        }
        // Another ending than an image's: `1.npy`.
        match stem.rsplit_once('.') {
            Some((shorter, ending)) if stem == path && !ending.contains('/') => self.by_stem(shorter),
            _ => Ok(None),
        }
    }

    fn by_stem(&self, stem: &str) -> Result<Option<Found>, [String; 2]> {
        let parts = stem.split('/').count();
        let by_name = self.depths.iter().rev().filter(|d| **d <= parts).map(|&d| (d, false));
        // A path that is shorter than names are means the one face whose name ends so.
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
