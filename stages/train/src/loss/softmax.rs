//! Plain softmax, on cosines or on inner products.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::head::{Cosines, Loss, Memory, cross_entropy};

/// Plain softmax: `p = e^{s cos_y} / sum_k e^{s cos_k}`, or `e^{w_y x} / sum_k e^{w_k x}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Softmax {
    /// Whether embeddings and class weights are normalised, with the scale in place of their norms.
    pub normalised: bool,
}

impl Default for Softmax {
    fn default() -> Self {
        Self { normalised: true }
    }
}

impl Loss for Softmax {
    fn loss(&self, c: &Cosines, _: &mut Memory) -> Tensor {
        if self.normalised {
            return cross_entropy(&(&c.own * c.scale), &c.non_target);
        }
        let logits = &c.all * c.norms.unsqueeze(1) * c.class_norms.unsqueeze(0);
        let own = logits.gather(1, &c.column.unsqueeze(1), false).squeeze_dim(1);
        cross_entropy(&own, &c.non_target_of(&logits))
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        vec![Self { normalised: true }, Self { normalised: false }]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        Some(Self::default())
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        use super::head::Exact;
        let (own, x) = (batch.identity[i], &batch.embeddings[i]);
        if self.normalised {
            return batch.margin(i, batch.cosines(i)[own]);
        }
        let logits: Vec<f64> = batch.classes.iter().map(|w| Exact::dot(x, w)).collect();
        let logit = logits[own];
        Exact::cross_entropy(logits, own, logit)
    }
}
