//! MV-Softmax: higher weight of the classes that an image is mistaken for.

use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::arc_softmax::with_angle;
use super::head::{Cosines, Loss, Memory, cross_entropy, within};

/// MV-Softmax (Wang et al. 2020, "Mis-classified Vector Guided Softmax Loss for Face Recognition"): a margin
/// on the target cosine, and a weight `h(t, cos_k)` on each class whose cosine is above the margin-adjusted
/// target cosine, with `h = e^{s t}` (fixed) or `h = e^{s t (cos_k + 1)}` (adaptive).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MvSoftmax {
    /// What the margin is applied to.
    pub on: On,
    /// The margin m, in units of the cosine or in radians.
    #[schemars(range(min = 0.0, max = 1.5))]
    pub margin: f64,
    /// The parameter t of the weight of misclassified classes.
    #[schemars(range(min = 0.0, max = 2.0))]
    pub weight: f64,
    /// Whether the weight grows with the cosine.
    pub adaptive: bool,
}

/// What a margin is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// The cosine.
    Cosine,
    /// The angle.
    Angle,
}

impl Default for MvSoftmax {
    fn default() -> Self {
        Self { on: On::Cosine, margin: 0.35, weight: 0.2, adaptive: true }
    }
}

impl Loss for MvSoftmax {
    fn loss(&self, c: &Cosines, _: &mut Memory) -> Tensor {
        let f = c.target_cosine(match self.on {
            On::Cosine => &c.own - self.margin,
            On::Angle => with_angle(&c.own, self.margin),
        });
        let mistaken = tch::no_grad(|| c.all.gt_tensor(&f.unsqueeze(1)));
        let heavier = match self.adaptive {
            true => &c.all * (1.0 + self.weight) + self.weight,
            false => &c.all + self.weight,
        };
        let non_target = c.non_target_of(&(heavier.where_self(&mistaken, &c.all) * c.scale));
        cross_entropy(&(f * c.scale), &non_target)
    }

    fn check(&self) -> Result<()> {
        within("mv-softmax.margin", self.margin, 0.0, 1.5)?;
        within("mv-softmax.weight", self.weight, 0.0, 2.0)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        let one = |on, margin, weight, adaptive| Self { on, margin, weight, adaptive };
        vec![Self::default(), one(On::Angle, 0.5, 0.3, true), one(On::Cosine, 0.1, 0.12, false)]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        Some(Self { margin: 0.0, weight: 0.0, ..Self::default() })
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        use super::head::Exact;
        let (cosines, own) = (batch.cosines(i), batch.identity[i]);
        let f = match self.on {
            On::Cosine => cosines[own] - self.margin,
            On::Angle => super::arc_softmax::angle_oracle(cosines[own], self.margin),
        };
        let weight = |c: f64| if self.adaptive { self.weight * (c + 1.0) } else { self.weight };
        let logits = cosines.iter().map(|c| batch.scale * if *c > f { c + weight(*c) } else { *c });
        Exact::cross_entropy(logits.collect(), own, batch.scale * f)
    }
}
