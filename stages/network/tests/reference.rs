//! Every network against a description of its own: loops over float64 numbers, written from the papers' tables and not
//! from the code, and the number of weights counted by hand.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::collections::BTreeMap;

use lfs_network::backbone::iresnet::{Depth, IResNet};
use lfs_network::backbone::mobilefacenet::MobileFaceNet;
use lfs_network::backbone::resnet_4stage::Resnet4Stage;
use lfs_network::backbone::resnet_small::ResnetSmall;
use lfs_network::backbone::{Architecture, Backbone};
use lfs_network::model::{Model, Plan};
use tch::{Kind, Tensor};

/// Maps of one image: channel, row, column.
#[derive(Clone)]
struct Map {
    channels: usize,
    side: usize,
    at: Vec<f64>,
}

struct Weights(BTreeMap<String, (Vec<i64>, Vec<f64>)>);

impl Weights {
    fn get(&self, name: &str) -> &(Vec<i64>, Vec<f64>) {
        self.0.get(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// A convolution with zeros around the map.
    fn conv(&self, name: &str, x: &Map, stride: usize, padding: usize, depthwise: bool) -> Map {
        let (shape, w) = self.get(&format!("{name}.weight"));
        let (to, from, k) = (shape[0] as usize, shape[1] as usize, shape[2] as usize);
        let side = (x.side + 2 * padding - k) / stride + 1;
        let mut at = vec![0.0; to * side * side];
        for o in 0..to {
            for (r, c) in (0..side).flat_map(|r| (0..side).map(move |c| (r, c))) {
                let mut sum = 0.0;
                for i in 0..from {
                    let channel = if depthwise { o } else { i };
                    for (dr, dc) in (0..k).flat_map(|dr| (0..k).map(move |dc| (dr, dc))) {
                        let (row, column) = (r * stride + dr, c * stride + dc);
                        if row < padding || column < padding {
                            continue;
                        }
                        let (row, column) = (row - padding, column - padding);
                        if row < x.side && column < x.side {
                            sum += w[((o * from + i) * k + dr) * k + dc]
                                * x.at[(channel * x.side + row) * x.side + column];
                        }
                    }
                }
                at[(o * side + r) * side + c] = sum;
            }
        }
        Map { channels: to, side, at }
    }

    fn each(x: &Map, f: impl Fn(usize, f64) -> f64) -> Map {
        let area = x.side * x.side;
        Map { at: x.at.iter().enumerate().map(|(i, v)| f(i / area, *v)).collect(), ..x.clone() }
    }

    /// Normalisation by the running statistics.
    fn norm(&self, name: &str, x: &Map) -> Map {
        let number = |part: &str, c: usize, otherwise: f64| {
            self.0.get(&format!("{name}.{part}")).map_or(otherwise, |(_, v)| v[c])
        };
        Self::each(x, |c, v| {
            let deviation = (number("variance", c, f64::NAN) + 1e-5).sqrt();
            (v - number("mean", c, f64::NAN)) / deviation * number("scale", c, 1.0) + number("shift", c, 0.0)
        })
    }

    fn prelu(&self, name: &str, x: &Map) -> Map {
        let (_, slope) = self.get(&format!("{name}.slope"));
        Self::each(x, |c, v| if v > 0.0 { v } else { slope[c] * v })
    }

    fn add(a: &Map, b: &Map) -> Map {
        assert_eq!((a.channels, a.side), (b.channels, b.side));
        Map { at: a.at.iter().zip(&b.at).map(|(a, b)| a + b).collect(), ..a.clone() }
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (shape, w) = self.get(&format!("{name}.weight"));
        assert_eq!(shape[1] as usize, x.len());
        w.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    }

    fn embedding(&self, x: &Map) -> Vec<f64> {
        let numbers = self.linear("embedding", &x.at);
        let flat = Map { channels: numbers.len(), side: 1, at: numbers };
        self.norm("embedding.norm", &flat).at
    }

    /// He et al. 2016 with PReLU: the small networks.
    fn residual(&self, x: &Map, depths: &[usize]) -> Vec<f64> {
        let block = |name: &str, x: &Map, stride, padding| {
            self.norm(&format!("{name}.norm"), &self.conv(name, x, stride, padding, false))
        };
        let mut x = self.prelu("stem.prelu", &block("stem", x, 1, 1));
        for (stage, units) in depths.iter().enumerate() {
            for unit in 0..*units {
                let stride = if unit == 0 { 2 } else { 1 };
                let name = format!("stage{stage}.unit{unit}");
                let y = self
                    .prelu(&format!("{name}.first.prelu"), &block(&format!("{name}.first"), &x, stride, 1));
                let y = block(&format!("{name}.second"), &y, 1, 1);
                let short = if unit == 0 { block(&format!("{name}.shortcut"), &x, stride, 0) } else { x };
                x = self.prelu(&format!("{name}.prelu"), &Self::add(&y, &short));
            }
        }
        self.embedding(&x)
    }

    /// IResNet: the table of depths is that of its authors.
    fn iresnet(&self, x: &Map, depths: [usize; 4], weigh: bool) -> Vec<f64> {
        let mut x = self.prelu("stem.prelu", &self.norm("stem.norm", &self.conv("stem", x, 1, 1, false)));
        for (stage, units) in depths.iter().enumerate() {
            for unit in 0..*units {
                let stride = if unit == 0 { 2 } else { 1 };
                let part = |part: &str| format!("stage{stage}.unit{unit}.{part}");
                let y = self.conv(&part("first"), &self.norm(&part("before"), &x), 1, 1, false);
                let y = self.prelu(&part("prelu"), &self.norm(&part("between"), &y));
                let mut y = self.norm(&part("after"), &self.conv(&part("second"), &y, stride, 1, false));
                if weigh {
                    let area = y.side * y.side;
                    let means: Vec<f64> =
                        y.at.chunks(area).map(|m| m.iter().sum::<f64>() / area as f64).collect();
                    let narrow: Vec<f64> =
                        self.linear(&part("squeeze"), &means).iter().map(|v| v.max(0.0)).collect();
                    let wide = self.linear(&part("excite"), &narrow);
                    y = Self::each(&y, |c, v| v / (1.0 + (-wide[c]).exp()));
                }
                let short = match unit {
                    0 => self.norm(&part("shortcut.norm"), &self.conv(&part("shortcut"), &x, 2, 0, false)),
                    _ => x,
                };
                x = Self::add(&y, &short);
            }
        }
        self.embedding(&self.norm("last.norm", &x))
    }

    /// MobileFaceNet, table 1 of its paper: expansion, repeats, stride.
    fn mobilefacenet(&self, x: &Map) -> Vec<f64> {
        let block = |name: &str, x: &Map, stride, padding, depthwise| {
            self.norm(&format!("{name}.norm"), &self.conv(name, x, stride, padding, depthwise))
        };
        let active = |name: &str, x: &Map| self.prelu(&format!("{name}.prelu"), x);
        let x = active("stem", &block("stem", x, 2, 1, false));
        let mut x = active("stem-depthwise", &block("stem-depthwise", &x, 1, 1, true));
        for (row, (repeats, stride)) in [(5, 2), (1, 2), (6, 1), (1, 2), (2, 1)].into_iter().enumerate() {
            for repeat in 0..repeats {
                let part = |part: &str| format!("row{row}.unit{repeat}.{part}");
                let stride = if repeat == 0 { stride } else { 1 };
                let y = active(&part("expand"), &block(&part("expand"), &x, 1, 0, false));
                let y = active(&part("depthwise"), &block(&part("depthwise"), &y, stride, 1, true));
                let y = block(&part("project"), &y, 1, 0, false);
                x = if stride == 1 && y.channels == x.channels { Self::add(&y, &x) } else { y };
            }
        }
        let x = active("last", &block("last", &x, 1, 0, false));
        self.embedding(&block("global", &x, 1, 0, true))
    }
}

const SIDE: usize = 32;

/// A model whose running statistics are no longer those of the beginning, an image, and the embedding of it.
fn model(backbone: &Architecture, side: usize) -> (Model, Map, Vec<f64>) {
    let plan = Plan { backbone: backbone.clone(), size: side as u32, embedding: 12 };
    let model = Model::seeded(&plan, 11, tch::Device::Cpu).unwrap();
    let count = (4 * 3 * side * side) as i64;
    let noise = (Tensor::arange(count, (Kind::Float, tch::Device::Cpu)) * 1.7).sin();
    let noise = noise.view([4, 3, side as i64, side as i64]);
    let found = tch::no_grad(|| {
        let _ = model.forward(&noise, true);
        let _ = model.forward(&(noise.flip([0]) * 0.5 + 0.1), true);
        model.forward(&noise.narrow(0, 1, 1), false)
    });
    let numbers =
        |x: &Tensor| Vec::<f64>::try_from(x.to_kind(Kind::Double).contiguous().flatten(0, -1)).unwrap();
    let image = Map { channels: 3, side, at: numbers(&noise.narrow(0, 1, 1)) };
    (model, image, numbers(&found))
}

fn weights(model: &Model) -> Weights {
    let all = model.tensors().into_iter().map(|(name, x)| {
        let numbers =
            Vec::<f64>::try_from(x.detach().to_kind(Kind::Double).contiguous().flatten(0, -1)).unwrap();
        (name, (x.size(), numbers))
    });
    Weights(all.collect())
}

fn same(found: &[f64], expected: &[f64], what: &str) {
    let size = expected.iter().map(|v| v * v).sum::<f64>().sqrt();
    assert!(size > 0.1, "{what}: the embedding is next to nothing");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 2e-4 * size.max(1.0), "{what}: {a} {b}");
    }
}

fn iresnet(depth: Depth, squeeze_excitation: bool, width: u32) -> Architecture {
    Architecture::IResNet(IResNet { depth, squeeze_excitation, width })
}

#[test]
fn every_network_gives_what_its_description_in_loops_gives() {
    for &backbone in Backbone::ALL {
        match backbone {
            Backbone::ResnetSmall | Backbone::Resnet4Stage => {
                let (settings, depths): (Architecture, &[usize]) = match backbone {
                    Backbone::ResnetSmall => (
                        Architecture::ResnetSmall(ResnetSmall {
                            widths: vec![8, 16, 24],
                            depths: vec![1, 2],
                        }),
                        &[1, 2, 1],
                    ),
                    _ => {
                        let settings = Resnet4Stage { widths: vec![4, 8, 16, 32], depths: vec![2, 1, 1, 3] };
                        (Architecture::Resnet4Stage(settings), &[2, 1, 1, 3])
                    }
                };
                let (model, image, found) = model(&settings, SIDE);
                same(&found, &weights(&model).residual(&image, depths), backbone.name());
            }
            Backbone::MobileFaceNet => {
                let (model, image, found) =
                    model(&Architecture::MobileFaceNet(MobileFaceNet { width: 8 }), SIDE);
                same(&found, &weights(&model).mobilefacenet(&image), backbone.name());
            }
            Backbone::IResNet => {
                for (depth, units) in [
                    (Depth::D18, [2, 2, 2, 2]),
                    (Depth::D34, [3, 4, 6, 3]),
                    (Depth::D50, [3, 4, 14, 3]),
                    (Depth::D100, [3, 13, 30, 3]),
                ] {
                    for weigh in [false, true] {
                        let (model, image, found) = model(&iresnet(depth, weigh, 16), SIDE);
                        same(&found, &weights(&model).iresnet(&image, units, weigh), &format!("{depth:?}"));
                    }
                }
            }
        }
    }
}

/// The weights of an IResNet for crops of 112 x 112 and embeddings of 512 numbers, counted by hand. The usual programs
/// count 1024 more: a bias and a shift of the embedding, which the normalisation behind them makes idle or the cosine
/// does without.
fn counted(units: [usize; 4], weigh: bool) -> usize {
    let mut sum = 3 * 64 * 9 + 64 * 3;
    let mut from = 64;
    for (stage, units) in units.into_iter().enumerate() {
        let to = 64 << stage;
        for unit in 0..units {
            sum += 2 * from + from * to * 9 + 2 * to + to + to * to * 9 + 2 * to;
            sum += if weigh { 2 * to * (to / 16) } else { 0 };
            sum += if unit == 0 { from * to + 2 * to } else { 0 };
            from = to;
        }
    }
    sum + 2 * 512 + 512 * 7 * 7 * 512
}

#[test]
fn iresnets_have_as_many_weights_as_their_tables_say() {
    for (depth, units, millions) in [
        (Depth::D18, [2, 2, 2, 2], 24.0),
        (Depth::D34, [3, 4, 6, 3], 34.1),
        (Depth::D50, [3, 4, 14, 3], 43.6),
        (Depth::D100, [3, 13, 30, 3], 65.2),
    ] {
        for weigh in [false, true] {
            let plan = Plan { backbone: iresnet(depth, weigh, 64), size: 112, embedding: 512 };
            let model = Model::seeded(&plan, 0, tch::Device::Cpu).unwrap();
            let found: usize = model.weights().values().map(Tensor::numel).sum();
            assert_eq!(found, counted(units, weigh), "{depth:?} {weigh}");
            if !weigh {
                assert!((found as f64 / 1e6 - millions).abs() < 0.06, "{depth:?}: {found}");
            }
        }
    }
}
