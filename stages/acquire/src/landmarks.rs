//! Landmarks of a whole set, from a list.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use lfs_faces::dataset::Points;
use lfs_formats::landmarks::list;
use lfs_formats::names;
use lfs_stage::{Failure, Result};
use unicode_normalization::UnicodeNormalization;

use crate::left_out::{LeftOut, some};
use crate::planned::Planned;

/// The lines of a landmark list.
pub(crate) type Entries = Vec<(String, Points)>;

/// Reads a landmark list.
pub(crate) fn read(text: &str, what: &str) -> Result<Entries> {
    list::read(text).map_err(|e| Failure::new(format!("{what}: {e}")))
}

/// Gives every face its points from a list, by the end of the path that the list writes: `/data/lfw/A/A_0001.jpg` is the face
/// `A/A_0001.jpg`, and so is `A_0001.jpg` where no other face is called so. An image may have another ending than the list writes.
/// Faces that the list does not have get none.
pub(crate) fn assign(
    faces: &mut [Planned],
    entries: &Entries,
    what: &str,
    left_out: &mut LeftOut,
) -> Result<()> {
    let names: Vec<Cow<'_, str>> = faces.iter().map(|f| composed(&f.name)).collect();
    let index = Ends::new(&names);
    let mut given: HashMap<usize, Points> = HashMap::new();
    let mut strangers = Vec::new();
    for (path, points) in entries {
        let found = index.find(path).map_err(|both| {
            Failure::new(format!(
                "{what}: the line of `{path}` fits several images, `{}` and `{}`",
                both[0], both[1]
            ))
            .help("write the paths in the list as far as they tell the images apart, endings included")
        })?;
        let Some(face) = found else {
            strangers.push(format!("`{path}`"));
            continue;
        };
        if given.insert(face, *points).is_some_and(|p| p != *points) {
            return Err(Failure::new(format!("{what} has two different lines for `{}`", faces[face].name)));
        }
    }
    if given.is_empty() && !faces.is_empty() {
        let listed = entries.first().map_or("nothing", |e| e.0.as_str());
        return Err(Failure::new(format!(
            "{what} has no line for any of the {} images: it lists `{listed}`, the first image is `{}`",
            faces.len(),
            faces[0].name
        ))
        .help("give the landmark list of this set, with paths that end as the images' names do"));
    }
    if !strangers.is_empty() {
        left_out.other(
            "landmark-lines-without-image",
            format!(
                "{} of {} lines of {what} fit no image: {}",
                strangers.len(),
                entries.len(),
                some(&strangers)
            ),
        );
    }
    for (k, face) in faces.iter_mut().enumerate() {
        face.points = given.get(&k).copied();
    }
    Ok(())
}

/// How a path is compared: composed letters, so that the two ways to write an accent are one.
pub(crate) fn composed(path: &str) -> Cow<'_, str> {
    if path.is_ascii() { Cow::Borrowed(path) } else { Cow::Owned(path.nfc().collect()) }
}

/// The two first of the faces that something means.
type Two = [Option<usize>; 2];

/// Faces by the last parts of their names without endings.
type Stems<'a> = HashMap<&'a str, Two>;

/// Faces by the ends of their names.
struct Ends<'a> {
    names: &'a [Cow<'a, str>],
    whole: HashMap<&'a str, usize>,
    depths: BTreeSet<usize>,
    /// By number of parts, and whether names have so many or more: faces by the last parts of their names without endings. Made
    /// when a list first asks for them.
    stems: RefCell<BTreeMap<(usize, bool), Stems<'a>>>,
}

impl<'a> Ends<'a> {
    fn new(names: &'a [Cow<'a, str>]) -> Self {
        let whole = names.iter().enumerate().map(|(k, n)| (&**n, k)).collect();
        let depths = names.iter().map(|n| n.split('/').count()).collect();
        Self { names, whole, depths, stems: RefCell::default() }
    }

    /// The face that a path means; an error with two names where it may mean several.
    fn find(&self, path: &str) -> Result<Option<usize>, [String; 2]> {
        let path = composed(path);
        let deepest_first = || self.depths.iter().rev();
        if let Some(k) = deepest_first().filter_map(|&d| tail(&path, d)).find_map(|end| self.whole.get(end)) {
            return Ok(Some(*k));
        }
        let stem = names::stem(&path);
        let parts = stem.split('/').count();
        let by_name = deepest_first().filter(|d| **d <= parts).map(|&d| (d, false));
        // A path that is shorter than names are means the one face whose name ends so.
        for (depth, deeper) in by_name.chain([(parts, true)]) {
            match tail(stem, depth).map(|end| self.stem(depth, deeper, end)).unwrap_or_default() {
                [Some(a), Some(b)] => return Err([a, b].map(|k| self.names[k].to_string())),
                [Some(k), None] => return Ok(Some(k)),
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
