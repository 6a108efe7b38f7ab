//! Plain softmax on normalised embeddings and class weights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::head::{Cosines, Loss, cross_entropy};

/// Plain softmax on normalised embeddings and class weights: `p = e^{s cos_y} / sum_k e^{s cos_k}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Softmax {}

impl Loss for Softmax {
    fn loss(&self, c: &Cosines) -> Tensor {
        cross_entropy(&(&c.own * c.scale), &c.rivals)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        vec![Self {}]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        Some(Self {})
    }

    #[cfg(test)]
    fn oracle(&self, cosines: &[f64], own: usize, scale: f64, _: u64) -> f64 {
        super::head::margin_oracle(cosines[own], cosines, own, scale)
    }
}
