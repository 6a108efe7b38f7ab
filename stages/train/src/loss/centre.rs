//! Centre loss: softmax, plus a pull of each embedding towards the centre of its identity.

use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::head::{Cosines, Loss, Memory, cross_entropy, within};

/// Centre loss (Wen et al. 2016, eqs. 5 and 6): softmax plus `lambda / 2 |x - c_y|^2`. At each step a centre
/// moves by `alpha` times the sum of the differences to its images in the batch, divided by one more than
/// their number. Centres start at 0. Here softmax is on cosines, and x is the embedding before normalisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Centre {
    /// The weight lambda of the distance.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub weight: f64,
    /// The learning rate alpha of the centres.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha: f64,
}

impl Default for Centre {
    fn default() -> Self {
        Self { weight: 0.003, alpha: 0.5 }
    }
}

const CENTRES: &str = "centres";

impl Loss for Centre {
    fn loss(&self, c: &Cosines, memory: &mut Memory) -> Tensor {
        let (kind, device) = (c.embeddings.kind(), c.embeddings.device());
        let width = c.embeddings.size()[1];
        let mut centres =
            memory.remove(CENTRES).unwrap_or_else(|| Tensor::zeros([c.classes, width], (kind, device)));
        let own = centres.index_select(0, &c.identity).detach();
        let apart = (&c.embeddings - &own).square().sum_dim_intlist([1].as_slice(), false, kind);
        tch::no_grad(|| {
            let off = own - c.embeddings.detach();
            let sum = Tensor::zeros([c.classes, width], (kind, device)).index_add(0, &c.identity, &off);
            let ones = c.identity.ones_like().to_kind(kind);
            let count = Tensor::zeros([c.classes], (kind, device)).index_add(0, &c.identity, &ones);
            centres -= sum / (count + 1.0).unsqueeze(1) * self.alpha;
        });
        memory.insert(CENTRES.to_owned(), centres);
        cross_entropy(&(&c.own * c.scale), &c.non_target) + apart * (self.weight / 2.0)
    }

    fn check(&self) -> Result<()> {
        within("centre-loss.weight", self.weight, 0.0, 10.0)?;
        within("centre-loss.alpha", self.alpha, 0.0, 1.0)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        vec![Self::default(), Self { weight: 0.5, alpha: 1.0 }]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        Some(Self { weight: 0.0, alpha: 0.5 })
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        let (own, x) = (batch.identity[i], &batch.embeddings[i]);
        let centre = |k: usize| batch.memory.get(CENTRES).map_or(0.0, |all| all[own * x.len() + k]);
        let apart: f64 = x.iter().enumerate().map(|(k, x)| (x - centre(k)).powi(2)).sum();
        batch.margin(i, batch.cosines(i)[own]) + self.weight / 2.0 * apart
    }
}
