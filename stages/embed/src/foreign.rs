//! Networks of other programs: ONNX files and TorchScript.

use std::path::{Path, PathBuf};

use lfs_network::crops::Crops;
use lfs_stage::{Failure, IoContext, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{CModule, Device, IValue, Tensor};

/// The networks in a folder of kind `export`, and their description there.
const SCRIPT: &str = "model.pt";
const ONNX: &str = "model.onnx";
const EXPORTED: &str = "export.json";

/// Crops come as `(v - 127.5) / 128`.
const MIDDLE: f64 = 127.5;
const SPREAD: f64 = 128.0;

/// The order of the colour channels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first.
    Bgr,
}

/// What a network takes: a pixel value `v` in 0 .. 255 becomes `(v - mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pixels {
    /// See above.
    pub mean: f64,
    /// See above.
    pub std: f64,
    /// The order of the channels.
    pub channels: Channels,
}

impl Pixels {
    /// Usual for networks of other programs.
    pub const USUAL: Self = Self { mean: MIDDLE, std: MIDDLE, channels: Channels::Rgb };

    /// Normalises crops `[n, 3, side, side]`.
    fn of(&self, crops: &Tensor) -> Result<Tensor, tch::TchError> {
        // Exact in float32: crops are multiples of 1 / 256.
        let pixels = crops.f_mul_scalar(SPREAD)?.f_add_scalar(MIDDLE)?;
        let x = pixels.f_sub_scalar(self.mean)?.f_div_scalar(self.std)?;
        if self.channels == Channels::Bgr { x.f_flip([1]) } else { Ok(x) }
    }
}

/// A network of another program.
pub struct Foreign {
    network: Network,
    /// The file's name without its extension.
    pub name: String,
    /// What its own description says that it takes.
    pub pixels: Option<Pixels>,
    device: Device,
}

enum Network {
    Onnx(lfs_onnx::Model),
    Script(CModule),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Exported {
    less: f64,
    divided_by: f64,
}

impl Foreign {
    /// The file of the network at `path`: a file, or a folder of kind `export`; none if it is a folder of another kind.
    pub fn file(path: &Path) -> Option<PathBuf> {
        let file = if path.is_dir() { path.join(SCRIPT) } else { path.to_owned() };
        file.is_file().then_some(file)
    }

    /// Opens a file: TorchScript, which is a zip archive, else ONNX.
    ///
    /// # Errors
    /// If it is neither, or has a step that cannot be computed.
    pub fn open(file: &Path, device: Device) -> Result<Self> {
        let mut start = [0; 2];
        std::fs::File::open(file)
            .and_then(|mut f| std::io::Read::read_exact(&mut f, &mut start))
            .doing("read", file)?;
        let network = if &start == b"PK" {
            let mut script = CModule::load_on_device(file, device).map_err(|e| {
                Failure::new(format!("{} is no TorchScript: {}", file.display(), first_line(&e.to_string()))).help(
                    "a file of weights alone (a state dict) has no network: save `torch.jit.trace(network.eval(), crops)`, or \
                     export it with `torch.onnx.export`",
                )
            })?;
            script.set_eval();
            Network::Script(script)
        } else {
            let opened = lfs_onnx::Model::open(file, device);
            Network::Onnx(
                opened.map_err(|e| Failure { message: format!("{}: {}", file.display(), e.message), ..e })?,
            )
        };
        let described = file.with_file_name(EXPORTED);
        let pixels = match file.file_name().is_some_and(|n| n == SCRIPT || n == ONNX) && described.is_file() {
            true => {
                let text = std::fs::read_to_string(&described).doing("read", &described)?;
                let info: Exported = serde_json::from_str(&text).doing("understand", &described)?;
                Some(Pixels { mean: info.less, std: info.divided_by, channels: Channels::Rgb })
            }
            false => None,
        };
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { network, name, pixels, device })
    }

    /// The shape of the input that the file states; a variable side is 0.
    fn shape(&self) -> Option<[i64; 4]> {
        let Network::Onnx(model) = &self.network else { return None };
        model.inputs().next()?.shape.as_deref()?.try_into().ok()
    }

    /// Embeddings `[n, d]` of all crops, not normalised, `batch` at a time.
    ///
    /// # Errors
    /// If the network takes or gives something else.
    pub fn embed(
        &self,
        crops: &Crops,
        flip: bool,
        batch: usize,
        pixels: Pixels,
        mut done: impl FnMut(usize),
    ) -> Result<Tensor> {
        let side = i64::from(crops.crop.size);
        let shape = self.shape();
        // Some converters leave the channels innermost.
        let innermost = shape.is_some_and(|s| s[3] == 3 && s[1] != 3);
        let sides = shape.map_or([0, 0], |s| if innermost { [s[1], s[2]] } else { [s[2], s[3]] });
        if sides.iter().any(|s| *s > 0 && *s != side) {
            return Err(Failure::new(format!(
                "the network takes images of {} x {} pixels, but the dataset holds crops of {side} x {side}",
                sides[0], sides[1]
            ))
            .help(format!("align the dataset with size = {}", sides[0].max(sides[1]))));
        }
        // A file may state its batch: the last one is filled up.
        let fixed = shape.map_or(0, |s| s[0]);
        let size = if fixed > 0 { fixed as usize } else { batch.max(1) };
        let rows: Vec<usize> = (0..crops.len()).collect();
        let mut parts = Vec::new();
        let mut through = 0;
        for chunk in rows.chunks(size) {
            let mut filled = chunk.to_vec();
            if fixed > 0 {
                filled.resize(size, chunk[0]);
            }
            let x = crops.batch(&filled, &vec![flip; filled.len()], self.device)?;
            let y = tch::no_grad(|| self.forward(&x, pixels, innermost))?;
            parts.push(y.narrow(0, 0, chunk.len() as i64));
            through += chunk.len();
            done(through);
        }
        if parts.is_empty() {
            return Err(Failure::new("there is no image to embed"));
        }
        Ok(Tensor::cat(&parts, 0))
    }

    fn forward(&self, crops: &Tensor, pixels: Pixels, innermost: bool) -> Result<Tensor> {
        let failed =
            |e: tch::TchError| Failure::new(format!("the network failed: {}", last_line(&e.to_string())));
        let mut x = pixels.of(crops).map_err(failed)?;
        if innermost {
            x = x.permute([0, 2, 3, 1]).contiguous();
        }
        let n = x.size()[0];
        let y = match &self.network {
            Network::Onnx(model) => {
                let outputs = model.run(&[x])?;
                let names: Vec<String> = model.outputs().map(|o| format!("`{}`", o.name)).collect();
                match outputs.as_slice() {
                    [only] => only.shallow_clone(),
                    _ => {
                        return Err(Failure::new(format!(
                            "the network has {} outputs: {}",
                            names.len(),
                            names.join(", ")
                        ))
                        .help("export it with its embeddings as the only output"));
                    }
                }
            }
            Network::Script(script) => match script.forward_is(&[IValue::Tensor(x)]).map_err(failed)? {
                IValue::Tensor(y) => y,
                other => {
                    let what =
                        format!("{other:?}").chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
                    return Err(Failure::new(format!("the network gives a {what}, not one tensor"))
                        .help("trace a network whose only output is its embeddings"));
                }
            },
        };
        let y = y.to_device(Device::Cpu).to_kind(tch::Kind::Float);
        let shape = y.size();
        let width: i64 = shape.iter().skip(1).product();
        if shape.first() != Some(&n) || width < 1 || shape.len() < 2 {
            return Err(Failure::new(format!(
                "the network gives {shape:?} for {n} images; expected [{n}, d]"
            )));
        }
        Ok(y.view([n, width]))
    }
}

/// Of an error in a script, the cause: it follows the lines of the script.
fn last_line(text: &str) -> &str {
    text.lines().rfind(|l| !l.trim().is_empty()).unwrap_or_default()
}

fn first_line(text: &str) -> &str {
    text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default()
}
