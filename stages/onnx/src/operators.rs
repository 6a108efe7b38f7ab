//! The operators: a row each.
//!
//! What an operator does is told by the ONNX documents for each version of the set (`Operators.md`). A step is made once, with all
//! constants read and checked; what cannot be computed as the documents say is refused then, or when the shapes are seen.

mod maps;
mod plain;
mod shapes;

use lfs_network::functions;
use lfs_stage::{Failure, Result};
use tch::{TchError, Tensor};

use crate::attributes::Attributes;
use crate::windows;

/// Why a step failed.
#[derive(Debug)]
pub(crate) enum Error {
    Torch(TchError),
    Told(String),
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        Self::Torch(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Told(failure.message)
    }
}

pub(crate) fn told(why: impl Into<String>) -> Error {
    Error::Told(why.into())
}

/// From inputs, of which some may be left out, to outputs.
pub(crate) type Step = Box<dyn Fn(&[Option<&Tensor>]) -> Result<Vec<Tensor>, Error> + Send + Sync>;

/// Makes a step from its constants.
type Make = fn(&mut Attributes<'_>) -> Result<Step>;

/// All of them, by name.
const TABLE: &[(&str, Make)] = &[
    ("Add", |_| plain::pair(|x, y| x.f_add(y))),
    ("AveragePool", windows::average_pool),
    ("BatchNormalization", maps::batch_norm),
    ("Cast", plain::cast),
    ("Clip", plain::clip),
    ("Concat", shapes::concat),
    ("ConstantOfShape", shapes::constant_of_shape),
    ("Conv", |a| windows::convolution(a, false)),
    ("ConvTranspose", |a| windows::convolution(a, true)),
    ("Div", |_| plain::pair(plain::divided)),
    ("Dropout", plain::dropout),
    ("Exp", |_| plain::each(|x| Ok(functions::exp(x)))),
    ("Expand", |_| shapes::expand()),
    ("Flatten", shapes::flatten),
    ("Gather", shapes::gather),
    ("Gemm", maps::gemm),
    ("GlobalAveragePool", |_| maps::global_average_pool()),
    ("Identity", |_| plain::each(|x| Ok(x.shallow_clone()))),
    ("LeakyRelu", plain::leaky_relu),
    ("MatMul", |_| maps::mat_mul()),
    ("MaxPool", windows::max_pool),
    ("Mul", |_| plain::pair(|x, y| x.f_mul(y))),
    ("PRelu", |_| plain::pair(|x, slope| x.f_mul(slope)?.f_where_self(&x.f_lt(0)?, x))),
    ("Pad", shapes::pad),
    ("Pow", |_| plain::pair(|x, y| x.f_pow(y)?.f_to_kind(x.kind()))),
    ("ReduceMean", maps::reduce_mean),
    ("Relu", |_| plain::each(|x| x.f_relu())),
    ("Reshape", shapes::reshape),
    ("Resize", maps::resize),
    ("Shape", shapes::shape),
    ("Sigmoid", |_| plain::each(|x| x.f_sigmoid())),
    ("Slice", shapes::slice),
    ("Softmax", maps::softmax),
    ("Split", shapes::split),
    ("Sqrt", |_| plain::each(|x| Ok(functions::sqrt(x)))),
    ("Squeeze", shapes::squeeze),
    ("Sub", |_| plain::pair(|x, y| x.f_sub(y))),
    ("Tanh", |_| plain::each(|x| Ok(functions::tanh(x)))),
    ("Transpose", shapes::transpose),
    ("Unsqueeze", shapes::unsqueeze),
    ("Upsample", maps::resize),
];

/// The names of all.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.0)
}

/// Makes a step.
pub(crate) fn make(name: &str, mut attributes: Attributes<'_>) -> Result<Step> {
    let Some((_, make)) = TABLE.iter().find(|row| row.0 == name) else {
        let known: Vec<&str> = names().collect();
        return Err(Failure::new("this operator is not supported")
            .help(format!("supported operators: {}", known.join(", "))));
    };
    let step = make(&mut attributes)?;
    attributes.finish()?;
    Ok(step)
}

/// An input, where it is given.
pub(crate) fn one<'a>(inputs: &[Option<&'a Tensor>], k: usize) -> Option<&'a Tensor> {
    inputs.get(k).copied().flatten()
}

/// An input that must be given.
pub(crate) fn own<'a>(inputs: &[Option<&'a Tensor>], k: usize) -> Result<&'a Tensor, Error> {
    one(inputs, k).ok_or_else(|| told(format!("its input {} is missing", k + 1)))
}

/// The outputs of a step.
pub(crate) fn all(outputs: impl IntoIterator<Item = Tensor>) -> Result<Vec<Tensor>, Error> {
    Ok(outputs.into_iter().collect())
}

/// Whole numbers of a small tensor.
pub(crate) fn whole(x: &Tensor) -> Result<Vec<i64>, Error> {
    let flat = x.f_flatten(0, -1)?.f_to_device(tch::Device::Cpu)?.f_to_kind(tch::Kind::Int64)?;
    Ok(Vec::<i64>::try_from(&flat)?)
}

/// The numbers of a constant or, in newer versions, of an input.
pub(crate) fn told_or_given(
    told: Option<&Vec<i64>>,
    inputs: &[Option<&Tensor>],
    k: usize,
) -> Result<Option<Vec<i64>>, Error> {
    match told {
        Some(told) => Ok(Some(told.clone())),
        None => one(inputs, k).map(whole).transpose(),
    }
}

/// A place among `sides` sides, counted from the end where it is negative.
pub(crate) fn place(axis: i64, sides: usize) -> Result<usize, Error> {
    let from_start = if axis < 0 { axis + sides as i64 } else { axis };
    usize::try_from(from_start)
        .ok()
        .filter(|k| *k < sides)
        .ok_or_else(|| told(format!("there is no axis {axis} among {sides}")))
}
