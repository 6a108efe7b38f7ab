//! Draws contact sheets: one HTML page of small pictures, to see what a stage did to a data set.
//!
//! - [`sections`]: which images are shown, and beside which others. [`gallery`]: the pictures, within a limit of bytes.
//!   [`page`]: the HTML.

mod gallery;
mod page;
mod sections;

use std::path::{Path, PathBuf};

use lfs_faces::dataset::Dataset;
use lfs_formats::names::set_folder;
use lfs_stage::{Context, Failure, Input, IoContext, Output, Result, Source, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use gallery::Gallery;
use sections::Section;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The kind `sheet`.
pub struct Sheet;

/// The parameters of kind `sheet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Params {
    /// How many images each section shows at most, evenly spread over all of them.
    #[schemars(range(min = 1, max = 2000))]
    pub images: usize,
    /// The longer side of a picture, in pixels.
    #[schemars(range(min = 16, max = 512))]
    pub side: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self { images: 60, side: 96 }
    }
}

impl Stage for Sheet {
    const KIND: &'static str = "sheet";
    const SUMMARY: &'static str = "Draws a contact sheet: crops beside their images, dropped images beside their pair, persons that two sets share";
    const CODE: &'static [&'static [Source]] = &[lfs_faces::SOURCE, lfs_formats::SOURCE, SOURCE];
    const INPUTS: &'static [Input] = &[
        lfs_stage::one("dataset", "the faces"),
        lfs_stage::optional(
            "source",
            "the faces that `dataset` was cropped from: each crop is shown beside its image",
        ),
        lfs_stage::optional(
            "report",
            "the report of a clean or align stage that read `dataset`: the dropped images are shown, by reason, duplicates beside the image that was kept",
        ),
        lfs_stage::optional(
            "matches",
            "the matches of an overlap stage that read `dataset`: persons in both sets are shown side by side; needs `tests`",
        ),
        lfs_stage::any("tests", "the test sets of `matches`, by label `set`"),
    ];
    const OUTPUTS: &'static [Output] = &[Output {
        name: "page",
        path: "sheet.html",
        about: "one HTML page that needs nothing else, at most 10 MB",
    }];
    type Params = Params;

    fn run(params: &Params, cx: &mut Context<'_>) -> Result<()> {
        let faces = open(cx.input("dataset")?)?;
        let mut gallery = Gallery::new(params.side);
        let report = cx.input_opt("report")?.map(|folder| folder.join("dropped.csv"));
        let matches = cx.input_opt("matches")?.map(|folder| folder.join("matches.csv"));
        let sections = match (report, matches) {
            (None, None) => {
                let source = cx.input_opt("source")?.map(open).transpose()?;
                vec![sections::images(params, &faces, source.as_ref(), &mut gallery)]
            }
            (report, matches) => {
                let mut all = match report {
                    Some(file) => sections::dropped(params, &faces, &file, &mut gallery)?,
                    None => Vec::new(),
                };
                if let Some(file) = matches {
                    let tests = tests(cx)?;
                    all.push(sections::shared(params, &faces, &tests, &file, &mut gallery)?);
                }
                all
            }
        };
        let shown: usize = sections.iter().map(Section::shown).sum();
        let total: usize = sections.iter().map(|section| section.total).sum();
        cx.note(format!("{shown} of {total} are shown"));
        let path: PathBuf = cx.output("page")?.to_owned();
        std::fs::write(&path, page::page(&sections)).doing("write", &path)
    }
}

fn open(path: &Path) -> Result<Dataset> {
    Dataset::open(path).map_err(|e| Failure::new(e.to_string()))
}

/// The test sets, by their label `set`.
fn tests(cx: &Context<'_>) -> Result<Vec<(String, Dataset)>> {
    let members = cx.inputs("tests");
    if members.is_empty() {
        return Err(Failure::new("input `tests` is missing, which `matches` needs")
            .help("give the sets that the overlap stage read: `input.tests = \"tests.dataset\"`"));
    }
    let name = |member: &lfs_stage::Member| set_folder(member.labels.get("set").unwrap_or(&member.from));
    members.iter().map(|member| Ok((name(member), open(&member.path)?))).collect()
}

#[cfg(test)]
mod tests;
