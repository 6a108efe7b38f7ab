//! Writes a trained network for other programs: as TorchScript, which PyTorch and libtorch load, and as ONNX.

use std::path::Path;

use lfs_network::arithmetic::Arithmetic;
use lfs_network::device;
use lfs_network::functions;
use lfs_network::model::{Model, ModelInfo};
use lfs_stage::{Context, Failure, Input, IoContext, Output, Result, Source, Stage, one};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{CModule, Kind, Tensor};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The network.
pub const SCRIPT_FILE: &str = "model.pt";
/// The network as ONNX.
pub const ONNX_FILE: &str = "model.onnx";
/// How to use it.
pub const INFO_FILE: &str = "export.json";

/// The kind `export`.
#[derive(Debug, Clone, Copy)]
pub struct Export;

/// The parameters of kind `export`: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Params {}

/// How to use an exported network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExportInfo {
    /// The shape of the input; -1 is any number of images.
    pub input: [i64; 4],
    /// What each pixel value v in 0..=255 becomes: (v - this) / `divided-by`.
    pub less: f64,
    /// See `less`.
    pub divided_by: f64,
    /// The order of the channels.
    pub channels: String,
    /// The shape of the output, not normalised: compare by cosine.
    pub output: [i64; 2],
    /// How the crops were cut.
    pub template: String,
    /// The method that trained it.
    pub method: String,
}

impl Stage for Export {
    const KIND: &'static str = "export";
    const SUMMARY: &'static str = "Writes a trained network as TorchScript and ONNX, for other programs";
    const CODE: &'static [&'static [Source]] =
        &[lfs_faces::SOURCE, lfs_network::SOURCE, lfs_onnx::SOURCE, lfs_products::SOURCE, crate::SOURCE];
    const INPUTS: &'static [Input] = &[one("model", "the network: a model folder of kind train")];
    const OUTPUTS: &'static [Output] = &[Output {
        name: "exported",
        path: "exported",
        about: "model.pt, for torch.jit.load; model.onnx; export.json: the shapes of input and output",
    }];
    const PROCESS: Option<&'static str> = Some("portable");
    type Params = Params;

    fn facts() -> std::collections::BTreeMap<String, String> {
        device::facts()
    }

    fn run(_: &Params, cx: &mut Context<'_>) -> Result<()> {
        let device = device::prepare(device::Device::Cpu, 1, Arithmetic::whichever())?;
        let (model, info) = Model::open(cx.input("model")?, device)?;
        write(&model, &info, cx.output("exported")?)
    }
}

/// Writes the folder.
///
/// # Errors
/// When libtorch cannot write the network down, or a file cannot be written.
pub fn write(model: &Model, info: &ModelInfo, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    // Weights become constants of the script, which only what needs no gradient can.
    for weight in model.weights().values() {
        let _ = weight.set_requires_grad(false);
    }
    let side = i64::from(info.network.size);
    let image = Tensor::zeros([2, 3, side, side], (Kind::Float, tch::Device::Cpu));
    let mut forward = |inputs: &[Tensor]| inputs.iter().map(|x| model.forward(x, false)).collect();
    let trace = || tch::no_grad(|| CModule::create_by_tracing("Network", "forward", &[image], &mut forward));
    let script = functions::traced(trace);
    let path = folder.join(SCRIPT_FILE);
    script
        .and_then(|script| script.save(&path))
        .map_err(|e| Failure::new(format!("libtorch cannot write {}: {e}", path.display())))?;
    let path = folder.join(ONNX_FILE);
    std::fs::write(&path, lfs_onnx::write(model, &info.network)?).doing("write", &path)?;
    let info = ExportInfo {
        input: [-1, 3, side, side],
        less: 127.5,
        divided_by: 128.0,
        channels: "RGB".to_owned(),
        output: [-1, i64::from(info.network.embedding)],
        template: info.crop.template.clone(),
        method: info.method.clone(),
    };
    let path = folder.join(INFO_FILE);
    let text = serde_json::to_string_pretty(&info).doing("serialise", &path)?;
    std::fs::write(&path, text + "\n").doing("write", &path)
}
