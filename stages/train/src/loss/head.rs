//! What every loss shares: normalise, cosine, scale, cross-entropy.
//!
//! Cross-entropy needs two numbers an image: the logit of the true class, and the log-sum-exp of all others
//! (the *rivals*). A margin method changes the first, V-Softmax the second; both are `[n]`, so that no method
//! costs more than plain softmax, and `-log p = softplus(rivals - logit)` never takes the logarithm of a rounded
//! probability.

use std::fmt::Debug;

use lfs_stage::{Failure, Result};
use tch::{Kind, Tensor};

/// What a loss sees of a batch of `n` images.
#[derive(Debug)]
pub struct Cosines {
    /// Cosine between each embedding and the weight of its own class, `[n]`.
    pub own: Tensor,
    /// `log sum_{k != y} exp(s cos_k)`, `[n]`.
    pub rivals: Tensor,
    /// The scale s.
    pub scale: f64,
    /// Steps taken since the beginning of training.
    pub iteration: u64,
}

/// A loss: from cosines to one number an image.
pub trait Loss: Debug {
    /// `-log p_m` for each image, `[n]`.
    fn loss(&self, c: &Cosines) -> Tensor;

    /// Which images a bound of the loss cuts off from the gradient, `[n]` of 0 and 1, where it has such a bound.
    fn clamped(&self, _c: &Cosines) -> Option<Tensor> {
        None
    }

    /// The parameter a of L5, where it has one.
    fn a(&self) -> Option<f64> {
        None
    }

    /// Checks what a schema cannot say.
    ///
    /// # Errors
    /// A message that names the setting.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Instances for the tests over the table.
    #[cfg(test)]
    fn examples() -> Vec<Self>
    where
        Self: Sized;

    /// The instance that is plain softmax, where there is one.
    #[cfg(test)]
    fn neutral() -> Option<Self>
    where
        Self: Sized;

    /// The loss of one image from the formula as printed, in float64 and without libtorch.
    #[cfg(test)]
    fn oracle(&self, cosines: &[f64], own: usize, scale: f64, iteration: u64) -> f64;
}

/// Cross-entropy of a true logit `[n]` against rivals `[n]`: `-log(e^z / (e^z + e^rivals))`.
pub fn cross_entropy(logit: &Tensor, rivals: &Tensor) -> Tensor {
    (rivals - logit).softplus()
}

/// The cosines of a batch.
///
/// `embeddings`: `[n, d]`; `classes`: `[k, d]`, one weight a class; `labels`: `[n]`, int64. Both are normalised
/// here. Its cost is that of one matrix product `[n, d] x [d, k]` and one log-sum-exp over `[n, k]`.
pub fn cosines(
    embeddings: &Tensor,
    classes: &Tensor,
    labels: &Tensor,
    scale: f64,
    iteration: u64,
) -> Cosines {
    from_matrix(&normalised(embeddings).matmul(&normalised(classes).tr()), labels, scale, iteration)
}

/// The cosines of a batch from the matrix `[n, k]` of all of them.
pub fn from_matrix(all: &Tensor, labels: &Tensor, scale: f64, iteration: u64) -> Cosines {
    let index = labels.unsqueeze(1);
    let own = all.gather(1, &index, false).squeeze_dim(1);
    let rivals = (all * scale).scatter_value(1, &index, f64::NEG_INFINITY).logsumexp([1], false);
    Cosines { own, rivals, scale, iteration }
}

/// Rows of length 1.
pub fn normalised(x: &Tensor) -> Tensor {
    let length = x.square().sum_dim_intlist([1].as_slice(), true, Kind::Float).sqrt().clamp_min(1e-12);
    x / length
}

/// Refuses a number that is not finite or lies outside of `low..=high`.
///
/// # Errors
/// A message with the name, the number and the bounds.
pub fn within(name: &str, value: f64, low: f64, high: f64) -> Result<()> {
    if value.is_finite() && (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Failure::new(format!("{name} is {value}, but must be from {low} to {high}")))
}

/// `log sum exp` in float64, for oracles.
#[cfg(test)]
pub fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY { top } else { top + values.map(|v| (v - top).exp()).sum::<f64>().ln() }
}

/// `-log(e^{s f} / (e^{s f} + sum_{k != own} e^{s cos_k}))`, for oracles.
#[cfg(test)]
pub fn margin_oracle(f: f64, cosines: &[f64], own: usize, scale: f64) -> f64 {
    let others = cosines.iter().enumerate().filter(|(k, _)| *k != own).map(|(_, c)| scale * c);
    log_sum_exp(others.chain([scale * f])) - scale * f
}
