//! A-Softmax: a factor on the angle, annealed.

use lfs_network::functions;
use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::head::{Cosines, Loss, Memory, cross_entropy, within};

/// A-Softmax: `psi(theta) = (-1)^k cos(m theta) - 2 k` with `k = floor(m theta / pi)` (Liu et al. 2017,
/// "SphereFace", eq. 7), annealed: `f = (lambda cos theta + psi) / (1 + lambda)` with
/// `lambda = max(lambda-least, lambda-start (1 + lambda-decay i)^-lambda-power)` at the i-th step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ASoftmax {
    /// The factor m on the angle.
    #[schemars(range(min = 1, max = 8))]
    pub margin: u32,
    /// Whether lambda is used; without it `f = psi` from the first step.
    pub annealing: bool,
    /// Lambda at the first step.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub lambda_start: f64,
    /// The lower bound of lambda.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub lambda_least: f64,
    /// The decay of lambda per step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub lambda_decay: f64,
    /// The exponent of the decay.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub lambda_power: f64,
}

impl Default for ASoftmax {
    fn default() -> Self {
        Self {
            margin: 4,
            annealing: true,
            lambda_start: 1000.0,
            lambda_least: 5.0,
            lambda_decay: 1e-4,
            lambda_power: 2.0,
        }
    }
}

impl ASoftmax {
    /// Lambda after `iteration` steps.
    pub fn lambda(&self, iteration: u64) -> f64 {
        let falling =
            self.lambda_start * libm::pow(1.0 + self.lambda_decay * iteration as f64, -self.lambda_power);
        falling.max(self.lambda_least)
    }
}

impl Loss for ASoftmax {
    fn loss(&self, c: &Cosines, _: &mut Memory) -> Tensor {
        let factor = f64::from(self.margin);
        // cos(m theta) as a polynomial of cos theta, T_{j+1} = 2 x T_j - T_{j-1}, whose derivative is finite
        // everywhere.
        let (mut before, mut multiple) = (c.own.ones_like(), c.own.shallow_clone());
        for _ in 1..self.margin {
            (before, multiple) = (multiple.shallow_clone(), &c.own * 2.0 * &multiple - before);
        }
        let (sign, shift) = tch::no_grad(|| {
            let turns = (functions::acos(&c.own.clamp(-1.0, 1.0)) * (factor / std::f64::consts::PI)).floor();
            let turns = turns.clamp(0.0, factor - 1.0);
            let odd = turns.remainder(2.0);
            (odd * -2.0 + 1.0, turns * 2.0)
        });
        let psi = sign * multiple - shift;
        // The number of the step is read only if it is needed, since a loss that depends on it cannot be
        // recorded.
        let lambda = if self.annealing { self.lambda(c.iteration.number()) } else { 0.0 };
        let f = (&c.own * lambda + psi) / (1.0 + lambda);
        cross_entropy(&(c.target_cosine(f) * c.scale), &c.non_target)
    }

    fn check(&self) -> Result<()> {
        within("a-softmax.margin", f64::from(self.margin), 1.0, 8.0)?;
        within("a-softmax.lambda-start", self.lambda_start, 0.0, 1e6)?;
        within("a-softmax.lambda-least", self.lambda_least, 0.0, 1e6)?;
        within("a-softmax.lambda-decay", self.lambda_decay, 0.0, 1.0)?;
        within("a-softmax.lambda-power", self.lambda_power, 0.0, 10.0)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        let without = |margin| Self { margin, annealing: false, ..Self::default() };
        vec![Self::default(), without(2), without(3), without(4), without(8)]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        Some(Self { margin: 1, ..Self::default() })
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        let (m, cos) = (f64::from(self.margin), batch.cosines(i)[batch.identity[i]]);
        let theta = libm::acos(cos.clamp(-1.0, 1.0));
        let k = (m * theta / std::f64::consts::PI).floor().min(m - 1.0);
        let psi = libm::pow(-1.0_f64, k) * libm::cos(m * theta) - 2.0 * k;
        let lambda = match self.annealing {
            true => (1000.0 * (1.0 + 1e-4 * batch.iteration as f64).powi(-2)).max(5.0),
            false => 0.0,
        };
        let f = (lambda * cos + psi) / (1.0 + lambda);
        batch.margin(i, f)
    }
}
