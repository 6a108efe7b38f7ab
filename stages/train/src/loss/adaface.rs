//! AdaFace: the margin adapts to the image quality, estimated by the norm of the embedding.

use lfs_network::functions;
use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::combined::angle;
use super::head::{Cosines, Loss, Memory, cross_entropy, within};

/// AdaFace (Kim et al. 2022, eqs. 16 to 19): `f = cos(theta_y + g_angle) - g_add` with `g_angle = -m z`,
/// `g_add = m z + m` and `z = clip(h (norm - mean) / deviation, -1, 1)`. Mean and deviation are running means
/// over the steps. The angle is clamped to [0, pi].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdaFace {
    /// The margin m.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub margin: f64,
    /// The concentration h.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub concentration: f64,
    /// The weight of the old value in the running mean and deviation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub keep: f64,
}

impl Default for AdaFace {
    fn default() -> Self {
        Self { margin: 0.4, concentration: 0.33, keep: 0.99 }
    }
}

const MEAN: &str = "mean";
const DEVIATION: &str = "deviation";

impl Loss for AdaFace {
    fn loss(&self, c: &Cosines, memory: &mut Memory) -> Tensor {
        let z = tch::no_grad(|| {
            let norms = c.norms.detach().clamp(1e-3, 100.0);
            let mean = norms.mean(norms.kind());
            let deviation = functions::sqrt(&(&norms - &mean).square().mean(norms.kind()));
            let mut run = |name: &str, now: Tensor| {
                let run = match memory.get(name) {
                    Some(before) => before * self.keep + now * (1.0 - self.keep),
                    // The first step initialises the running values.
                    None => now,
                };
                memory.insert(name.to_owned(), run.copy());
                run
            };
            let (mean, deviation) = (run(MEAN, mean), run(DEVIATION, deviation));
            ((norms - mean) / (deviation + 1e-3) * self.concentration).clamp(-1.0, 1.0)
        });
        let turned = (angle(&c.own) - &z * self.margin).clamp(0.0, std::f64::consts::PI);
        let f = c.target_cosine(functions::cos(&turned) - (z + 1.0) * self.margin);
        cross_entropy(&(f * c.scale), &c.non_target)
    }

    fn check(&self) -> Result<()> {
        within("adaface.margin", self.margin, 0.0, 1.0)?;
        within("adaface.concentration", self.concentration, 0.0, 10.0)?;
        within("adaface.keep", self.keep, 0.0, 1.0)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        vec![Self::default(), Self { margin: 0.2, concentration: 2.0, keep: 0.5 }]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        Some(Self { margin: 0.0, ..Self::default() })
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        use super::head::Exact;
        let norms: Vec<f64> =
            batch.still().embeddings.iter().map(|x| Exact::norm(x).clamp(1e-3, 100.0)).collect();
        let n = norms.len() as f64;
        let mean = norms.iter().sum::<f64>() / n;
        let deviation = (norms.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / n).sqrt();
        let run = |name: &str, now: f64| match batch.memory.get(name) {
            Some(before) => self.keep * before[0] + (1.0 - self.keep) * now,
            None => now,
        };
        let (mean, deviation) = (run(MEAN, mean), run(DEVIATION, deviation));
        let z = (self.concentration * (norms[i] - mean) / (deviation + 1e-3)).clamp(-1.0, 1.0);
        let theta = libm::acos(batch.cosines(i)[batch.identity[i]].clamp(-1.0, 1.0));
        let turned = (theta - self.margin * z).clamp(0.0, std::f64::consts::PI);
        batch.margin(i, libm::cos(turned) - self.margin * z - self.margin)
    }
}
