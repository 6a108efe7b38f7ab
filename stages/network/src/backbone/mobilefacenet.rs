//! MobileFaceNet (Chen et al. 2018, Table 1).

use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::layers::{Block, Conv, Embedding, halved};
use super::{Network, Settings};
use crate::builder::Builder;
use crate::steps::{Map, Steps};

/// MobileFaceNet (Chen et al. 2018, Table 1): inverted residuals, and a global depthwise convolution instead
/// of pooling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MobileFaceNet {
    /// Channels of the stem, 64 in the paper; all other widths are proportional.
    #[schemars(range(min = 8, max = 512))]
    pub width: u32,
}

impl Default for MobileFaceNet {
    fn default() -> Self {
        Self { width: 64 }
    }
}

/// The rows of the paper's table: expansion, channels as a multiple of the stem's, repeats, stride of the
/// first unit.
const ROWS: [(i64, i64, usize, i64); 5] =
    [(2, 1, 5, 2), (4, 2, 1, 2), (2, 2, 6, 1), (4, 2, 1, 2), (2, 2, 2, 1)];

impl Settings for MobileFaceNet {
    fn check(&self) -> Result<()> {
        if (8..=512).contains(&self.width) {
            return Ok(());
        }
        Err(Failure::new(format!("mobilefacenet.width is {}, but must be from 8 to 512", self.width)))
    }

    fn build(&self, b: &mut Builder, side: i64, size: i64) -> Box<dyn Network> {
        let width = i64::from(self.width);
        let mut side = halved(side);
        let conv = Conv::new(b, "stem", (3, width), 3, 2);
        let mut layers = vec![Layer::Block(Block::new(b, "stem", conv, width, true))];
        let conv = Conv::depthwise(b, "stem-depthwise", width, 3, 1, 1);
        layers.push(Layer::Block(Block::new(b, "stem-depthwise", conv, width, true)));
        let mut from = width;
        for (row, (expansion, channels, repeats, stride)) in ROWS.into_iter().enumerate() {
            for repeat in 0..repeats {
                let (to, stride) = (channels * width, if repeat == 0 { stride } else { 1 });
                let name = format!("row{row}.unit{repeat}");
                layers.push(Layer::Bottleneck(Bottleneck::new(
                    b,
                    &name,
                    (from, to),
                    expansion * from,
                    stride,
                )));
                from = to;
                if stride == 2 {
                    side = halved(side);
                }
            }
        }
        let last = 8 * width;
        let conv = Conv::new(b, "last", (from, last), 1, 1);
        layers.push(Layer::Block(Block::new(b, "last", conv, last, true)));
        let conv = Conv::depthwise(b, "global", last, side, 1, 0);
        layers.push(Layer::Block(Block::new(b, "global", conv, last, false)));
        Box::new(Built { layers, embedding: Embedding::new(b, last, 1, size) })
    }
}

#[derive(Debug)]
struct Bottleneck {
    expand: Block,
    depthwise: Block,
    project: Block,
    shortcut: bool,
}

impl Bottleneck {
    fn new(b: &mut Builder, name: &str, (from, to): (i64, i64), inner: i64, stride: i64) -> Self {
        let part = |part: &str| format!("{name}.{part}");
        let conv = Conv::new(b, &part("expand"), (from, inner), 1, 1);
        let expand = Block::new(b, &part("expand"), conv, inner, true);
        let conv = Conv::depthwise(b, &part("depthwise"), inner, 3, stride, 1);
        let depthwise = Block::new(b, &part("depthwise"), conv, inner, true);
        let conv = Conv::new(b, &part("project"), (inner, to), 1, 1);
        let project = Block::new(b, &part("project"), conv, to, false);
        Self { expand, depthwise, project, shortcut: stride == 1 && from == to }
    }

    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let inner = self.depthwise.forward(&self.expand.forward(x, train), train);
        match self.shortcut {
            true => self.project.beside(&inner, train, x, None),
            false => self.project.forward(&inner, train),
        }
    }

    fn steps(&self, to: &mut dyn Steps, x: Map) -> Map {
        let inner = self.expand.steps(to, x, None);
        let inner = self.depthwise.steps(to, inner, None);
        self.project.steps(to, inner, self.shortcut.then_some((x, None)))
    }
}

#[derive(Debug)]
enum Layer {
    Block(Block),
    Bottleneck(Bottleneck),
}

#[derive(Debug)]
struct Built {
    layers: Vec<Layer>,
    embedding: Embedding,
}

impl Network for Built {
    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let map = self.layers.iter().fold(x.shallow_clone(), |map, layer| match layer {
            Layer::Block(block) => block.forward(&map, train),
            Layer::Bottleneck(bottleneck) => bottleneck.forward(&map, train),
        });
        self.embedding.forward(&map, train)
    }

    fn steps(&self, to: &mut dyn Steps, x: Map) -> Map {
        let map = self.layers.iter().fold(x, |map, layer| match layer {
            Layer::Block(block) => block.steps(to, map, None),
            Layer::Bottleneck(bottleneck) => bottleneck.steps(to, map),
        });
        self.embedding.steps(to, map)
    }
}
