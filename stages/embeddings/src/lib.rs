//! Brings in embeddings that another program computed: any file of [`lfs_formats::vectors`] becomes the output of a stage like
//! that of the kind `embed`, checked, with names or in the order of a data set.

use std::collections::BTreeMap;
use std::path::Path;

use lfs_faces::DataError;
use lfs_faces::dataset::Dataset;
use lfs_formats::lookup;
use lfs_formats::vectors::{self, Name, Vectors};
use lfs_stage::{Context, Failure, Input, IoContext, Output, Result, Source, Stage, one, optional};
use safetensors::tensor::{Dtype, TensorView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The file that describes the embeddings.
pub const INFO_FILE: &str = "embeddings.json";

/// The kind `embeddings`.
pub struct Embeddings;

/// The parameters of kind `embeddings`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Params {
    /// The method or network that computed them, for the record.
    pub method: String,
    /// Whether to take the embeddings of the mirror images too: the tensor, array or column `flipped`.
    pub flip: bool,
}

/// Describes the embeddings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Imported {
    /// The number of rows.
    pub n: usize,
    /// The dimension of an embedding.
    pub d: usize,
    /// Whether there is a tensor `flipped`.
    pub flip: bool,
    /// What computed them.
    pub method: String,
}

impl Stage for Embeddings {
    const KIND: &'static str = "embeddings";
    const SUMMARY: &'static str = "Brings in embeddings that another program computed";
    const CODE: &'static [&'static [Source]] = &[lfs_faces::SOURCE, lfs_formats::SOURCE, crate::SOURCE];
    const INPUTS: &'static [Input] = &[
        one(
            "source",
            "embeddings: .npy, .npz, safetensors, Parquet, or matrices of MegaFace or Trillion-Pairs",
        ),
        optional("names", "the name of each row, an image and optionally its person a line"),
        optional("dataset", "the images that were embedded: rows are put into its order, by name"),
    ];
    const OUTPUTS: &'static [Output] = &[Output {
        name: "embeddings",
        path: "embeddings",
        about: "embeddings.safetensors: float32 [n, d], not normalised; embeddings.json; names.tsv if names are known",
    }];
    type Params = Params;

    fn run(params: &Params, cx: &mut Context<'_>) -> Result<()> {
        let source = cx.input("source")?;
        let plain = Vectors::open(source).map_err(failure)?;
        let flipped = if params.flip {
            let flipped = Vectors::open_flipped(source).map_err(failure)?.ok_or_else(|| {
                Failure::new("there are no embeddings of mirror images, called `flipped`")
                    .help("set `flip = false`, or add them as a second tensor, array or column")
            })?;
            if (flipped.len(), flipped.width()) != (plain.len(), plain.width()) {
                return Err(Failure::new("`embeddings` and `flipped` differ in shape"));
            }
            Some(flipped)
        } else {
            None
        };
        let names = match cx.input_opt("names")? {
            Some(list) => Some(vectors::names::read(list, plain.len()).map_err(failure)?),
            None => plain.names().map(<[Name]>::to_vec),
        };
        let (order, names) = match cx.input_opt("dataset")? {
            None => ((0..plain.len()).collect(), names),
            Some(dataset) => (order(dataset, plain.len(), names.as_deref(), cx)?, None),
        };
        let folder = cx.output("embeddings")?;
        std::fs::create_dir_all(folder).doing("create", folder)?;
        let mut tensors = vec![("embeddings", rows(&plain, &order))];
        tensors.extend(flipped.as_ref().map(|f| ("flipped", rows(f, &order))));
        write(&folder.join(vectors::FILE), &tensors, [order.len(), plain.width()])?;
        if let Some(names) = names {
            vectors::names::write(&folder.join(vectors::NAMES), &names).map_err(failure)?;
        }
        let info =
            Imported { n: order.len(), d: plain.width(), flip: params.flip, method: params.method.clone() };
        let path = folder.join(INFO_FILE);
        let text = serde_json::to_string_pretty(&info).doing("serialise", &path)?;
        std::fs::write(&path, text + "\n").doing("write", &path)?;
        // What does not fit into float32 has no direction any more.
        Vectors::open(folder).map_err(failure)?;
        Vectors::open_flipped(folder).map_err(failure)?;
        cx.note(format!("{} embeddings of {} numbers", info.n, info.d));
        Ok(())
    }
}

/// The row of each image of a data set.
fn order(dataset: &Path, rows: usize, names: Option<&[Name]>, cx: &Context<'_>) -> Result<Vec<usize>> {
    let set = Dataset::open(dataset).map_err(failure)?;
    let Some(names) = names else {
        if set.len() != rows {
            return Err(Failure::new(format!("{rows} embeddings for a data set of {} images", set.len()))
                .help("give the input `names`, a file with the name of each row"));
        }
        cx.warn("the embeddings have no names: they are taken in the order of the data set");
        return Ok((0..rows).collect());
    };
    let own: Vec<&str> = names.iter().map(|n| n.image.as_str()).collect();
    let wanted: Vec<&str> = set.iter().map(|face| face.name).collect();
    let found = lookup::find(&own, &wanted).map_err(failure)?;
    let missing: Vec<String> = found
        .iter()
        .zip(&wanted)
        .filter(|(row, _)| row.is_none())
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    if !missing.is_empty() {
        return Err(Failure::new(format!(
            "{} of {} images of the data set have no embedding: {}",
            missing.len(),
            wanted.len(),
            vectors::first_ten(&missing)
        ))
        .help("embed all of its images, or leave `dataset` out"));
    }
    if rows > wanted.len() {
        cx.note(format!(
            "{} embeddings are of no image of the data set, and are left out",
            rows - wanted.len()
        ));
    }
    Ok(found.into_iter().flatten().collect())
}

/// The rows in this order, as the bytes of a tensor.
fn rows(vectors: &Vectors, order: &[usize]) -> Vec<u8> {
    let mut row = vec![0.0; vectors.width()];
    let mut out = Vec::with_capacity(4 * order.len() * row.len());
    for &i in order {
        vectors.raw(i, &mut row);
        row.iter().for_each(|x| out.extend((*x as f32).to_le_bytes()));
    }
    out
}

fn write(path: &Path, tensors: &[(&str, Vec<u8>)], shape: [usize; 2]) -> Result<()> {
    let mut views = BTreeMap::new();
    for (name, bytes) in tensors {
        views.insert(*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).doing("write", path)?);
    }
    safetensors::serialize_to_file(views, None, path).doing("write", path)
}

fn failure(e: DataError) -> Failure {
    Failure::new(e.to_string())
}
