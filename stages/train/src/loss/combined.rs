//! Combined margin: a factor on the angle, and margins on the angle and on the cosine.

use lfs_network::functions;
use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::head::{Cosines, Loss, Memory, cross_entropy, within};

/// Combined margin: `f = cos(m1 theta_y + m2) - m3` (Deng et al. 2019, "ArcFace", eq. 4).
///
/// Where the angle `m1 theta + m2` passes a multiple of pi and the cosine would rise again, f continues to
/// fall as in A-Softmax: `(-1)^k cos(.) - 2 k` with `k = floor(. / pi)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Combined {
    /// The factor m1 on the angle.
    #[schemars(range(min = 1.0, max = 8.0))]
    pub factor: f64,
    /// The margin m2 on the angle, in radians.
    #[schemars(range(min = 0.0, max = 1.5))]
    pub angle: f64,
    /// The margin m3 on the cosine.
    #[schemars(range(min = 0.0, max = 2.0))]
    pub cosine: f64,
    /// Apply the margins only where the cosine is above 0.
    pub easy_margin: bool,
}

impl Default for Combined {
    fn default() -> Self {
        Self { factor: 1.0, angle: 0.3, cosine: 0.2, easy_margin: false }
    }
}

/// The angles of cosines, clamped away from 1 and -1, where the derivative is infinite.
pub(super) fn angle(own: &Tensor) -> Tensor {
    let edge = if own.kind() == tch::Kind::Double { 1e-12 } else { 1e-7 };
    functions::acos(&own.clamp(edge - 1.0, 1.0 - edge))
}

impl Loss for Combined {
    fn loss(&self, c: &Cosines, _: &mut Memory) -> Tensor {
        let turned = angle(&c.own) * self.factor + self.angle;
        let (sign, shift) = tch::no_grad(|| {
            let turns = (&turned / std::f64::consts::PI).floor();
            (turns.remainder(2.0) * -2.0 + 1.0, turns * 2.0)
        });
        let with = sign * functions::cos(&turned) - shift - self.cosine;
        let f = if self.easy_margin { with.where_self(&c.own.gt(0.0), &c.own) } else { with };
        cross_entropy(&(c.target_cosine(f) * c.scale), &c.non_target)
    }

    fn check(&self) -> Result<()> {
        within("combined-margin.factor", self.factor, 1.0, 8.0)?;
        within("combined-margin.angle", self.angle, 0.0, 1.5)?;
        within("combined-margin.cosine", self.cosine, 0.0, 2.0)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        let one = |factor, angle, cosine, easy_margin| Self { factor, angle, cosine, easy_margin };
        vec![one(1.0, 0.3, 0.2, false), one(1.35, 0.0, 0.1, true), one(4.0, 1.5, 0.0, false)]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        Some(Self { factor: 1.0, angle: 0.0, cosine: 0.0, easy_margin: false })
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        let cos = batch.cosines(i)[batch.identity[i]];
        let turned = self.factor * libm::acos(cos.clamp(-1.0, 1.0)) + self.angle;
        let k = (turned / std::f64::consts::PI).floor();
        let f = libm::pow(-1.0_f64, k) * libm::cos(turned) - 2.0 * k - self.cosine;
        batch.margin(i, if self.easy_margin && cos <= 0.0 { cos } else { f })
    }
}
