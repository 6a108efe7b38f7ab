//! The layouts: what is an image, whose, with which landmarks, and which files are the protocol.

mod agedb;
mod cfp;
mod flat;
mod folders;
mod megaface;
mod rfw;
mod trillion;

use std::collections::HashSet;

use lfs_stage::{Failure, Result};

use crate::options::Layout;
use crate::planned::Planned;
use crate::tree::Tree;

/// What a layout found.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) faces: Vec<Planned>,
    /// Protocol files, relative to the root of the source.
    pub(crate) lists: Vec<String>,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

/// Reads a source's layout. `own_landmarks`: whether the set's own landmarks are wanted.
pub(crate) fn plan(layout: Layout, tree: &Tree, own_landmarks: bool) -> Result<Plan> {
    let mut plan = match layout {
        Layout::Folders => folders::plan(tree, None, own_landmarks),
        Layout::Lfw => folders::plan(tree, Some(folders::LFW), own_landmarks),
        Layout::Sllfw => folders::plan(tree, Some(folders::SLLFW), own_landmarks),
        Layout::Calfw => flat::plan(tree, &flat::CALFW, own_landmarks),
        Layout::Cplfw => flat::plan(tree, &flat::CPLFW, own_landmarks),
        Layout::Agedb => agedb::plan(tree, own_landmarks),
        Layout::Cfp => cfp::plan(tree, own_landmarks),
        Layout::Rfw => rfw::plan(tree, own_landmarks),
        Layout::Megaface => megaface::plan(tree, own_landmarks),
        Layout::TrillionPairs => trillion::plan(tree, own_landmarks),
    }?;
    if plan.faces.is_empty() {
        return Err(Failure::new("the source holds no image where this layout has them")
            .help(format!("it holds at its top: {}; is `layout` right, is `within` needed?", tree.top())));
    }
    plan.faces.sort_by(|a, b| a.name.cmp(&b.name));
    plan.lists.sort();
    Ok(plan)
}

/// The images that there are, to hold lists against.
struct Known<'a> {
    names: HashSet<&'a str>,
}

impl<'a> Known<'a> {
    fn new(faces: &'a [Planned]) -> Self {
        Self { names: faces.iter().map(|f| f.name.as_str()).collect() }
    }

    /// Refuses a name that there is no image for.
    fn need(&self, name: &str, list: &str, line: impl std::fmt::Display) -> Result<()> {
        if self.names.contains(name) {
            return Ok(());
        }
        Err(Failure::new(format!("{list}, {line}: the image `{name}` is missing"))
            .help("the list and the images must be of the same set, and the set complete"))
    }
}

/// The lines of a list that hold something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(n, l)| (n + 1, l.trim())).filter(|(_, l)| !l.is_empty())
}

/// A message about a line of a list.
fn off(list: &str, line: usize, expected: &str, found: &str) -> Failure {
    let found: String = found.chars().take(80).collect();
    Failure::new(format!("{list}, line {line}: expected {expected}, found `{found}`"))
}

/// Puts the landmark file before the message.
fn landmark_failure(file: &str) -> impl Fn(lfs_faces::DataError) -> Failure + '_ {
    move |e| Failure::new(format!("{file}: {e}"))
}
