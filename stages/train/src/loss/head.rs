//! The head that all losses share: normalisation, cosines, scale, cross-entropy.
//!
//! Cross-entropy needs two numbers per image: the target logit and the log-sum-exp of the non-target logits.
//! A margin method changes the first, V-Softmax the second. Both are `[n]`, so that these methods cost no
//! more than plain softmax, and `-log p = softplus(non_target - logit)` never takes the logarithm of a
//! rounded probability.

use std::cell::Cell;
use std::fmt::Debug;

use lfs_network::functions::{self, linear};
use lfs_network::weights::Tensors;
use lfs_stage::{Failure, Result};
use tch::{Kind, Tensor};

/// The inputs of a loss for a batch of `n` images.
#[derive(Debug)]
pub struct Cosines {
    /// The target cosine, between each embedding and the weight of its own class, `[n]`.
    pub own: Tensor,
    /// The log-sum-exp of the non-target logits, `log sum_{k != y} exp(s cos_k)`, `[n]`.
    pub non_target: Tensor,
    /// Cosines with all classes that this step uses, `[n, k]`.
    pub all: Tensor,
    /// The column of each image's own class in `all`, `[n]`, int64.
    pub column: Tensor,
    /// The class of each image, `[n]`, int64.
    pub identity: Tensor,
    /// The embeddings before normalisation, `[n, d]`.
    pub embeddings: Tensor,
    /// Their norms, `[n]`.
    pub norms: Tensor,
    /// The norms of the classes' weights, `[k]`.
    pub class_norms: Tensor,
    /// The number of classes.
    pub classes: i64,
    /// The scale s.
    pub scale: f64,
    /// Steps taken since the beginning of training.
    pub iteration: Iteration,
    /// Whether the derivative of the margin is left out of the gradient.
    pub straight_through: bool,
}

/// The number of a step, which records whether a loss read it: such a loss differs from step to step.
#[derive(Debug, Default)]
pub struct Iteration {
    number: u64,
    asked: Cell<bool>,
}

impl Iteration {
    /// The number of previous steps.
    pub fn number(&self) -> u64 {
        self.asked.set(true);
        self.number
    }

    /// Whether the number was read.
    pub fn counted(&self) -> bool {
        self.asked.get()
    }
}

impl From<u64> for Iteration {
    fn from(number: u64) -> Self {
        Self { number, asked: Cell::new(false) }
    }
}

/// Tensors that a loss carries from step to step, by name, such as a running mean. They are part of the
/// checkpoint.
pub type Memory = Tensors;

impl Cosines {
    /// The margin-adjusted target cosine `f(cos theta_y)`, `[n]`. With `straight_through` its derivative is
    /// that of the cosine itself, as in programs that subtract the margin outside of the gradient.
    pub fn target_cosine(&self, f: Tensor) -> Tensor {
        match self.straight_through {
            false => f,
            true => &self.own + (f - &self.own).detach(),
        }
    }

    /// The log-sum-exp, `[n]`, of logits `[n, k]` over all classes except the image's own.
    pub fn non_target_of(&self, logits: &Tensor) -> Tensor {
        functions::log_sum_exp(&logits.scatter_value(1, &self.column.unsqueeze(1), f64::NEG_INFINITY))
    }
}

/// A loss, with one value per image.
pub trait Loss: Debug {
    /// `-log p_m` for each image, `[n]`. Losses that compare images, or add a term, return each image's
    /// contribution to the mean. `memory` has the state after the previous step, and is updated in place.
    fn loss(&self, c: &Cosines, memory: &mut Memory) -> Tensor;

    /// For a loss with bounds: which images have no gradient because the loss was clamped, `[n]` of 0 and 1.
    fn clamped(&self, _c: &Cosines) -> Option<Tensor> {
        None
    }

    /// The parameter a of L5, if the loss has it.
    fn a(&self) -> Option<f64> {
        None
    }

    /// The number of images of an identity that must be adjacent in a batch.
    fn images_per_identity(&self) -> usize {
        1
    }

    /// Whether the loss trains the class weights.
    fn trains_classes(&self) -> bool {
        true
    }

    /// Checks constraints that the schema cannot express.
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

    /// The instance that is plain softmax, if there is one.
    #[cfg(test)]
    fn neutral() -> Option<Self>
    where
        Self: Sized;

    /// The loss of the i-th image by the printed formula, in float64 and without libtorch.
    #[cfg(test)]
    fn oracle(&self, batch: &Exact, i: usize) -> f64;
}

/// Cross-entropy of a target logit z `[n]` against the log-sum-exp r of the non-target logits `[n]`:
/// `-log(e^z / (e^z + e^r))`.
pub fn cross_entropy(logit: &Tensor, non_target: &Tensor) -> Tensor {
    functions::softplus(&(non_target - logit))
}

/// The options of [`cosines`].
#[derive(Debug, Clone, Copy)]
pub struct HeadOptions<'a> {
    /// The scale s.
    pub scale: f64,
    /// Steps taken since the beginning of training.
    pub iteration: u64,
    /// Whether the derivative of the margin is left out of the gradient.
    pub straight_through: bool,
    /// Sub-centres per class (Deng et al. 2020, "Sub-center ArcFace"), of which the nearest counts.
    pub sub_centres: i64,
    /// The classes that this step uses, in rising order; `None` for all. Those of the images must be among
    /// them (An et al. 2021, "Partial FC").
    pub sampled: Option<&'a [i64]>,
}

/// The cosines of a batch.
///
/// `embeddings` is `[n, d]`; `classes` is `[k c, d]`, with c adjacent sub-centres per class; `identity` is
/// `[n]`, int64. Embeddings and classes are normalised here. The cost is that of one matrix product
/// `[n, d] x [d, k c]` and one log-sum-exp over `[n, k]`.
pub fn cosines(
    embeddings: &Tensor,
    classes: &Tensor,
    identity: &Tensor,
    options: &HeadOptions<'_>,
) -> Cosines {
    let all_classes = classes.size()[0] / options.sub_centres;
    let device = embeddings.device();
    let (classes, column) = match options.sampled {
        None => (classes.shallow_clone(), identity.shallow_clone()),
        Some(sampled) => {
            let index = Tensor::from_slice(sampled).to_device(device);
            let rows = index.unsqueeze(1) * options.sub_centres
                + Tensor::arange(options.sub_centres, (Kind::Int64, device));
            let column = identity.searchsorted(&index, false, false, "left", None::<Tensor>);
            (classes.index_select(0, &rows.flatten(0, -1)), column)
        }
    };
    let (norms, class_norms) = (norm(embeddings), norm(&classes));
    let units = &classes / class_norms.unsqueeze(1);
    let products = linear(&(embeddings / norms.unsqueeze(1)), &units);
    let (all, class_norms) = match options.sub_centres {
        1 => (products, class_norms),
        c => (
            products.view([products.size()[0], -1, c]).amax([2], false),
            class_norms.view([-1, c]).amax([1], false),
        ),
    };
    let index = column.unsqueeze(1);
    let own = all.gather(1, &index, false).squeeze_dim(1);
    let non_target =
        functions::log_sum_exp(&(&all * options.scale).scatter_value(1, &index, f64::NEG_INFINITY));
    Cosines {
        own,
        non_target,
        all,
        column,
        identity: identity.shallow_clone(),
        embeddings: embeddings.shallow_clone(),
        norms,
        class_norms,
        classes: all_classes,
        scale: options.scale,
        iteration: options.iteration.into(),
        straight_through: options.straight_through,
    }
}

/// The norm of each row, clamped to at least 1e-12.
fn norm(x: &Tensor) -> Tensor {
    functions::sqrt(&x.square().sum_dim_intlist([1].as_slice(), false, x.kind())).clamp_min(1e-12)
}

/// Normalises the rows.
pub fn normalised(x: &Tensor) -> Tensor {
    x / norm(x).unsqueeze(1)
}

/// Squared distances between the rows of `x`, `[n, n]`, clamped to at least 1e-12, since the derivative of
/// the square root at 0 is infinite.
pub fn squared_distances(x: &Tensor) -> Tensor {
    let squares = x.square().sum_dim_intlist([1].as_slice(), false, x.kind());
    (squares.unsqueeze(1) + squares.unsqueeze(0) - linear(x, x) * 2.0).clamp_min(1e-12)
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

/// A batch in float64, without libtorch, for oracles.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub struct Exact {
    /// One row per image.
    pub embeddings: Vec<Vec<f64>>,
    /// One row per class.
    pub classes: Vec<Vec<f64>>,
    /// The class of each image.
    pub identity: Vec<usize>,
    /// The scale s.
    pub scale: f64,
    /// The number of previous steps.
    pub iteration: u64,
    /// The memory of the loss after the previous step.
    pub memory: std::collections::BTreeMap<String, Vec<f64>>,
    /// The original batch, when this one is shifted for numeric derivatives. Parts that the gradient leaves
    /// out are computed from it.
    pub still: Option<Box<Exact>>,
}

#[cfg(test)]
impl Exact {
    /// The batch from which parts that the gradient leaves out are computed.
    pub fn still(&self) -> &Self {
        self.still.as_deref().unwrap_or(self)
    }

    /// The inner product.
    pub fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// The Euclidean norm.
    pub fn norm(a: &[f64]) -> f64 {
        Self::dot(a, a).sqrt()
    }

    /// The cosines of an image with all classes.
    pub fn cosines(&self, i: usize) -> Vec<f64> {
        let x = &self.embeddings[i];
        self.classes.iter().map(|w| Self::dot(x, w) / Self::norm(x) / Self::norm(w)).collect()
    }

    /// The normalised embedding of an image.
    pub fn unit(&self, i: usize) -> Vec<f64> {
        let norm = Self::norm(&self.embeddings[i]);
        self.embeddings[i].iter().map(|x| x / norm).collect()
    }

    /// The distance of two normalised embeddings.
    pub fn distance(&self, i: usize, j: usize) -> f64 {
        let (a, b) = (self.unit(i), self.unit(j));
        a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    /// `-log(e^{s f} / (e^{s f} + sum_{k != own} e^{s cos_k}))` for a margin-adjusted target cosine f.
    pub fn margin(&self, i: usize, f: f64) -> f64 {
        let own = self.identity[i];
        let logits = self.cosines(i).iter().map(|c| self.scale * c).collect();
        Self::cross_entropy(logits, own, self.scale * f)
    }

    /// Cross-entropy of these logits with `logit` in place of the target logit.
    pub fn cross_entropy(mut logits: Vec<f64>, own: usize, logit: f64) -> f64 {
        logits[own] = logit;
        log_sum_exp(logits.iter().copied()) - logit
    }
}

/// `log sum exp` in float64, for oracles.
#[cfg(test)]
pub fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        top
    } else {
        top + libm::log(values.map(|v| libm::exp(v - top)).sum::<f64>())
    }
}
