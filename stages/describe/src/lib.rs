//! Describes the content of a data set in any container.
//!
//! - [`survey`]: one pass over every image. [`other`]: files that are no image containers: matrices, lists, MATLAB files.
//! - [`description`]: the figures. [`text`], [`page`]: for the user. [`croissant`]: for data catalogues.

mod croissant;
mod description;
mod other;
mod page;
mod survey;
mod text;

use std::fmt::Write as _;
use std::path::Path;

use lfs_stage::{Context, Cpu, Failure, Input, IoContext, Output, Result, Source, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use description::Description;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The kind `describe`.
pub struct Describe;

/// The parameters of kind `describe`: information that no file contains.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Params {
    /// What the data set is called.
    pub name: String,
    /// Its licence: a name or an address.
    pub licence: String,
    /// Where it is from.
    pub origin: String,
    /// How its images were collected.
    pub collection: String,
    /// What it is known not to represent.
    pub limits: String,
    /// The personal or sensitive information that it holds.
    pub sensitive: String,
}

impl Stage for Describe {
    const KIND: &'static str = "describe";
    const SUMMARY: &'static str = "Says what a data set holds: text, JSON, HTML and Croissant";
    const CODE: &'static [&'static [Source]] = &[lfs_faces::SOURCE, lfs_formats::SOURCE, SOURCE];
    const INPUTS: &'static [Input] = &[lfs_stage::one(
        "source",
        "a data set of a stage, a container of images, a folder, a matrix of embeddings or a list",
    )];
    const OUTPUTS: &'static [Output] = &[Output {
        name: "description",
        path: "description",
        about: "description.json, description.txt, description.html; of images also faces.csv and croissant.json",
    }];
    type Params = Params;

    fn cpu() -> Cpu {
        Cpu::All
    }

    fn run(params: &Params, cx: &mut Context<'_>) -> Result<()> {
        let source = cx.input("source")?;
        let folder = cx.output("description")?;
        std::fs::create_dir_all(folder).doing("create", folder)?;
        let rows = folder.join(croissant::ROWS);
        let mut found = match other::describe(source).map_err(failure)? {
            Some(found) => found,
            None => survey::survey(source, cx, &rows)?,
        };
        found.name.clone_from(&params.name);
        found.licence = Some(params.licence.clone()).filter(|l| !l.is_empty());
        found.source = Some(params.origin.clone()).filter(|l| !l.is_empty());
        let mut json = serde_json::to_string_pretty(&found).map_err(|e| Failure::new(e.to_string()))?;
        json.push('\n');
        save(&folder.join("description.json"), &json)?;
        save(&folder.join("description.txt"), &text::text(&found))?;
        save(&folder.join("description.html"), &page::page(&found))?;
        if rows.is_file() {
            let text = croissant::croissant(params, &found, &rows, source)?;
            save(&folder.join("croissant.json"), &text)?;
        }
        let mut said = String::new();
        let _ = write!(said, "{}: {} images", found.format, found.images);
        if let Some(identities) = found.identities {
            let _ = write!(said, " of {identities} identities");
        }
        cx.note(said);
        if found.unreadable > 0 {
            cx.warn(format!(
                "{} of {} images cannot be decoded; description.json names them",
                found.unreadable, found.images
            ));
        }
        Ok(())
    }
}

fn save(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).doing("write", path)
}

fn failure(e: lfs_faces::DataError) -> Failure {
    Failure::new(e.to_string())
}
