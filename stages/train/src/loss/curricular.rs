//! CurricularFace: hard classes have little weight at first, and gain weight as training progresses.

use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::arc_softmax::with_angle;
use super::head::{Cosines, Loss, Memory, cross_entropy, within};

/// CurricularFace (Huang et al. 2020, eqs. 5 to 9): the target cosine becomes `cos(theta_y + m)`. A
/// non-target cosine above it becomes `cos_k (t + cos_k)`, where t is the running mean of the target cosines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CurricularFace {
    /// The margin m in radians.
    #[schemars(range(min = 0.0, max = 1.5))]
    pub margin: f64,
    /// The weight of the old value in the running mean t.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub keep: f64,
}

impl Default for CurricularFace {
    fn default() -> Self {
        Self { margin: 0.5, keep: 0.99 }
    }
}

const T: &str = "t";

impl Loss for CurricularFace {
    fn loss(&self, c: &Cosines, memory: &mut Memory) -> Tensor {
        let f = c.target_cosine(with_angle(&c.own, self.margin));
        let (t, hard) = tch::no_grad(|| {
            let mean = c.own.detach().mean(c.own.kind());
            let before = memory.get(T).map_or_else(|| mean.zeros_like(), Tensor::shallow_clone);
            let t = before * self.keep + mean * (1.0 - self.keep);
            memory.insert(T.to_owned(), t.copy());
            (t, c.all.gt_tensor(&f.unsqueeze(1)))
        });
        let harder = &c.all * (&c.all + t);
        let non_target = c.non_target_of(&(harder.where_self(&hard, &c.all) * c.scale));
        cross_entropy(&(f * c.scale), &non_target)
    }

    fn check(&self) -> Result<()> {
        within("curricularface.margin", self.margin, 0.0, 1.5)?;
        within("curricularface.keep", self.keep, 0.0, 1.0)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        vec![Self::default(), Self { margin: 0.2, keep: 0.5 }]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        None
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        use super::head::Exact;
        let (cosines, own, n) = (batch.cosines(i), batch.identity[i], batch.identity.len());
        let mean = (0..n).map(|j| batch.still().cosines(j)[batch.identity[j]]).sum::<f64>() / n as f64;
        let t = self.keep * batch.memory.get(T).map_or(0.0, |t| t[0]) + (1.0 - self.keep) * mean;
        let f = super::arc_softmax::angle_oracle(cosines[own], self.margin);
        let logits = cosines.iter().map(|c| batch.scale * if *c > f { c * (t + c) } else { *c });
        Exact::cross_entropy(logits.collect(), own, batch.scale * f)
    }
}
