//! AM-Softmax: a margin on the cosine.

use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::head::{Cosines, Loss, Memory, cross_entropy, within};

/// AM-Softmax: `f(m, theta_y) = cos theta_y - m` (Wang et al. 2018, "Additive Margin Softmax", eq. 5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AmSoftmax {
    /// The margin m, in units of the cosine.
    #[schemars(range(min = 0.0, max = 2.0))]
    pub margin: f64,
    /// Apply the margin only where the cosine is above 0, as the code released with Search-Softmax does.
    pub easy_margin: bool,
}

impl Default for AmSoftmax {
    fn default() -> Self {
        Self { margin: 0.35, easy_margin: false }
    }
}

impl Loss for AmSoftmax {
    fn loss(&self, c: &Cosines, _: &mut Memory) -> Tensor {
        let with = &c.own - self.margin;
        let f = if self.easy_margin { with.where_self(&c.own.gt(0.0), &c.own) } else { with };
        cross_entropy(&(c.target_cosine(f) * c.scale), &c.non_target)
    }

    fn check(&self) -> Result<()> {
        within("am-softmax.margin", self.margin, 0.0, 2.0)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        let one = |margin, easy_margin| Self { margin, easy_margin };
        vec![one(0.35, false), one(0.35, true), one(2.0, false)]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        Some(Self { margin: 0.0, ..Self::default() })
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        let cos = batch.cosines(i)[batch.identity[i]];
        let f = if self.easy_margin && cos <= 0.0 { cos } else { cos - self.margin };
        batch.margin(i, f)
    }
}
