//! A network as steps, for files in other formats.
//!
//! A network says which steps it consists of ([`Network::steps`](crate::backbone::Network::steps)); what they are written as is up to
//! the receiver.

use tch::Tensor;

/// The result of a step, or the input of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Map(pub usize);

/// A step of a network that is not trained any more.
#[derive(Debug)]
pub enum Op<'a> {
    /// Convolution without bias; weight `[to, from / groups, kernel, kernel]`.
    Conv {
        /// The weight.
        weight: &'a Tensor,
        /// The distance between two places.
        stride: i64,
        /// The number of zeros on every side.
        padding: i64,
        /// Groups of channels that are convolved separately.
        groups: i64,
    },
    /// Batch normalisation `(x - mean) / sqrt(variance + floor) * scale + shift`; the tensors are `[channels]`.
    Norm {
        /// The scale and the shift; 1 and 0 if there are none.
        affine: Option<(&'a Tensor, &'a Tensor)>,
        /// The running mean.
        mean: &'a Tensor,
        /// The running variance.
        variance: &'a Tensor,
        /// What is added to it.
        floor: f64,
    },
    /// `max(x, 0) + slope min(x, 0)`, slope `[channels]`.
    Prelu(&'a Tensor),
    /// `[n, c, h, w]` to `[n, size]` with a weight `[size, c h w]`.
    Linear(&'a Tensor),
    /// The sum of two maps.
    Add,
    /// The product of a map and a number for each channel, `[n, c, 1, 1]`.
    Scale,
    /// The mean over a map, `[n, c, 1, 1]`.
    Mean,
    /// `max(x, 0)`.
    Relu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// What receives the steps in order.
pub trait Steps {
    /// Adds a step on one or two maps.
    fn step(&mut self, op: &Op<'_>, of: &[Map]) -> Map;
}
