//! The operators: one row each.
//!
//! The ONNX specification defines each operator for each version of the operator set (`Operators.md`). A step is created once, with
//! all attributes read and checked. A case that cannot be computed as specified is refused then, or when the shapes are known.

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

/// From inputs, some of which may be omitted, to outputs.
pub(crate) type Step = Box<dyn Fn(&[Option<&Tensor>]) -> Result<Vec<Tensor>, Error> + Send + Sync>;

/// Creates a step from its attributes.
type Make = fn(&mut Attributes<'_>) -> Result<Step>;

/// All operators, by name.
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

/// The names of all operators.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.0)
}

/// Creates a step.
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

/// An input, if it is given.
pub(crate) fn one<'a>(inputs: &[Option<&'a Tensor>], k: usize) -> Option<&'a Tensor> {
    inputs.get(k).copied().flatten()
}

/// A required input.
pub(crate) fn own<'a>(inputs: &[Option<&'a Tensor>], k: usize) -> Result<&'a Tensor, Error> {
    one(inputs, k).ok_or_else(|| told(format!("its input {} is missing", k + 1)))
}

/// The outputs of a step.
pub(crate) fn all(outputs: impl IntoIterator<Item = Tensor>) -> Result<Vec<Tensor>, Error> {
    Ok(outputs.into_iter().collect())
}

/// The elements of a small tensor as integers.
pub(crate) fn whole(x: &Tensor) -> Result<Vec<i64>, Error> {
    let flat = x.f_flatten(0, -1)?.f_to_device(tch::Device::Cpu)?.f_to_kind(tch::Kind::Int64)?;
    Ok(Vec::<i64>::try_from(&flat)?)
}

/// The values of an attribute or, in newer versions, of an input.
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

/// The index of an axis among `sides` axes; a negative axis counts from the end.
pub(crate) fn place(axis: i64, sides: usize) -> Result<usize, Error> {
    let from_start = if axis < 0 { axis + sides as i64 } else { axis };
    usize::try_from(from_start)
        .ok()
        .filter(|k| *k < sides)
        .ok_or_else(|| told(format!("there is no axis {axis} among {sides}")))
}
