//! The layers of the networks.

use tch::Tensor;

use crate::builder::{Builder, Init};
use crate::functions::{linear, pointwise};
use crate::shim::{Normalise, norm_prelu};
use crate::steps::{Map, Op, Steps};

/// The weight of a batch in the running statistics.
const STATISTICS_MOMENTUM: f64 = 0.1;
const VARIANCE_FLOOR: f64 = 1e-5;

/// A convolution without bias.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    stride: i64,
    padding: i64,
    groups: i64,
}

impl Conv {
    /// A `kernel` x `kernel` convolution from `from` to `to` channels.
    pub fn new(b: &mut Builder, name: &str, (from, to): (i64, i64), kernel: i64, stride: i64) -> Self {
        let shape = [to, from, kernel, kernel];
        let weight = b.weight(&format!("{name}.weight"), &shape, Init::he(from * kernel * kernel));
        Self { weight, stride, padding: kernel / 2, groups: 1 }
    }

    /// A depthwise convolution. With `padding` 0 and a kernel as large as the map, it gives one number per
    /// channel.
    pub fn depthwise(
        b: &mut Builder,
        name: &str,
        channels: i64,
        kernel: i64,
        stride: i64,
        padding: i64,
    ) -> Self {
        let shape = [channels, 1, kernel, kernel];
        let weight = b.weight(&format!("{name}.weight"), &shape, Init::he(kernel * kernel));
        Self { weight, stride, padding, groups: channels }
    }

    /// `[n, from, h, w]` to `[n, to, h', w']`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        if self.groups == 1 && self.padding == 0 && self.weight.size()[2] == 1 {
            return pointwise(x, &self.weight, self.stride);
        }
        let (s, p) = (self.stride, self.padding);
        x.conv2d(&self.weight, None::<Tensor>, [s, s], [p, p], [1, 1], self.groups)
    }

    /// The same as a step.
    pub fn steps(&self, to: &mut dyn Steps, x: Map) -> Map {
        let Self { weight, stride, padding, groups } = self;
        to.step(&Op::Conv { weight, stride: *stride, padding: *padding, groups: *groups }, &[x])
    }
}

/// Batch normalisation over all axes except the second.
#[derive(Debug)]
pub struct Norm {
    affine: Option<(Tensor, Tensor)>,
    mean: Tensor,
    variance: Tensor,
}

impl Norm {
    /// With a learned scale and shift.
    pub fn new(b: &mut Builder, name: &str, channels: i64) -> Self {
        let scale = b.weight(&format!("{name}.scale"), &[channels], Init::Constant(1.0));
        let shift = b.weight(&format!("{name}.shift"), &[channels], Init::Constant(0.0));
        Self { affine: Some((scale, shift)), ..Self::plain(b, name, channels) }
    }

    /// Without scale and shift.
    pub fn plain(b: &mut Builder, name: &str, channels: i64) -> Self {
        let mean = b.buffer(&format!("{name}.mean"), &[channels], 0.0);
        let variance = b.buffer(&format!("{name}.variance"), &[channels], 1.0);
        Self { affine: None, mean, variance }
    }

    /// Keeps the shape. In training it uses the batch's statistics and updates the running ones.
    pub fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        self.with(x, train, None, None)
    }

    /// Normalises, adds `beside`, then applies the PReLU.
    pub fn with(&self, x: &Tensor, train: bool, beside: Option<&Tensor>, prelu: Option<&Prelu>) -> Tensor {
        let how = Normalise {
            affine: self.affine.as_ref().map(|(scale, shift)| (scale, shift)),
            running: (&self.mean, &self.variance),
            slope: prelu.map(|p| &p.slope),
            beside,
            momentum: STATISTICS_MOMENTUM,
            eps: VARIANCE_FLOOR,
        };
        // Panics on an error, as the bindings do for every other layer. `memory::within_memory` catches it.
        norm_prelu(x, &how, train).unwrap_or_else(|e| std::panic::resume_unwind(Box::new(e.message)))
    }

    /// [`Norm::with`] as steps.
    pub fn steps(&self, to: &mut dyn Steps, x: Map, beside: Option<Map>, prelu: Option<&Prelu>) -> Map {
        let op = Op::Norm {
            affine: self.affine.as_ref().map(|(scale, shift)| (scale, shift)),
            mean: &self.mean,
            variance: &self.variance,
            floor: VARIANCE_FLOOR,
        };
        let mut y = to.step(&op, &[x]);
        if let Some(beside) = beside {
            y = to.step(&Op::Add, &[y, beside]);
        }
        match prelu {
            Some(prelu) => to.step(&Op::Prelu(&prelu.slope), &[y]),
            None => y,
        }
    }
}

/// `max(x, 0) + slope min(x, 0)`, with one learned slope per channel.
#[derive(Debug)]
pub struct Prelu {
    slope: Tensor,
}

impl Prelu {
    /// The initial slope is 0.25.
    pub fn new(b: &mut Builder, name: &str, channels: i64) -> Self {
        Self { slope: b.weight(&format!("{name}.slope"), &[channels], Init::Constant(0.25)) }
    }
}

/// Convolution, batch normalisation and an optional PReLU.
#[derive(Debug)]
pub struct Block {
    conv: Conv,
    norm: Norm,
    prelu: Option<Prelu>,
}

impl Block {
    /// A block around `conv`, which has `channels` outputs.
    pub fn new(b: &mut Builder, name: &str, conv: Conv, channels: i64, active: bool) -> Self {
        let norm = Norm::new(b, &format!("{name}.norm"), channels);
        let prelu = active.then(|| Prelu::new(b, &format!("{name}.prelu"), channels));
        Self { conv, norm, prelu }
    }

    /// `[n, from, h, w]` to `[n, channels, h', w']`.
    pub fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        self.norm.with(&self.conv.forward(x), train, None, self.prelu.as_ref())
    }

    /// Convolution and normalisation, then `beside` is added, then `prelu` is applied; for a block without
    /// its own PReLU.
    pub fn beside(&self, x: &Tensor, train: bool, beside: &Tensor, prelu: Option<&Prelu>) -> Tensor {
        self.norm.with(&self.conv.forward(x), train, Some(beside), prelu)
    }

    /// [`Block::forward`], or with `beside` [`Block::beside`], as steps.
    pub fn steps(&self, to: &mut dyn Steps, x: Map, beside: Option<(Map, Option<&Prelu>)>) -> Map {
        let y = self.conv.steps(to, x);
        match beside {
            None => self.norm.steps(to, y, None, self.prelu.as_ref()),
            Some((beside, prelu)) => self.norm.steps(to, y, Some(beside), prelu),
        }
    }
}

/// The last layers: a linear layer from the flattened map to the embedding, and batch normalisation of the
/// embedding.
#[derive(Debug)]
pub struct Embedding {
    weight: Tensor,
    norm: Norm,
}

impl Embedding {
    /// From `channels` maps of `side` x `side` to an embedding of `size` numbers.
    pub fn new(b: &mut Builder, channels: i64, side: i64, size: i64) -> Self {
        let inputs = channels * side * side;
        let spread = Init::Normal((1.0 / inputs as f32).sqrt());
        let weight = b.weight("embedding.weight", &[size, inputs], spread);
        Self { weight, norm: Norm::plain(b, "embedding.norm", size) }
    }

    /// `[n, channels, side, side]` to `[n, size]`.
    pub fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        self.norm.forward(&linear(&x.flatten(1, -1), &self.weight), train)
    }

    /// The same as steps.
    pub fn steps(&self, to: &mut dyn Steps, x: Map) -> Map {
        let y = to.step(&Op::Linear(&self.weight), &[x]);
        self.norm.steps(to, y, None, None)
    }
}

/// The side of a map after a padded convolution of stride 2.
pub fn halved(side: i64) -> i64 {
    (side + 1) / 2
}
