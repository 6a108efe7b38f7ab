//! L5: the loss family that Search-Softmax searches.

use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::head::{Cosines, Loss, Memory, cross_entropy, within};

/// L5: `-log(h(a, p) p)` with `h(a, p) = 1 / (a p + 1 - a)` and a <= 0 (Wang et al. 2020, "Loss Function
/// Search for Face Recognition", eq. 7 and L5).
///
/// With r = 1 - a, `h(a, p) p = p / (p + r (1 - p))`: the target logit is lowered by `log(1 - a)`, which is
/// AM-Softmax with the margin `log(1 - a) / s`. The loss is computed in this form, which is accurate for any
/// a, where p itself would be rounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct L5 {
    /// The parameter a: 0 is plain softmax, and lower values lower the probability more.
    pub a: f64,
}

impl Loss for L5 {
    fn loss(&self, c: &Cosines, _: &mut Memory) -> Tensor {
        cross_entropy(&(&c.own * c.scale - libm::log1p(-self.a)), &c.non_target)
    }

    fn a(&self) -> Option<f64> {
        Some(self.a)
    }

    fn check(&self) -> Result<()> {
        within("a", self.a, -1e300, 0.0)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        [-1.0, -42_901.7, -1e9].map(|a| Self { a }).into()
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        Some(Self { a: 0.0 })
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        use super::head::log_sum_exp;
        let (cosines, own, scale) = (batch.cosines(i), batch.identity[i], batch.scale);
        let all = log_sum_exp(cosines.iter().map(|c| scale * c));
        let others = cosines.iter().enumerate().filter(|(k, _)| *k != own).map(|(_, c)| scale * c);
        // 1 - p is summed separately: with a = -1e9, subtracting p from 1 would leave seven digits.
        let (p, one_less_p) = (libm::exp(scale * cosines[own] - all), libm::exp(log_sum_exp(others) - all));
        let h = 1.0 / (1.0 - self.a * one_less_p);
        -libm::log(h * p)
    }
}
