//! A network: steps in order, and the tensors between them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use lfs_stage::{Failure, IoContext, Result};
use prost::Message;
use tch::{Device, Tensor};

use crate::attributes::Attributes;
use crate::operators::{self, Error, Step};
use crate::{proto, tensor};

/// An input or an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its name in the file.
    pub name: String,
    /// Its shape, if the file states one; a variable side is 0.
    pub shape: Option<Vec<i64>>,
}

/// A network read from a file.
///
/// Tensors cannot be used by two threads at a time: give each thread its own [twin](Self::twin).
pub struct Model {
    plan: Arc<Plan>,
    /// By place; empty for results of steps.
    constants: Vec<Option<Tensor>>,
}

/// The part that all twins share.
struct Plan {
    inputs: Vec<(usize, Value)>,
    outputs: Vec<(usize, Value)>,
    steps: Vec<Node>,
    device: Device,
}

/// A step, and the places of its inputs and outputs.
struct Node {
    /// Its operator and name, for messages.
    what: String,
    step: Step,
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
    /// Places that no later step reads.
    done_with: Vec<usize>,
}

impl Model {
    /// Reads a file and moves its weights to `device`.
    ///
    /// # Errors
    /// If the file cannot be read, is no network in the ONNX format, or has a step that cannot be computed as the ONNX
    /// specification defines it.
    pub fn open(path: &Path, device: Device) -> Result<Self> {
        let bytes = std::fs::read(path).doing("read", path)?;
        Self::read(&bytes, device)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn read(bytes: &[u8], device: Device) -> Result<Self> {
        let file = proto::Model::decode(bytes)
            .map_err(|e| Failure::new(format!("this is no network in the ONNX format: {e}")))?;
        let graph = file.graph.unwrap_or_default();
        if graph.nodes.is_empty() || graph.outputs.is_empty() {
            return Err(Failure::new("this is no network in the ONNX format: it has no steps or no outputs"));
        }
        let own = file.opsets.iter().find(|set| is_common(&set.domain));
        let version = own.map_or(1, |set| set.version);
        let mut places = Places::default();
        for constant in &graph.initializers {
            let value = tensor::read(constant)?;
            let value =
                on(&value, device).map_err(|e| Failure::new(format!("tensor `{}`: {e}", constant.name)))?;
            places.constant(&constant.name, value);
        }
        let mut inputs = Vec::new();
        for input in &graph.inputs {
            // Old files list their weights among the inputs.
            if !places.of.contains_key(input.name.as_str()) {
                inputs.push((places.place(&input.name), described(input)));
            }
        }
        let mut steps = Vec::new();
        for node in &graph.nodes {
            let what = if node.name.is_empty() {
                format!("step {} of the network ({})", steps.len() + 1, node.operator)
            } else {
                format!("step `{}` of the network ({})", node.name, node.operator)
            };
            let failed = |e: Failure| Failure { message: format!("{what}: {}", e.message), ..e };
            if node.operator == "Constant" && is_common(&node.domain) {
                let value = constant(node, version).map_err(failed)?;
                let value = on(&value, device).map_err(|e| failed(Failure::new(e.to_string())))?;
                let name = node.outputs.first().map(String::as_str).unwrap_or_default();
                places.constant(name, value);
                continue;
            }
            if !is_common(&node.domain) {
                return Err(failed(Failure::new(format!(
                    "operators of the domain `{}` are not supported",
                    node.domain
                ))));
            }
            let inputs =
                node.inputs.iter().map(|name| places.find(name)).collect::<Result<_>>().map_err(failed)?;
            let step = operators::make(&node.operator, Attributes::of(node, version)).map_err(failed)?;
            let outputs =
                node.outputs.iter().map(|name| (!name.is_empty()).then(|| places.place(name))).collect();
            steps.push(Node { what, step, inputs, outputs, done_with: Vec::new() });
        }
        let mut outputs = Vec::new();
        for output in &graph.outputs {
            let place = places.find(&output.name)?;
            let place = place.ok_or_else(|| Failure::new("an output of the network has no name"))?;
            outputs.push((place, described(output)));
        }
        forget(&mut steps, &outputs, &places.constants);
        Ok(Self { plan: Arc::new(Plan { inputs, outputs, steps, device }), constants: places.constants })
    }

    /// The inputs in order, without the weights.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.plan.inputs.iter().map(|i| &i.1)
    }

    /// The outputs in order.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.plan.outputs.iter().map(|o| &o.1)
    }

    /// Computes the outputs from the inputs, in the order of [`Model::inputs`].
    ///
    /// # Errors
    /// If the number of inputs is wrong, or a step cannot be computed for their shapes.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let plan = &self.plan;
        if inputs.len() != plan.inputs.len() {
            return Err(Failure::new(format!(
                "the network takes {} inputs, {} were given",
                plan.inputs.len(),
                inputs.len()
            )));
        }
        let mut values: Vec<Option<Tensor>> =
            self.constants.iter().map(|c| c.as_ref().map(Tensor::shallow_clone)).collect();
        for ((place, _), input) in plan.inputs.iter().zip(inputs) {
            let input = on(input, plan.device).map_err(|e| Failure::new(e.to_string()))?;
            values[*place] = Some(input);
        }
        tch::no_grad(|| {
            for node in &plan.steps {
                let given: Vec<Option<&Tensor>> =
                    node.inputs.iter().map(|place| place.and_then(|place| values[place].as_ref())).collect();
                let made = (node.step)(&given).map_err(|e| node.failed(&e))?;
                for (place, value) in node.outputs.iter().zip(made) {
                    if let Some(place) = place {
                        values[*place] = Some(value);
                    }
                }
                for place in &node.done_with {
                    values[*place] = None;
                }
            }
            let value = |(place, value): &(usize, Value)| {
                let made = values[*place].as_ref().map(Tensor::shallow_clone);
                made.ok_or_else(|| Failure::new(format!("no step gives the output `{}`", value.name)))
            };
            plan.outputs.iter().map(value).collect()
        })
    }

    /// Another model with the same weights, for another thread.
    #[must_use]
    pub fn twin(&self) -> Self {
        let constants = self.constants.iter().map(|c| c.as_ref().map(Tensor::shallow_clone)).collect();
        Self { plan: Arc::clone(&self.plan), constants }
    }
}

impl Node {
    fn failed(&self, error: &Error) -> Failure {
        let why = match error {
            Error::Told(why) => why.clone(),
            Error::Torch(e) => e.to_string().lines().next().unwrap_or_default().to_owned(),
        };
        Failure::new(format!("{}: {why}", self.what))
    }
}

/// The places of tensors, by name.
#[derive(Default)]
struct Places<'a> {
    of: HashMap<&'a str, usize>,
    constants: Vec<Option<Tensor>>,
}

impl<'a> Places<'a> {
    fn place(&mut self, name: &'a str) -> usize {
        self.of.insert(name, self.constants.len());
        self.constants.push(None);
        self.constants.len() - 1
    }

    fn constant(&mut self, name: &'a str, value: Tensor) {
        let place = self.place(name);
        self.constants[place] = Some(value);
    }

    /// The place of a name; none for an omitted input.
    fn find(&self, name: &str) -> Result<Option<usize>> {
        match self.of.get(name) {
            Some(place) => Ok(Some(*place)),
            None if name.is_empty() => Ok(None),
            None => Err(Failure::new(format!("nothing before it gives `{name}`"))),
        }
    }
}

/// Determines which places each step may free.
fn forget(steps: &mut [Node], outputs: &[(usize, Value)], constants: &[Option<Tensor>]) {
    let mut last: HashMap<usize, usize> = HashMap::new();
    for (k, node) in steps.iter().enumerate() {
        for place in node.inputs.iter().chain(&node.outputs).flatten() {
            last.insert(*place, k);
        }
    }
    for (place, _) in outputs {
        last.remove(place);
    }
    for (place, k) in last {
        if constants[place].is_none() {
            steps[k].done_with.push(place);
        }
    }
}

/// Whether this is the standard operator set.
fn is_common(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// Integer tensors, which hold shapes, stay where they are; others are moved to the device.
fn on(x: &Tensor, device: Device) -> Result<Tensor, tch::TchError> {
    if x.kind() == tch::Kind::Int64 { Ok(x.shallow_clone()) } else { x.f_to_device(device) }
}

/// The value of a `Constant`.
fn constant(node: &proto::Node, version: i64) -> Result<Tensor> {
    let mut a = Attributes::of(node, version);
    let torch = |e: tch::TchError| Failure::new(e.to_string());
    let told = a.tensor("value")?;
    let value = if let Some(x) = told {
        x
    } else if let Some(x) = a.float("value_float") {
        Tensor::from(x as f32)
    } else if let Some(x) = a.int("value_int") {
        Tensor::from(x)
    } else if let Some(x) = a.ints("value_ints") {
        Tensor::f_from_slice(&x).map_err(torch)?
    } else if let Some(x) = a.floats("value_floats") {
        Tensor::f_from_slice(&x).and_then(|x| x.f_to_kind(tch::Kind::Float)).map_err(torch)?
    } else {
        return Err(Failure::new("it has no value that can be read"));
    };
    a.finish()?;
    Ok(value)
}

fn described(value: &proto::ValueInfo) -> Value {
    let shape = value.kind.as_ref().and_then(|t| t.tensor.as_ref()).and_then(|t| t.shape.as_ref());
    let shape = shape.map(|shape| shape.sides.iter().map(|side| side.length).collect());
    Value { name: value.name.clone(), shape }
}
