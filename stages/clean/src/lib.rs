//! Drops what cannot be used, and says why of every image.

pub mod decisions;
pub mod hash;
mod judge;
mod options;
mod report;
mod run;

use lfs_stage::{Context, Cpu, Input, Output, Result, Source, Stage};

pub use options::{Near, Options};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The kind `clean`.
pub struct Clean;

impl Stage for Clean {
    const KIND: &'static str = "clean";
    const SUMMARY: &'static str =
        "Drops unreadable, small and duplicate images and identities with too few, each with its reason";
    const CODE: &'static [&'static [Source]] = &[lfs_faces::SOURCE, SOURCE];
    const INPUTS: &'static [Input] = &[lfs_stage::one("dataset", "faces")];
    const OUTPUTS: &'static [Output] = &[
        Output {
            name: "dataset",
            path: "dataset",
            about: "the faces that are kept; identities without any are gone",
        },
        Output {
            name: "report",
            path: "report",
            about: "dropped.csv: a row with a reason for every dropped image; across.csv: near duplicates under two identities; summary.json",
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
