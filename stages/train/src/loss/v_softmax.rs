//! V-Softmax: an extra class aligned with each image.

use lfs_network::functions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::head::{Cosines, Loss, Memory, cross_entropy};

/// V-Softmax: an extra class in the denominator, whose weight is `||w_y|| x / ||x||` (Chen et al. 2018,
/// "Virtual Softmax", eq. 3). With normalised embeddings and weights its cosine is 1, so that it is a
/// constant logit s.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct VSoftmax {}

impl Loss for VSoftmax {
    fn loss(&self, c: &Cosines, _: &mut Memory) -> Tensor {
        let non_target = functions::log_add_exp(&c.non_target, c.scale);
        cross_entropy(&(&c.own * c.scale), &non_target)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        vec![Self {}]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        None
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        let cosines = batch.cosines(i);
        let with_virtual: Vec<f64> = cosines.iter().copied().chain([1.0]).map(|c| batch.scale * c).collect();
        let own = batch.identity[i];
        super::head::Exact::cross_entropy(with_virtual, own, batch.scale * cosines[own])
    }
}
