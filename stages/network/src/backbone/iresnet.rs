//! IResNet, the usual residual networks of face recognition.

use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::layers::{Conv, Embedding, Norm, Prelu, halved};
use super::{Network, Settings};
use crate::builder::{Builder, Init};
use crate::functions;
use crate::steps::{Map, Op, Steps};

/// IResNet (Duta et al. 2020, as used with ArcFace). A unit is normalisation, 3 x 3, normalisation, PReLU, 3
/// x 3, normalisation, plus a shortcut, without activation after the sum. With squeeze-excitation (Hu et al.
/// 2018) it is the SE-ResNet-IR of the margin-loss papers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct IResNet {
    /// Layers: 18, 34, 50 or 100.
    pub depth: Depth,
    /// Whether each unit weights its channels (squeeze-excitation, reduction 16).
    pub squeeze_excitation: bool,
    /// Channels of the stem and the first stage; each further stage has twice as many.
    #[schemars(range(min = 4, max = 512))]
    pub width: u32,
}

/// The number of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Depth {
    /// 2, 2, 2, 2 units.
    #[serde(rename = "18")]
    D18,
    /// 3, 4, 6, 3 units.
    #[serde(rename = "34")]
    D34,
    /// 3, 4, 14, 3 units.
    #[serde(rename = "50")]
    D50,
    /// 3, 13, 30, 3 units.
    #[serde(rename = "100")]
    D100,
}

impl Depth {
    /// The units of each stage.
    pub fn units(self) -> [usize; 4] {
        match self {
            Self::D18 => [2, 2, 2, 2],
            Self::D34 => [3, 4, 6, 3],
            Self::D50 => [3, 4, 14, 3],
            Self::D100 => [3, 13, 30, 3],
        }
    }
}

impl Default for IResNet {
    fn default() -> Self {
        Self { depth: Depth::D18, squeeze_excitation: false, width: 64 }
    }
}

/// The reduction ratio of squeeze-excitation.
const REDUCTION: i64 = 16;

impl Settings for IResNet {
    fn check(&self) -> Result<()> {
        if (4..=512).contains(&self.width) {
            return Ok(());
        }
        Err(Failure::new(format!("iresnet.width is {}, but must be from 4 to 512", self.width)))
    }

    fn build(&self, b: &mut Builder, side: i64, size: i64) -> Box<dyn Network> {
        let width = i64::from(self.width);
        let stem = Conv::new(b, "stem", (3, width), 3, 1);
        let (norm, prelu) = (Norm::new(b, "stem.norm", width), Prelu::new(b, "stem.prelu", width));
        let (mut units, mut from, mut side) = (Vec::new(), width, side);
        for (stage, count) in self.depth.units().into_iter().enumerate() {
            let to = width << stage;
            for unit in 0..count {
                let stride = if unit == 0 { 2 } else { 1 };
                let name = format!("stage{stage}.unit{unit}");
                units.push(Unit::new(b, &name, (from, to), stride, self.squeeze_excitation));
                from = to;
            }
            side = halved(side);
        }
        let last = Norm::new(b, "last.norm", from);
        Box::new(Built { stem, norm, prelu, units, last, embedding: Embedding::new(b, from, side, size) })
    }
}

#[derive(Debug)]
struct Unit {
    before: Norm,
    first: Conv,
    between: Norm,
    prelu: Prelu,
    second: Conv,
    after: Norm,
    weigh: Option<(Tensor, Tensor)>,
    shortcut: Option<(Conv, Norm)>,
}

impl Unit {
    fn new(b: &mut Builder, name: &str, (from, to): (i64, i64), stride: i64, weigh: bool) -> Self {
        let part = |part: &str| format!("{name}.{part}");
        let narrow = (to / REDUCTION).max(1);
        Self {
            before: Norm::new(b, &part("before"), from),
            first: Conv::new(b, &part("first"), (from, to), 3, 1),
            between: Norm::new(b, &part("between"), to),
            prelu: Prelu::new(b, &part("prelu"), to),
            second: Conv::new(b, &part("second"), (to, to), 3, stride),
            after: Norm::new(b, &part("after"), to),
            weigh: weigh.then(|| {
                (
                    b.weight(&part("squeeze.weight"), &[narrow, to], Init::he(to)),
                    b.weight(&part("excite.weight"), &[to, narrow], Init::he(narrow)),
                )
            }),
            shortcut: (stride != 1 || from != to).then(|| {
                (
                    Conv::new(b, &part("shortcut"), (from, to), 1, stride),
                    Norm::new(b, &part("shortcut.norm"), to),
                )
            }),
        }
    }

    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let y = self.first.forward(&self.before.forward(x, train));
        let y = self.second.forward(&self.between.with(&y, train, None, Some(&self.prelu)));
        let short = self.shortcut.as_ref().map(|(conv, norm)| norm.forward(&conv.forward(x), train));
        let short = short.as_ref().unwrap_or(x);
        let Some((squeeze, excite)) = &self.weigh else {
            return self.after.with(&y, train, Some(short), None);
        };
        let y = self.after.forward(&y, train);
        let means = y.mean_dim([2, 3].as_slice(), false, None::<Kind>);
        let narrow = functions::linear(&means, squeeze).relu();
        y * functions::sigmoid(&functions::linear(&narrow, excite)).unsqueeze(-1).unsqueeze(-1) + short
    }

    fn steps(&self, to: &mut dyn Steps, x: Map) -> Map {
        let y = self.before.steps(to, x, None, None);
        let y = self.first.steps(to, y);
        let y = self.between.steps(to, y, None, Some(&self.prelu));
        let y = self.second.steps(to, y);
        let short = match &self.shortcut {
            Some((conv, norm)) => {
                let short = conv.steps(to, x);
                norm.steps(to, short, None, None)
            }
            None => x,
        };
        let Some((squeeze, excite)) = &self.weigh else {
            return self.after.steps(to, y, Some(short), None);
        };
        let y = self.after.steps(to, y, None, None);
        let means = to.step(&Op::Mean, &[y]);
        let narrow = pointwise(to, squeeze, means, &Op::Relu);
        let weights = pointwise(to, excite, narrow, &Op::Sigmoid);
        let y = to.step(&Op::Scale, &[y, weights]);
        to.step(&Op::Add, &[y, short])
    }
}

/// A linear layer on maps of one place, which is a convolution, and what follows it.
fn pointwise(to: &mut dyn Steps, weight: &Tensor, x: Map, then: &Op<'_>) -> Map {
    let weight = &weight.unsqueeze(-1).unsqueeze(-1);
    let y = to.step(&Op::Conv { weight, stride: 1, padding: 0, groups: 1 }, &[x]);
    to.step(then, &[y])
}

#[derive(Debug)]
struct Built {
    stem: Conv,
    norm: Norm,
    prelu: Prelu,
    units: Vec<Unit>,
    last: Norm,
    embedding: Embedding,
}

impl Network for Built {
    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let stem = self.norm.with(&self.stem.forward(x), train, None, Some(&self.prelu));
        let map = self.units.iter().fold(stem, |map, unit| unit.forward(&map, train));
        self.embedding.forward(&self.last.forward(&map, train), train)
    }

    fn steps(&self, to: &mut dyn Steps, x: Map) -> Map {
        let stem = self.stem.steps(to, x);
        let stem = self.norm.steps(to, stem, None, Some(&self.prelu));
        let map = self.units.iter().fold(stem, |map, unit| unit.steps(to, map));
        let map = self.last.steps(to, map, None, None);
        self.embedding.steps(to, map)
    }
}
