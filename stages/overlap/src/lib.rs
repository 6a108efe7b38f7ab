//! Removes identities shared by training and test sets.
//!
//! `matches.csv` has a row for each of them; its column `how` describes how the two names differ. Subject to
//! the policy, the following are removed: `same id`, `same name`, `same name, other spelling` (accents and
//! the letters that replace them), `same words, other order` (also with a comma),
//! `same name, written together`, `same first and last name` (one with middle names) and, unless
//! `initials = "list"`, `initials`. A `near miss` is listed for the user to decide and is never removed:
//! names that differ by one letter, in either order of the words, or by `Jr.` and the like.
//!
//! With embeddings of both sides, identities are also matched by their faces ([`threshold`] derives the
//! required similarity). Published lists of removed ids are further evidence. A row of `matches.csv` gives
//! all its evidence. Open cases are listed in `review.csv` and on the page `review.html`. The user's
//! decisions there are the input `decisions`, and override everything else.

mod centres;
mod certificate;
mod evidence;
mod faces;
mod lists;
mod matching;
pub mod names;
mod nearest;
mod options;
mod report;
mod review;
mod run;
pub mod threshold;

use lfs_stage::{Context, Cpu, Input, Output, Result, Source, Stage};

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
        "Finds identities that training and test sets share, by name, id and face, and removes them";
    const CODE: &'static [&'static [Source]] = &[lfs_faces::SOURCE, lfs_formats::SOURCE, SOURCE];
    const INPUTS: &'static [Input] = &[
        lfs_stage::one("dataset", "the training set"),
        lfs_stage::several("tests", "the test sets"),
        lfs_stage::optional("embeddings", "embeddings of the training set, to match faces"),
        lfs_stage::any(
            "test-embeddings",
            "embeddings of the test sets by the same model, by label `set`, else in the order of `tests`",
        ),
        lfs_stage::any("names", "text files of lines `id name`: names of identities that are ids"),
        lfs_stage::any(
            "lists",
            "published lists of shared training identities, one a line; the label `set` says with which test set",
        ),
        lfs_stage::optional(
            "decisions",
            "what a person decided: review.csv, filled in, or as review.html saves it",
        ),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output { name: "dataset", path: "dataset", about: "the training set, after the policy" },
        Output {
            name: "matches",
            path: "matches",
            about: "matches.csv: a row for every shared identity and every near miss with all evidence; review.csv and review.html: what a person must decide; certificate.json; summary.json",
        },
        Output {
            name: "tests",
            path: "tests",
            about: "the test sets, after the policy: a folder each, named by its label `set`",
        },
        Output {
            name: "moved",
            path: "moved",
            about: "the images of shared identities with `policy = \"move\"`; else no images",
        },
    ];
    type Params = Options;

    fn cpu() -> Cpu {
        Cpu::All
    }

    fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
        run::run(options, cx)
    }
}

#[cfg(test)]
mod tests;
