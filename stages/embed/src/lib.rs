//! Computes embeddings of aligned crops.
//!
//! [`foreign`]: networks of other programs.

mod foreign;

use std::collections::BTreeMap;
use std::path::Path;

use lfs_network::arithmetic::Arithmetic;
use lfs_network::crops::Crops;
use lfs_network::device::{self, Device};
use lfs_network::gpu;
use lfs_network::model::{INFO_FILE as MODEL_INFO, Model, ModelInfo};
use lfs_network::weights::{self, Tensors};
use lfs_stage::{
    Choice, Context, Cpu, Failure, Input, IoContext, Output, Progress, Result, Source, Stage, one,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The file of embeddings in the output.
pub const EMBEDDINGS_FILE: &str = "embeddings.safetensors";
/// The file that describes the embeddings.
pub const INFO_FILE: &str = "embeddings.json";

pub use foreign::Channels;
use foreign::{Foreign, Pixels};

/// The kind `embed`.
#[derive(Debug, Clone, Copy)]
pub struct Embed;

/// The parameters of kind `embed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Params {
    /// Whether to give the embeddings of the flipped crops too, as the tensor `flipped`.
    pub flip: bool,
    /// Images at a time.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch: u32,
    /// Threads of the arithmetic. Another number may give other last bits.
    #[schemars(range(min = 1, max = 1024))]
    pub threads: u32,
    /// Where to compute.
    pub device: Device,
    /// How a processor computes: `portable`, the same bits on every x86-64 processor with AVX2 and FMA, or `fastest`, with the kernels
    /// that libraries choose for this one.
    #[schemars(extend("x-when" = {"device": ["auto", "cpu"]}))]
    pub arithmetic: Arithmetic,
    /// For an ONNX or TorchScript network: a pixel value v in 0 .. 255 becomes (v - mean) / std. Usually 127.5; of an exported network,
    /// what its description says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 255.0))]
    pub mean: Option<f64>,
    /// For an ONNX or TorchScript network: see `mean`. Usually 127.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 255.0))]
    pub std: Option<f64>,
    /// For an ONNX or TorchScript network: the order of the colour channels.
    pub channels: Channels,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            flip: false,
            batch: 128,
            threads: 1,
            device: Device::Auto,
            arithmetic: Arithmetic::Portable,
            mean: None,
            std: None,
            channels: Channels::Rgb,
        }
    }
}

/// Describes the embeddings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EmbeddingsInfo {
    /// The number of rows: one an image, in the order of the data set.
    pub n: usize,
    /// The dimension of an embedding.
    pub d: u32,
    /// The crops that were embedded.
    pub crop: lfs_faces::dataset::Crop,
    /// Whether there is a tensor `flipped`, the embeddings of the flipped crops.
    pub flip: bool,
    /// The method that trained the network.
    pub method: String,
    /// The test set by whose accuracy the network's loss was selected, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_on: Option<String>,
}

/// A table that only declares modules, and code that only training uses; see [`Stage::choices`].
const DECLARATIONS: &[&str] = &["network/src/backbone/mod.rs", "network/src/sgd.rs"];

impl Stage for Embed {
    const KIND: &'static str = "embed";
    const SUMMARY: &'static str = "Turns aligned crops into embeddings";
    const CODE: &'static [&'static [Source]] =
        &[lfs_faces::SOURCE, lfs_network::SOURCE, lfs_onnx::SOURCE, lfs_products::SOURCE, crate::SOURCE];
    const INPUTS: &'static [Input] = &[
        one("model", "the network: a folder of kind train or export, an ONNX file or TorchScript"),
        one("dataset", "aligned crops"),
    ];
    const OUTPUTS: &'static [Output] = &[Output {
        name: "embeddings",
        path: "embeddings",
        about: "embeddings.safetensors: float32 [n, d] in the dataset's order, not normalised; embeddings.json",
    }];
    type Params = Params;

    fn cpu() -> Cpu {
        Cpu::Parameter("threads".to_owned())
    }

    fn facts() -> BTreeMap<String, String> {
        device::facts()
    }

    fn choices() -> BTreeMap<String, BTreeMap<String, Choice>> {
        let mut devices = device::choices();
        devices.insert("(none)".to_owned(), lfs_stage::choice(DECLARATIONS));
        BTreeMap::from([("device".to_owned(), devices), ("arithmetic".to_owned(), device::arithmetics())])
    }

    fn check(params: &Self::Params) -> Result<()> {
        for (name, value, most) in [("batch", params.batch, 65_536), ("threads", params.threads, 1024)] {
            if !(1..=most).contains(&value) {
                return Err(Failure::new(format!("{name} is {value}, but must be from 1 to {most}")));
            }
        }
        if params.std.is_some_and(|std| !(std > 0.0 && std.is_finite())) {
            return Err(Failure::new("std must be above 0"));
        }
        Ok(())
    }

    fn run(params: &Self::Params, cx: &mut Context<'_>) -> Result<()> {
        let device = device::prepare(params.device, params.threads, params.arithmetic)?;
        let path = cx.input("model")?;
        let crops = Crops::open(cx.input("dataset")?, cx.threads())?;
        let network = match Foreign::file(path).filter(|_| !path.join(MODEL_INFO).is_file()) {
            Some(file) => Network::Foreign(Foreign::open(&file, device)?),
            None => Network::own(path, device, params, &crops)?,
        };
        let passes = if params.flip { 2 } else { 1 };
        let mut tensors = Tensors::new();
        for (pass, (name, flip)) in
            [("embeddings", false), ("flipped", true)].into_iter().take(passes).enumerate()
        {
            let embeddings = network.embed(params, &crops, flip, |done| {
                cx.progress(Progress {
                    doing: "embedding".to_owned(),
                    done: (pass * crops.len() + done) as u64,
                    total: Some((passes * crops.len()) as u64),
                    unit: "images".to_owned(),
                    figures: BTreeMap::new(),
                });
            })?;
            if !embeddings.isfinite().all().f_int64_value(&[]).is_ok_and(|all| all == 1) {
                return Err(Failure::new("the network gave embeddings that are no numbers")
                    .help("its training diverged: see its log, and lower `lr` there"));
            }
            tensors.insert(name.to_owned(), embeddings);
        }
        let (method, selected_on) = network.described();
        drop(network);
        gpu::empty_cache(device)?;
        let beside = EmbeddingsInfo {
            n: crops.len(),
            d: tensors.get("embeddings").and_then(|e| e.size().last().copied()).unwrap_or_default() as u32,
            crop: crops.crop.clone(),
            flip: params.flip,
            method,
            selected_on,
        };
        write(cx.output("embeddings")?, &tensors, &beside)
    }
}

/// A network of this program or of another one.
enum Network {
    Own(Model, Box<ModelInfo>),
    Foreign(Foreign),
}

impl Network {
    fn own(path: &Path, device: tch::Device, params: &Params, crops: &Crops) -> Result<Self> {
        if params.mean.is_some() || params.std.is_some() || params.channels != Channels::Rgb {
            return Err(Failure::new("`mean`, `std` and `channels` are for networks of other programs")
                .help("leave them out: a network of kind `train` knows what it takes"));
        }
        let (model, info) = Model::open(path, device)?;
        fits(&info, crops)?;
        Ok(Self::Own(model, Box::new(info)))
    }

    fn embed(
        &self,
        params: &Params,
        crops: &Crops,
        flip: bool,
        done: impl FnMut(usize),
    ) -> Result<tch::Tensor> {
        match self {
            Self::Own(model, _) => {
                let rows: Vec<usize> = (0..crops.len()).collect();
                model.embed(crops, &rows, flip, params.batch as usize, done)
            }
            Self::Foreign(network) => {
                let usual = network.pixels.unwrap_or(Pixels::USUAL);
                let pixels = Pixels {
                    mean: params.mean.unwrap_or(usual.mean),
                    std: params.std.unwrap_or(usual.std),
                    channels: params.channels,
                };
                network.embed(crops, flip, params.batch as usize, pixels, done)
            }
        }
    }

    /// The method that trained it, and the test set on which it was selected.
    fn described(&self) -> (String, Option<String>) {
        match self {
            Self::Own(_, info) => (info.method.clone(), info.selected_on.clone()),
            Self::Foreign(network) => (network.name.clone(), None),
        }
    }
}

/// Refuses crops that differ from those that the network was trained on.
fn fits(info: &ModelInfo, crops: &Crops) -> Result<()> {
    let (trained, given) = (&info.crop, &crops.crop);
    if trained.size != given.size {
        return Err(Failure::new(format!(
            "the network takes crops of {0} x {0} pixels, but the dataset holds crops of {1} x {1}",
            trained.size, given.size
        ))
        .help(format!("align the dataset with size = {}", trained.size)));
    }
    if trained.template != given.template {
        return Err(Failure::new(format!(
            "the network was trained on crops of template `{}`, but the dataset's are of `{}`",
            trained.template, given.template
        ))
        .help("align the training set and the test sets with the same parameters"));
    }
    Ok(())
}

fn write(folder: &Path, tensors: &Tensors, info: &EmbeddingsInfo) -> Result<()> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    weights::write(&folder.join(EMBEDDINGS_FILE), tensors)?;
    let path = folder.join(INFO_FILE);
    let text = serde_json::to_string_pretty(info).doing("serialise", &path)?;
    std::fs::write(&path, text + "\n").doing("write", &path)
}
