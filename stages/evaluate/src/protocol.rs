//! The protocols of the test sets, and of lists of one's own: from a set's own list files to pairs and folds, to templates, or to
//! probes, gallery and distractors. Each has its own file, whose documentation describes the format.

mod agedb;
mod calfw;
mod cfp;
mod cplfw;
mod gallery;
mod ijb;
mod labelled;
mod lfw;
mod megaface;
mod named;
mod pairs;
mod rfw;
mod sllfw;
mod tinyface;
mod trillion_pairs;
mod xqlfw;

use lfs_faces::TestSet;
use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::lists::Lists;
use crate::rows::{self, Rows};

/// A pair of a verification protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The first image, as the list names it.
    pub a: String,
    /// The second image.
    pub b: String,
    /// Whether both show the same person.
    pub same: bool,
    /// The fold, from 0.
    pub fold: u32,
}

/// The pairs of one group (RFW).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The group's name: `African`.
    pub name: String,
    /// Its pairs.
    pub pairs: Vec<Pair>,
}

/// Probes of known identity, and a gallery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// Probe images with their identity.
    pub probes: Vec<(String, i64)>,
    /// Gallery images with their identity; -1 for a distractor.
    pub gallery: Vec<(String, i64)>,
    /// The number of noisy probes removed by the protocol's own list.
    pub noisy_probes: usize,
    /// The number of noisy distractors removed by the protocol's own list.
    pub noisy_distractors: usize,
}

/// Probes, and galleries that are searched one by one: images with their identity, -1 for a distractor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Searches {
    /// The probes.
    pub probes: Vec<(String, i64)>,
    /// The galleries.
    pub galleries: Vec<Vec<(String, i64)>>,
}

/// An image of a template.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The image.
    pub image: String,
    /// The index of its template in [`Templates::names`].
    pub template: u32,
    /// The photograph or video that it is from.
    pub media: i64,
    /// The score of the face detector; 1 if there is no list of scores.
    pub score: f64,
}

/// Templates, each a set of images of one person, with the pairs and searches that are made with them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Templates {
    /// The numbers of the templates in the lists.
    pub names: Vec<i64>,
    /// Their images.
    pub members: Vec<Member>,
    /// Whether there is a list of detector scores.
    pub scored: bool,
    /// Pairs of templates, by index, and whether they show one person.
    pub pairs: Vec<(u32, u32, bool)>,
    /// Searches, if there are lists of them.
    pub searches: Option<TemplateSearches>,
}

/// Searches with templates: by index, with the subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateSearches {
    /// The probes.
    pub probes: Vec<(u32, i64)>,
    /// The galleries.
    pub galleries: Vec<Vec<(u32, i64)>>,
}

/// The task of a set, with the reader of its lists.
#[derive(Clone, Copy)]
pub enum Task {
    /// Pairs in folds.
    Verification(fn(&Lists) -> Result<Vec<Pair>>),
    /// Pairs in folds, for several sets.
    Bundle(fn(&Lists) -> Result<Vec<Group>>),
    /// Pairs in folds for each group.
    Groups(fn(&Lists) -> Result<Vec<Group>>),
    /// Mates among the probes, against distractors: rank and verification. The argument is the number of
    /// distractors (0 = all).
    Distractors(fn(&Lists, u64) -> Result<Search>),
    /// All probe x gallery pairs: open-set identification and verification.
    AllPairs(fn(&Lists) -> Result<Search>),
    /// Probes against galleries: ranks and open-set identification. The rows are the images that were embedded.
    Identification(fn(&Lists, &Rows) -> Result<Searches>),
    /// Pairs of templates, and searches with them.
    Templates(fn(&Lists) -> Result<Templates>),
}

/// The person of an image of a set, by its name, for embeddings that come without a data set.
pub fn person(set: TestSet, image: &str) -> String {
    match set {
        TestSet::Agedb => agedb::person(image),
        TestSet::Cfp => cfp::person(image),
        TestSet::Calfw | TestSet::Cplfw => rows::by_file(image),
        TestSet::Tinyface => tinyface::person(image),
        _ => rows::person(image),
    }
}

/// The pairs of CFP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Split {
    /// Frontal against profile.
    #[default]
    #[serde(rename = "FP")]
    Fp,
    /// Frontal against frontal.
    #[serde(rename = "FF")]
    Ff,
}

/// The task of each set.
pub fn task(set: TestSet, split: Split) -> Task {
    match (set, split) {
        (TestSet::Lfw, _) => Task::Verification(lfw::read),
        (TestSet::Sllfw, _) => Task::Verification(sllfw::read),
        (TestSet::Calfw, _) => Task::Verification(calfw::read),
        (TestSet::Cplfw, _) => Task::Verification(cplfw::read),
        (TestSet::Agedb, _) => Task::Verification(agedb::read),
        (TestSet::Cfp, Split::Fp) => Task::Verification(cfp::read_fp),
        (TestSet::Cfp, Split::Ff) => Task::Verification(cfp::read_ff),
        (TestSet::Rfw, _) => Task::Groups(rfw::read),
        (TestSet::Megaface, _) => Task::Distractors(megaface::read),
        (TestSet::TrillionPairs, _) => Task::AllPairs(trillion_pairs::read),
        (TestSet::Xqlfw, _) => Task::Verification(xqlfw::read),
        (TestSet::IjbB, _) => Task::Templates(ijb::read_b),
        (TestSet::IjbC, _) => Task::Templates(ijb::read_c),
        (TestSet::Tinyface, _) => Task::Identification(tinyface::read),
        (TestSet::Pairs, _) => Task::Bundle(pairs::read),
        (TestSet::Gallery, _) => Task::Identification(gallery::read),
    }
}

/// Puts the k-th part of the pairs of one person, and the k-th of the others, in the order of the list, into fold k.
fn in_folds(pairs: &mut [Pair], folds: usize) {
    let total = |same| pairs.iter().filter(|p| p.same == same).count();
    let totals = [total(false), total(true)];
    let mut seen = [0; 2];
    for pair in pairs {
        let label = usize::from(pair.same);
        pair.fold = (seen[label] * folds / totals[label]) as u32;
        seen[label] += 1;
    }
}

/// Checks what every pair protocol guarantees: at least two folds, each with as many same as different pairs.
fn balanced(file: &str, pairs: Vec<Pair>) -> Result<Vec<Pair>> {
    let folds = pairs.iter().map(|p| p.fold + 1).max().unwrap_or(0);
    if folds == 0 {
        return Err(Failure::new(format!("{file}: no pairs")));
    }
    for fold in 0..folds {
        let of = |same| pairs.iter().filter(|p| p.fold == fold && p.same == same).count();
        let (same, different) = (of(true), of(false));
        if same != different || same == 0 {
            return Err(Failure::new(format!(
                "{file}: fold {} has {same} pairs of one person and {different} of two; expected as many of each",
                fold + 1
            ))
            .help("the order of the list is not the one that this protocol is read by"));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests;
