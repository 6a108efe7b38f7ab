//! Writes a data set into a container format that other training programs read.
//!
//! Images are copied byte for byte. Identities keep their numbers, so that a network trained on one container can be used with the
//! others; `classes.txt` lists their names by number.

use lfs_faces::dataset::{Dataset, FaceRef};
use lfs_faces::image;
use lfs_formats::pack::{self, Face, Pack, Set};
use lfs_stage::{Context, Failure, Input, IoContext, Output, Progress, Result, Source, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The kind `publish`.
pub struct Publish;

/// The parameters of kind `publish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Params {
    /// The container.
    pub format: Format,
    /// How many mebibytes of images a file holds before the next one begins.
    #[serde(default = "shard")]
    #[schemars(range(min = 1, max = 1_000_000), extend("x-when" = {"format": ["webdataset", "parquet", "arrow"]}))]
    pub shard: u32,
}

fn shard() -> u32 {
    500
}

/// The containers that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `identity/image.jpg`, and `landmarks.tsv`.
    Folders,
    /// `train.rec`, `train.idx` and `property`, as InsightFace reads them; crops of one size.
    Recordio,
    /// Tar files of `key.jpg`, `key.cls` and `key.json`.
    Webdataset,
    /// Parquet files with the columns that the Hugging Face hub knows: image, label.
    Parquet,
    /// Arrow IPC files with the same columns.
    Arrow,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Folders => "folders",
            Self::Recordio => "recordio",
            Self::Webdataset => "webdataset",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }
}

/// The number of faces between two progress reports.
const CHUNK: usize = 4096;

impl Stage for Publish {
    const KIND: &'static str = "publish";
    const SUMMARY: &'static str = "Writes a data set into a container that other programs train on";
    const CODE: &'static [&'static [Source]] = &[lfs_faces::SOURCE, lfs_formats::SOURCE, SOURCE];
    const INPUTS: &'static [Input] = &[lfs_stage::one("dataset", "the data set")];
    const OUTPUTS: &'static [Output] = &[Output {
        name: "published",
        path: "published",
        about: "the container, and classes.txt: the name of each label",
    }];
    type Params = Params;

    fn run(params: &Params, cx: &mut Context<'_>) -> Result<()> {
        let failed = |e: lfs_faces::DataError| Failure::new(e.to_string());
        let dataset = Dataset::open(cx.input("dataset")?).map_err(failed)?;
        let identities = &dataset.info().identities;
        let mut counts = vec![0_u64; identities.len()];
        for face in dataset.iter() {
            counts[face.identity as usize] += 1;
        }
        let format = pack::by_name(params.format.name())
            .ok_or_else(|| Failure::new(format!("`{}` cannot be written", params.format.name())))?;
        let side = if params.format == Format::Recordio { one_size(&dataset)? } else { None };
        let folder = cx.output("published")?;
        std::fs::create_dir_all(folder).doing("create", folder)?;
        let set = Set { identities, counts: &counts, side, shard: u64::from(params.shard) << 20 };
        let mut pack = (format.begin)(folder, &set).map_err(failed)?;
        let mut order: Vec<usize> = (0..dataset.len()).collect();
        if format.sorted {
            order.sort_by_key(|row| dataset.face(*row).identity);
        }
        for (k, row) in order.iter().enumerate() {
            put(pack.as_mut(), dataset.face(*row), identities).map_err(failed)?;
            if (k + 1) % CHUNK == 0 || k + 1 == order.len() {
                cx.progress(Progress {
                    doing: "writing".to_owned(),
                    done: k as u64 + 1,
                    total: Some(order.len() as u64),
                    unit: "images".to_owned(),
                    ..Progress::default()
                });
            }
        }
        pack.finish().map_err(failed)?;
        let path = folder.join("classes.txt");
        let names: String = identities.iter().map(|n| n.replace(['\n', '\r'], " ") + "\n").collect();
        std::fs::write(&path, names).doing("write", &path)
    }
}

fn put(pack: &mut dyn Pack, face: FaceRef<'_>, identities: &[String]) -> Result<(), lfs_faces::DataError> {
    let identity = identities.get(face.identity as usize).map_or("", String::as_str);
    pack.face(Face {
        name: face.name,
        class: face.identity,
        identity,
        image: face.image,
        points: face.points,
    })
}

/// The size of all images; an error names the first image with another size.
fn one_size(dataset: &Dataset) -> Result<Option<(u32, u32)>> {
    let mut first = None;
    for face in dataset.iter() {
        let size = image::size(face.image).map_err(|e| {
            Failure::new(format!("`{}`: {e}", face.name)).help("put a stage of kind `clean` before this one")
        })?;
        match first {
            None => first = Some(size),
            Some(known) if known == size => {}
            Some(known) => {
                return Err(Failure::new(format!(
                    "`{}` is {}x{} pixels, the images before it {}x{}: this container says one size for all",
                    face.name, size.0, size.1, known.0, known.1
                ))
                .help("put a stage of kind `align` before this one, or take `webdataset` or `parquet`"));
            }
        }
    }
    Ok(first)
}
