//! Imports data: folders, files and archives, with digest pins.
//!
//! A set is read in the layout in which its authors distribute it ([`Layout`]). Images are copied unchanged; `clean` checks whether
//! they can be decoded.
//!
//! Skipped entries are counted and reported in a warning and in the notes of `dataset.json`, and listed in a file: files whose
//! extension is not that of an image, folders of persons without an image, lines of a landmark list that match no image. Hidden
//! files, `__MACOSX`, `Thumbs.db` and similar files are ignored everywhere. If a list has another extension than the file, the
//! image gets the name in the list.

mod archive;
mod container;
mod landmarks;
mod layout;
mod left_out;
mod options;
mod pins;
mod planned;
mod run;
mod tree;

use lfs_stage::{Context, Cpu, Input, Output, Result, Source, Stage};

pub use options::{Colours, Index, Layout, Options};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The kind `acquire`.
pub struct Acquire;

impl Stage for Acquire {
    const KIND: &'static str = "acquire";
    const SUMMARY: &'static str =
        "Brings a data set in from a folder, an archive or a container, in the set's own layout";
    const CODE: &'static [&'static [Source]] =
        &[lfs_faces::SOURCE, lfs_formats::SOURCE, lfs_rows::SOURCE, SOURCE];
    const INPUTS: &'static [Input] = &[
        lfs_stage::one(
            "source",
            "a folder, an archive (.zip, .tar, .tar.gz), a container of images or one image",
        ),
        lfs_stage::optional(
            "landmarks",
            "a list, a line `path x1 y1 .. x5 y5` an image, in pixels of the picture as it is seen; instead of the set's own landmarks",
        ),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output { name: "dataset", path: "dataset", about: "the faces, images unchanged" },
        Output { name: "lists", path: "lists", about: "the set's protocol files, unchanged" },
        Output {
            name: "report",
            path: "report",
            about: "passed-over.csv: a row with a reason for everything that was found and not taken",
        },
    ];
    type Params = Options;

    fn cpu() -> Cpu {
        Cpu::All
    }

    fn check(options: &Options) -> Result<()> {
        options.check()
    }

    fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
        run::run(options, cx)
    }
}

#[cfg(test)]
mod tests;
