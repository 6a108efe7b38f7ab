//! Circle loss: each similarity is weighted by its distance from the optimum.

use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::head::{Cosines, Loss, Memory, cross_entropy, within};

/// Circle loss with class labels (Sun et al. 2020, eqs. 5 to 8): the target logit is
/// `s [1 + m - cos_y]+ (cos_y - 1 + m)`, the others `s [cos_k + m]+ (cos_k - m)`. The factors in brackets are
/// constants to the gradient. Its scale s is `gamma`, not the scale of the other losses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Circle {
    /// The margin m.
    #[schemars(range(min = -1.0, max = 1.0))]
    pub margin: f64,
    /// The scale s.
    #[schemars(range(min = 0.1, max = 10_000.0))]
    pub gamma: f64,
}

impl Default for Circle {
    fn default() -> Self {
        Self { margin: 0.25, gamma: 256.0 }
    }
}

impl Loss for Circle {
    fn loss(&self, c: &Cosines, _: &mut Memory) -> Tensor {
        let m = self.margin;
        let (pull, push) = tch::no_grad(|| {
            ((-&c.own + 1.0 + m).clamp_min(0.0).detach(), (&c.all + m).clamp_min(0.0).detach())
        });
        let own = pull * (&c.own - (1.0 - m)) * self.gamma;
        let others = push * (&c.all - m) * self.gamma;
        cross_entropy(&own, &c.non_target_of(&others))
    }

    fn check(&self) -> Result<()> {
        within("circle-loss.margin", self.margin, -1.0, 1.0)?;
        within("circle-loss.gamma", self.gamma, 0.1, 1e4)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        vec![Self::default(), Self { margin: 0.4, gamma: 32.0 }]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        None
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        use super::head::Exact;
        let (cosines, own, m) = (batch.cosines(i), batch.identity[i], self.margin);
        let still = batch.still().cosines(i);
        let logit = self.gamma * (1.0 + m - still[own]).max(0.0) * (cosines[own] - 1.0 + m);
        let logits =
            cosines.iter().zip(&still).map(|(c, s)| self.gamma * (s + m).max(0.0) * (c - m)).collect();
        Exact::cross_entropy(logits, own, logit)
    }
}
