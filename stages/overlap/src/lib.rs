//! Removes identities that training and test sets share.

mod matching;
pub mod names;
mod options;
mod run;

use lfs_stage::{Context, Input, Output, Result, Source, Stage};

pub use options::{Ids, Options, Policy};

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
            about: "matches.csv: a row for every shared identity; summary.json",
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
