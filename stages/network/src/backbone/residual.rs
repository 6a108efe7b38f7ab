//! Residual networks with any number of stages.

use tch::Tensor;

use super::Network;
use super::layers::{Block, Conv, Embedding, Prelu, halved};
use crate::builder::Builder;
use crate::steps::{Map, Steps};

/// A residual unit of two 3 x 3 convolutions (He et al. 2016).
#[derive(Debug)]
struct Unit {
    first: Block,
    second: Block,
    shortcut: Option<Block>,
    prelu: Prelu,
}

impl Unit {
    fn new(b: &mut Builder, name: &str, from: i64, to: i64, stride: i64) -> Self {
        let mut block = |part: &str, channels, kernel, stride, active| {
            let name = format!("{name}.{part}");
            let conv = Conv::new(b, &name, channels, kernel, stride);
            Block::new(b, &name, conv, to, active)
        };
        let first = block("first", (from, to), 3, stride, true);
        let second = block("second", (to, to), 3, 1, false);
        let shortcut = (stride != 1 || from != to).then(|| block("shortcut", (from, to), 1, stride, false));
        Self { first, second, shortcut, prelu: Prelu::new(b, &format!("{name}.prelu"), to) }
    }

    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let y = self.first.forward(x, train);
        let short = self.shortcut.as_ref().map(|shortcut| shortcut.forward(x, train));
        self.second.beside(&y, train, short.as_ref().unwrap_or(x), Some(&self.prelu))
    }

    fn steps(&self, to: &mut dyn Steps, x: Map) -> Map {
        let y = self.first.steps(to, x, None);
        let short = self.shortcut.as_ref().map_or(x, |shortcut| shortcut.steps(to, x, None));
        self.second.steps(to, y, Some((short, Some(&self.prelu))))
    }
}

/// A stem, stages of which each halves the map, and an embedding.
#[derive(Debug)]
pub struct Residual {
    stem: Block,
    units: Vec<Unit>,
    embedding: Embedding,
}

impl Residual {
    /// `widths` are the channels of each stage; `depths` the units of each stage, 1 for stages beyond the
    /// list.
    pub fn new(b: &mut Builder, widths: &[u32], depths: &[u32], side: i64, size: i64) -> Self {
        let mut from = i64::from(widths.first().copied().unwrap_or(16));
        let conv = Conv::new(b, "stem", (3, from), 3, 1);
        let stem = Block::new(b, "stem", conv, from, true);
        let (mut units, mut side) = (Vec::new(), side);
        for (stage, &width) in widths.iter().enumerate() {
            let to = i64::from(width);
            for unit in 0..depths.get(stage).copied().unwrap_or(1).max(1) {
                let stride = if unit == 0 { 2 } else { 1 };
                units.push(Unit::new(b, &format!("stage{stage}.unit{unit}"), from, to, stride));
                from = to;
            }
            side = halved(side);
        }
        Self { stem, units, embedding: Embedding::new(b, from, side, size) }
    }
}

impl Network for Residual {
    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let stem = self.stem.forward(x, train);
        let map = self.units.iter().fold(stem, |map, unit| unit.forward(&map, train));
        self.embedding.forward(&map, train)
    }

    fn steps(&self, to: &mut dyn Steps, x: Map) -> Map {
        let stem = self.stem.steps(to, x, None);
        let map = self.units.iter().fold(stem, |map, unit| unit.steps(to, map));
        self.embedding.steps(to, map)
    }
}
