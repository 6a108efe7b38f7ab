//! Landmarks of a whole set from a list.

mod ends;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use lfs_faces::dataset::Points;
use lfs_formats::landmarks::list;
use lfs_stage::{Failure, Result};
use unicode_normalization::UnicodeNormalization;

use crate::left_out::{LeftOut, some};
use crate::planned::Planned;
use crate::tree::Tree;
use ends::{Ends, Found};

/// The lines of a landmark list; a line has no points if a detector found no face.
pub(crate) type Entries = Vec<(String, Option<Points>)>;

/// Names of the parts of a set that have separate folders in a list of the whole set.
const PARTS: [&str; 7] = ["train", "training", "val", "valid", "validation", "test", "testing"];

/// Reads a landmark list.
pub(crate) fn read(text: &str, what: &str) -> Result<Entries> {
    list::read_all(text).map_err(|e| Failure::new(format!("{what}: {e}")))
}

/// A line that matches a face.
struct Line<'a> {
    path: &'a str,
    /// The part of the path before the name of the face.
    before: &'a str,
    exact: bool,
    points: Option<Points>,
}

/// Assigns each face its points from a list, by the end of the path in the list: `/data/lfw/A/A_0001.jpg` matches the face
/// `A/A_0001.jpg`, and so does `A_0001.jpg` if no other face has this name. The file extension in the list may differ from that of
/// the image, unless a file with the extension in the list exists. If several lines match a face, those with its exact name take
/// precedence, and among these those whose path agrees best with `within`, the folder of the faces in the source.
///
/// Faces without a line get no points.
pub(crate) fn assign(
    faces: &mut [Planned],
    entries: &Entries,
    what: &str,
    tree: &Tree,
    left_out: &mut LeftOut,
) -> Result<()> {
    let names: Vec<Cow<'_, str>> = faces.iter().map(|f| composed(&f.name)).collect();
    let passed_over: BTreeSet<String> = left_out.files().map(|f| composed(f).into_owned()).collect();
    let index = Ends::new(&names, &passed_over);
    let mut lines: BTreeMap<usize, Vec<Line<'_>>> = BTreeMap::new();
    let mut strangers = Vec::new();
    for (path, points) in entries {
        let found = index.find(path).map_err(|both| {
            Failure::new(format!(
                "{what}: the line of `{path}` fits several images, `{}` and `{}`",
                both[0], both[1]
            ))
            .help("write enough of each path in the list to distinguish the images, endings included")
        })?;
        let Some(Found { face, exact, parts }) = found else {
            strangers.push(format!("`{path}`"));
            continue;
        };
        let line = Line { path, before: before(path, parts), exact, points: *points };
        lines.entry(face).or_default().push(line);
    }
    if lines.is_empty() && !faces.is_empty() {
        let listed = entries.first().map_or("nothing", |e| e.0.as_str());
        return Err(Failure::new(format!(
            "{what} has no line for any of the {} images: it lists `{listed}`, the first image is `{}`",
            faces.len(),
            faces[0].name
        ))
        .help("give the landmark list of this set, with paths that end as the images' names do"));
    }
    let mut given: BTreeMap<usize, Option<Points>> = BTreeMap::new();
    let within = tree.within();
    let (mut elsewhere, mut perhaps) = (Vec::new(), Vec::new());
    for (face, lines) in lines {
        let chosen = choose(&faces[face].name, lines, what, within, &mut strangers)?;
        if contradicts(chosen.before, within) {
            elsewhere.push(format!("`{}`", chosen.path));
        } else if contradicts(chosen.before, tree.source()) {
            perhaps.push(format!("`{}`", chosen.path));
        }
        given.insert(face, chosen.points);
    }
    for line in &strangers {
        left_out.row(line.trim_matches('`'), "a line of landmarks that fits no image");
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
    if !elsewhere.is_empty() {
        left_out.other(
            "landmark-lines-of-another-part",
            format!(
                "{} images have their landmarks from lines of {what} that name another part of the set than `{}`, where the images \
                 are: {}",
                elsewhere.len(),
                within.unwrap_or_default(),
                some(&elsewhere)
            ),
        );
    }
    if let (false, Some(source)) = (perhaps.is_empty(), tree.source()) {
        left_out.say(format!(
            "{} images have their landmarks from lines of {what} that name another part of the set than the source, which is called \
             `{source}`: {}",
            perhaps.len(),
            some(&perhaps)
        ));
    }
    let undetected = given.values().filter(|p| p.is_none()).count();
    if undetected > 0 {
        left_out.other(
            "landmark-lines-without-points",
            format!("{undetected} images have a line in {what} that says that no face was found"),
        );
    }
    for (k, face) in faces.iter_mut().enumerate() {
        face.points = given.get(&k).copied().flatten();
    }
    Ok(())
}

/// The line of a face; the paths of the other lines, which belong to other images, are added to `strangers`.
fn choose<'a>(
    face: &str,
    mut lines: Vec<Line<'a>>,
    what: &str,
    within: Option<&str>,
    strangers: &mut Vec<String>,
) -> Result<Line<'a>> {
    let exact = lines.iter().any(|l| l.exact);
    let best =
        lines.iter().filter(|l| l.exact == exact).map(|l| agreement(l.before, within)).max().unwrap_or(0);
    lines.retain(|line| {
        let kept = line.exact == exact && agreement(line.before, within) == best;
        if !kept {
            strangers.push(format!("`{}`", line.path));
        }
        kept
    });
    let chosen = lines.swap_remove(0);
    if let Some(other) = lines.iter().find(|l| l.points != chosen.points) {
        return Err(Failure::new(format!(
            "{what} has two different lines for `{face}`: `{}` and `{}`",
            chosen.path, other.path
        ))
        .help(
            "leave the line that is meant; where the list is one for several parts of a set, give the folder of all parts as the source \
             and the part as `within`",
        ));
    }
    Ok(chosen)
}

/// The path without its last parts.
fn before(path: &str, parts: usize) -> &str {
    path.rmatch_indices('/').nth(parts.saturating_sub(1)).map_or("", |(i, _)| &path[..i])
}

/// The number of equal last parts of two folders.
fn agreement(before: &str, within: Option<&str>) -> usize {
    let within = within.unwrap_or_default();
    before.rsplit('/').zip(within.rsplit('/')).take_while(|(a, b)| a == b && !a.is_empty()).count()
}

/// Whether a path names another part of a set than the one that contains the images.
fn contradicts(before: &str, within: Option<&str>) -> bool {
    let part = |path: &str| path.rsplit('/').map(str::to_lowercase).find(|p| PARTS.contains(&p.as_str()));
    // `train` and `training` are the same part.
    let same = |a: &str, b: &str| a.starts_with(&b[..b.len().min(3)]);
    match (part(before), within.and_then(part)) {
        (Some(a), Some(b)) => !same(&a, &b),
        _ => false,
    }
}

/// Normalises a path for comparison: letters are composed, so that both encodings of an accent are equal.
pub(crate) fn composed(path: &str) -> Cow<'_, str> {
    if path.is_ascii() { Cow::Borrowed(path) } else { Cow::Owned(path.nfc().collect()) }
}
