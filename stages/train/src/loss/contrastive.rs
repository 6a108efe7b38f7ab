//! Contrastive loss: pairs of the same identity attract, pairs of two identities repel each other.

use lfs_network::functions;
use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::head::{Cosines, Loss, Memory, normalised, squared_distances, within};

/// Contrastive loss over all pairs of a batch (Hadsell et al. 2006, eq. 4): `d^2 / 2` for the same identity,
/// else `[m - d]+^2 / 2`, with d the distance of normalised embeddings. The loss of an image is the mean over
/// its positives plus the mean over its negatives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Contrastive {
    /// The margin m: two identities that are at least this far apart do not repel each other.
    #[schemars(range(min = 0.0, max = 2.0))]
    pub margin: f64,
    /// Images per identity in a batch.
    #[schemars(range(min = 2, max = 1024))]
    pub images_per_identity: u32,
}

impl Default for Contrastive {
    fn default() -> Self {
        Self { margin: 1.0, images_per_identity: 4 }
    }
}

impl Loss for Contrastive {
    fn loss(&self, c: &Cosines, _: &mut Memory) -> Tensor {
        let squares = squared_distances(&normalised(&c.embeddings));
        let kind = squares.kind();
        let (same, other) = tch::no_grad(|| {
            let same = c.identity.unsqueeze(1).eq_tensor(&c.identity.unsqueeze(0));
            let oneself = Tensor::eye(squares.size()[0], (Kind::Bool, squares.device()));
            (same.logical_and(&oneself.logical_not()).to_kind(kind), same.logical_not().to_kind(kind))
        });
        let near = (-functions::sqrt(&squares) + self.margin).clamp_min(0.0).square();
        let mean = |x: Tensor, of: &Tensor| {
            let count = of.sum_dim_intlist([1].as_slice(), false, kind).clamp_min(1.0);
            (x * of).sum_dim_intlist([1].as_slice(), false, kind) / count
        };
        (mean(squares, &same) + mean(near, &other)) * 0.5
    }

    fn images_per_identity(&self) -> usize {
        self.images_per_identity.max(2) as usize
    }

    fn trains_classes(&self) -> bool {
        false
    }

    fn check(&self) -> Result<()> {
        within("contrastive.margin", self.margin, 0.0, 2.0)?;
        within("contrastive.images-per-identity", f64::from(self.images_per_identity), 2.0, 1024.0)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        vec![Self::default(), Self { margin: 1.7, images_per_identity: 2 }]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        None
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        let all = (0..batch.identity.len()).filter(|j| *j != i);
        let (same, other): (Vec<usize>, Vec<usize>) =
            all.partition(|j| batch.identity[*j] == batch.identity[i]);
        let mean = |of: &[usize], f: &dyn Fn(f64) -> f64| {
            of.iter().map(|j| f(batch.distance(i, *j))).sum::<f64>() / of.len().max(1) as f64
        };
        mean(&same, &|d| d * d / 2.0) + mean(&other, &|d| (self.margin - d).max(0.0).powi(2) / 2.0)
    }
}
