//! Arc-Softmax: a margin on the angle.

use lfs_network::functions;
use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::head::{Cosines, Loss, Memory, cross_entropy, within};

/// Arc-Softmax: `f(m, theta_y) = cos(theta_y + m)` (Deng et al. 2019, "ArcFace", eq. 3).
///
/// Beyond `theta = pi - m`, where the cosine would rise again, `f = cos theta - m sin m`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ArcSoftmax {
    /// The margin m in radians.
    #[schemars(range(min = 0.0, max = 1.5))]
    pub margin: f64,
    /// Apply the margin only where the cosine is above 0, as the code released with Search-Softmax does.
    pub easy_margin: bool,
}

impl Default for ArcSoftmax {
    fn default() -> Self {
        Self { margin: 0.5, easy_margin: false }
    }
}

/// The lower bound of `sin^2 theta`: the derivative of the sine by the cosine is infinite at cos = +-1.
const LEAST_SQUARE: f64 = 1e-12;

impl Loss for ArcSoftmax {
    fn loss(&self, c: &Cosines, _: &mut Memory) -> Tensor {
        let with = with_angle(&c.own, self.margin);
        let f = if self.easy_margin { with.where_self(&c.own.gt(0.0), &c.own) } else { with };
        cross_entropy(&(c.target_cosine(f) * c.scale), &c.non_target)
    }

    fn check(&self) -> Result<()> {
        within("arc-softmax.margin", self.margin, 0.0, 1.5)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        let one = |margin, easy_margin| Self { margin, easy_margin };
        vec![one(0.5, false), one(0.35, true), one(1.5, false)]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        Some(Self { margin: 0.0, ..Self::default() })
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        let (cos, m) = (batch.cosines(i)[batch.identity[i]], self.margin);
        let f = if self.easy_margin && cos <= 0.0 { cos } else { angle_oracle(cos, m) };
        batch.margin(i, f)
    }
}

/// `cos(theta + m)`, and `cos theta - m sin m` beyond `theta = pi - m`.
pub(super) fn with_angle(own: &Tensor, margin: f64) -> Tensor {
    let sine = functions::sqrt(&(-own.square() + 1.0).clamp_min(LEAST_SQUARE));
    let with = own * libm::cos(margin) - sine * libm::sin(margin);
    with.where_self(&own.gt(-libm::cos(margin)), &(own - margin * libm::sin(margin)))
}

/// [`with_angle`] in float64, for oracles.
#[cfg(test)]
pub(super) fn angle_oracle(cos: f64, m: f64) -> f64 {
    let theta = libm::acos(cos.clamp(-1.0, 1.0));
    if theta + m < std::f64::consts::PI { libm::cos(theta + m) } else { cos - m * libm::sin(m) }
}
