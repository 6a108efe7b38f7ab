//! Aligns faces by a similarity transform of five landmarks.
//!
//! For each face: the similarity transform that fits its landmarks best to the template ([`transform`]), the picture warped by it
//! ([`warp`]), the crop encoded. Before that, a sample is checked ([`preflight`]): landmarks of another variant of the data set
//! cost accuracy without any other sign.

mod options;
pub mod preflight;
mod report;
mod run;
mod taken_over;
pub mod template;
pub mod transform;
pub mod warp;

use lfs_stage::{Context, Cpu, Input, Output, Result, Source, Stage};

pub use options::{Check, Encoding, Options, Unreadable, WithoutLandmarks};
pub use run::crop;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The kind `align`.
pub struct Align;

impl Stage for Align {
    const KIND: &'static str = "align";
    const SUMMARY: &'static str = "Crops faces by a similarity transform of five points";
    const CODE: &'static [&'static [Source]] = &[lfs_faces::SOURCE, lfs_rows::SOURCE, SOURCE];
    const INPUTS: &'static [Input] = &[lfs_stage::one("dataset", "faces with landmarks")];
    const OUTPUTS: &'static [Output] = &[
        Output { name: "dataset", path: "dataset", about: "the crops" },
        Output {
            name: "report",
            path: "report",
            about: "residuals.json: how well the landmarks fit; dropped.csv: a row with a reason for every image left out; rows.jsonl: what \
                    was made of each image, for a later run to take over",
        },
    ];
    const BY_ROW: &'static [&'static str] = &["dataset"];
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
