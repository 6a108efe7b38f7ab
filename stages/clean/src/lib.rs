//! Drops unusable images, and gives the reason for each.

mod apply;
pub mod decisions;
pub mod hash;
mod judge;
mod labels;
mod listing;
mod near;
mod options;
mod report;
mod review;
mod run;
pub mod search;
mod sharpness;

use lfs_stage::{Context, Cpu, Failure, Input, Output, Result, Source, Stage};

pub use options::{Blur, Few, Labels, Near, Options, Strangers};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The kind `clean`.
pub struct Clean;

impl Stage for Clean {
    const KIND: &'static str = "clean";
    const SUMMARY: &'static str = "Drops unreadable, small, duplicate and wrongly labelled images and identities with too few, each with its reason";
    const CODE: &'static [&'static [Source]] =
        &[lfs_faces::SOURCE, lfs_formats::SOURCE, lfs_products::SOURCE, lfs_rows::SOURCE, SOURCE];
    const INPUTS: &'static [Input] = &[
        lfs_stage::one("dataset", "faces"),
        lfs_stage::optional(
            "embeddings",
            "turns on the judging of labels: embeddings of these very faces, from an embed stage or an .npy file",
        ),
        lfs_stage::optional("decisions", "what a person decided on the review page: name,other,decision"),
        lfs_stage::optional("truth", "who is in each image, to score the judging: name,identity"),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output {
            name: "dataset",
            path: "dataset",
            about: "the faces that are kept; identities without any are removed",
        },
        Output {
            name: "report",
            path: "report",
            about: "dropped.csv: a row with a reason for every dropped image; across.csv: near duplicates under two identities; summary.json; rows.jsonl: what was seen in each image, for a later run to take over; with embeddings labels.csv, a score and a reason for every image, and review.html",
        },
    ];
    // The measurements of an image depend on nothing but the image and its landmarks.
    const BY_ROW: &'static [&'static str] = &["dataset", "embeddings", "decisions", "truth"];
    type Params = Options;

    fn cpu() -> Cpu {
        Cpu::All
    }

    fn check(options: &Options) -> Result<()> {
        if !(-1.0..=1.0).contains(&options.near_cosine) {
            return Err(Failure::new(format!(
                "near-cosine is {}, but must be from -1 to 1",
                options.near_cosine
            )));
        }
        if !(0.05..=0.999).contains(&options.sure) {
            return Err(Failure::new(format!("sure is {}, but must be from 0.05 to 0.999", options.sure)));
        }
        Ok(())
    }

    fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
        run::run(options, cx)
    }
}

#[cfg(test)]
mod tests;
