//! Removes identities that training and test sets share.
//!
//! `matches.csv` has a row for each, whose column `how` says how the two names differ. Removed, as the policy says, are `same id`,
//! `same name`, `same name, other spelling` (accents and the letters that stand for them), `same words, other order` (also with a
//! comma), `same name, written together`, `same first and last name` (one with middle names) and, unless `initials = "list"`,
//! `initials`. A `near miss` is listed for a person to decide and never removed: names that are one letter apart, in either order of
//! the words, or apart by `Jr.` and the like.

mod matching;
pub mod names;
mod options;
mod run;

use lfs_stage::{Context, Input, Output, Result, Source, Stage};

pub use options::{Ids, Initials, Options, Policy};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The kind `overlap`.
pub struct Overlap;

impl Stage for Overlap {
    const KIND: &'static str = "overlap";
    const SUMMARY: &'static str =
        "Finds identities that training and test sets share, by name and by id, and removes them";
    const CODE: &'static [&'static [Source]] = &[lfs_faces::SOURCE, SOURCE];
    const INPUTS: &'static [Input] =
        &[lfs_stage::one("dataset", "the training set"), lfs_stage::several("tests", "the test sets")];
    const OUTPUTS: &'static [Output] = &[
        Output { name: "dataset", path: "dataset", about: "the training set, after the policy" },
        Output {
            name: "matches",
            path: "matches",
            about: "matches.csv: a row for every shared identity and every near miss, and how the names differ; summary.json",
        },
        Output {
            name: "tests",
            path: "tests",
            about: "the test sets, after the policy: a folder each, named by its label `set`",
        },
    ];
    type Params = Options;

    fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
        run::run(options, cx)
    }
}

#[cfg(test)]
mod tests;
