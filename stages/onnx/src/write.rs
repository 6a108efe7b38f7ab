//! Writes a network of this program as ONNX: operator set 13, which all common runtimes read.

use lfs_network::model::{Model as Network, Plan};
use lfs_network::steps::{Map, Op, Steps};
use lfs_stage::{Failure, Result};
use prost::Message;
use tch::{Device, Kind, Tensor};

use crate::proto::{
    Attribute, Graph, Model, Node, Opset, Shape, Side, Tensor as Constant, TensorType, ValueInfo, ValueType,
};

/// The version of the format, and of its operators.
const FORMAT: i64 = 8;
const OPERATORS: i64 = 13;
/// The codes of float32, and of types of attributes.
const FLOAT: i32 = 1;
const OF_FLOAT: i32 = 1;
const OF_INT: i32 = 2;
const OF_INTS: i32 = 7;
/// The names of the input and the output.
const INPUT: &str = "crops";
const OUTPUT: &str = "embeddings";

/// The bytes of a file for a network: `crops` float32 `[n, 3, side, side]` to `embeddings` float32 `[n, size]`.
///
/// # Errors
/// If a weight cannot be read.
pub fn write(network: &Network, plan: &Plan) -> Result<Vec<u8>> {
    let mut writer = Writer::default();
    let Map(last) = network.steps(&mut writer, Map(0));
    if let Some(e) = writer.failed {
        return Err(Failure::new(format!("the network's weights cannot be read: {e}")));
    }
    for node in &mut writer.graph.nodes {
        for name in node.outputs.iter_mut().filter(|name| **name == called(last)) {
            OUTPUT.clone_into(name);
        }
    }
    let side = i64::from(plan.size);
    let value = |name: &str, sides: &[i64]| {
        let first = Side { length: 0, name: "n".to_owned() };
        let rest = sides.iter().map(|length| Side { length: *length, name: String::new() });
        let shape = Some(Shape { sides: std::iter::once(first).chain(rest).collect() });
        ValueInfo {
            name: name.to_owned(),
            kind: Some(ValueType { tensor: Some(TensorType { kind: FLOAT, shape }) }),
        }
    };
    let graph = Graph {
        name: "network".to_owned(),
        inputs: vec![value(INPUT, &[3, side, side])],
        outputs: vec![value(OUTPUT, &[i64::from(plan.embedding)])],
        ..writer.graph
    };
    let opsets = vec![Opset { domain: String::new(), version: OPERATORS }];
    let model = Model { version: FORMAT, producer: "lfs-pipe".to_owned(), graph: Some(graph), opsets };
    Ok(model.encode_to_vec())
}

#[derive(Default)]
struct Writer {
    graph: Graph,
    maps: usize,
    failed: Option<tch::TchError>,
}

/// The name of a map.
fn called(map: usize) -> String {
    if map == 0 { INPUT.to_owned() } else { format!("map{map}") }
}

impl Writer {
    /// Adds a constant of this shape, and gives its name.
    fn constant(&mut self, tensor: &Tensor, shape: &[i64]) -> String {
        let name = format!("weight{}", self.graph.initializers.len());
        let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).flatten(0, -1);
        match Vec::<f32>::try_from(&flat) {
            Ok(values) => self.graph.initializers.push(Constant {
                name: name.clone(),
                shape: shape.to_vec(),
                kind: FLOAT,
                raw: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
                ..Constant::default()
            }),
            Err(e) => self.failed = Some(e),
        }
        name
    }

    fn node(&mut self, operator: &str, inputs: Vec<String>, attributes: Vec<Attribute>) -> Map {
        self.maps += 1;
        let name = format!("{}{}", operator.to_lowercase(), self.maps);
        let outputs = vec![called(self.maps)];
        let operator = operator.to_owned();
        self.graph.nodes.push(Node { inputs, outputs, name, operator, attributes, domain: String::new() });
        Map(self.maps)
    }
}

fn int(name: &str, int: i64) -> Attribute {
    Attribute { name: name.to_owned(), int, kind: OF_INT, ..Attribute::default() }
}

fn ints(name: &str, ints: &[i64]) -> Attribute {
    Attribute { name: name.to_owned(), ints: ints.to_vec(), kind: OF_INTS, ..Attribute::default() }
}

impl Steps for Writer {
    fn step(&mut self, op: &Op<'_>, of: &[Map]) -> Map {
        let mut inputs: Vec<String> = of.iter().map(|map| called(map.0)).collect();
        match op {
            Op::Conv { weight, stride, padding, groups } => {
                let shape = weight.size();
                inputs.push(self.constant(weight, &shape));
                let attributes = vec![
                    ints("kernel_shape", &shape[2..]),
                    ints("strides", &[*stride; 2]),
                    ints("pads", &[*padding; 4]),
                    int("group", *groups),
                ];
                self.node("Conv", inputs, attributes)
            }
            Op::Norm { affine, mean, variance, floor } => {
                let channels = mean.size();
                let (ones, zeros) = (Tensor::ones_like(mean), Tensor::zeros_like(mean));
                let (scale, shift) = affine.unwrap_or((&ones, &zeros));
                inputs.extend([scale, shift, *mean, *variance].map(|t| self.constant(t, &channels)));
                let floor = Attribute {
                    name: "epsilon".to_owned(),
                    float: *floor as f32,
                    kind: OF_FLOAT,
                    ..Attribute::default()
                };
                self.node("BatchNormalization", inputs, vec![floor])
            }
            Op::Prelu(slope) => {
                let shape = [slope.size()[0], 1, 1];
                inputs.push(self.constant(slope, &shape));
                self.node("PRelu", inputs, Vec::new())
            }
            Op::Linear(weight) => {
                let flat = self.node("Flatten", inputs, vec![int("axis", 1)]);
                let weight = self.constant(weight, &weight.size());
                self.node("Gemm", vec![called(flat.0), weight], vec![int("transB", 1)])
            }
            Op::Add => self.node("Add", inputs, Vec::new()),
            Op::Scale => self.node("Mul", inputs, Vec::new()),
            Op::Mean => self.node("ReduceMean", inputs, vec![ints("axes", &[2, 3]), int("keepdims", 1)]),
            Op::Relu => self.node("Relu", inputs, Vec::new()),
            Op::Sigmoid => self.node("Sigmoid", inputs, Vec::new()),
        }
    }
}
