//! Triplet loss: an image should be nearer to its positives than to its negatives.

use lfs_network::functions;
use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::head::{Cosines, Loss, Memory, normalised, squared_distances, within};

/// Triplet loss `[d(a, p) - d(a, n) + m]+` on normalised embeddings, d the Euclidean distance. The triplets
/// are mined in each batch, one or more for each anchor a. An image without a positive in its batch has a
/// loss of 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Triplet {
    /// The margin m.
    #[schemars(range(min = 0.0, max = 2.0))]
    pub margin: f64,
    /// How triplets are mined.
    pub mining: Mining,
    /// Images per identity in a batch.
    #[schemars(range(min = 2, max = 1024))]
    pub images_per_identity: u32,
}

/// How triplets are mined in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mining {
    /// For each anchor, the farthest positive and the nearest negative (Hermans et al. 2017, eq. 5).
    BatchHard,
    /// For each anchor and positive, the nearest negative that is farther than the positive, or the farthest
    /// negative if none is (Schroff et al. 2015, "FaceNet", section 3.2).
    SemiHard,
}

impl Default for Triplet {
    fn default() -> Self {
        Self { margin: 0.2, mining: Mining::BatchHard, images_per_identity: 4 }
    }
}

/// More than the distance of any two points of the unit sphere.
const FAR: f64 = 4.0;

impl Loss for Triplet {
    fn loss(&self, c: &Cosines, _: &mut Memory) -> Tensor {
        let distance = functions::sqrt(&squared_distances(&normalised(&c.embeddings)));
        let n = distance.size()[0];
        let (same, other) = tch::no_grad(|| {
            let same = c.identity.unsqueeze(1).eq_tensor(&c.identity.unsqueeze(0));
            let oneself = Tensor::eye(n, (Kind::Bool, distance.device()));
            (same.logical_and(&oneself.logical_not()), same.logical_not())
        });
        let far = distance.full_like(FAR);
        let none = distance.full_like(-FAR);
        match self.mining {
            Mining::BatchHard => {
                let farthest = distance.where_self(&same, &none).amax([1], false);
                let nearest = distance.where_self(&other, &far).amin([1], false);
                let whole = tch::no_grad(|| farthest.gt(0.0).logical_and(&nearest.lt(FAR)));
                (farthest - nearest + self.margin).clamp_min(0.0) * whole.to_kind(distance.kind())
            }
            Mining::SemiHard => {
                // [a, p, n]: whether n is a negative that is farther from a than p.
                let (to_p, to_n) = (distance.unsqueeze(2), distance.unsqueeze(1));
                let farther = tch::no_grad(|| to_n.gt_tensor(&to_p).logical_and(&other.unsqueeze(1)));
                let wide = to_n.expand_as(&farther);
                let semi = wide.where_self(&farther, &far.unsqueeze(1)).amin([2], false);
                let farthest =
                    distance.where_self(&other, &none).amax([1], false).unsqueeze(1).expand_as(&semi);
                let nearest = semi.where_self(&semi.lt(FAR), &farthest);
                let pairs = tch::no_grad(|| same.logical_and(&nearest.gt(0.0)).to_kind(distance.kind()));
                let losses = (&distance - nearest + self.margin).clamp_min(0.0) * &pairs;
                let count = tch::no_grad(|| {
                    pairs.sum_dim_intlist([1].as_slice(), false, pairs.kind()).clamp_min(1.0)
                });
                losses.sum_dim_intlist([1].as_slice(), false, distance.kind()) / count
            }
        }
    }

    fn images_per_identity(&self) -> usize {
        self.images_per_identity.max(2) as usize
    }

    fn trains_classes(&self) -> bool {
        false
    }

    fn check(&self) -> Result<()> {
        within("triplet.margin", self.margin, 0.0, 2.0)?;
        within("triplet.images-per-identity", f64::from(self.images_per_identity), 2.0, 1024.0)
    }

    #[cfg(test)]
    fn examples() -> Vec<Self> {
        let one = |margin, mining| Self { margin, mining, images_per_identity: 4 };
        vec![
            one(0.2, Mining::BatchHard),
            one(0.9, Mining::BatchHard),
            one(0.2, Mining::SemiHard),
            one(0.9, Mining::SemiHard),
        ]
    }

    #[cfg(test)]
    fn neutral() -> Option<Self> {
        None
    }

    #[cfg(test)]
    fn oracle(&self, batch: &super::head::Exact, i: usize) -> f64 {
        let (n, own) = (batch.identity.len(), batch.identity[i]);
        let to = |j: &usize| batch.distance(i, *j);
        let partners: Vec<f64> =
            (0..n).filter(|j| *j != i && batch.identity[*j] == own).map(|j| to(&j)).collect();
        let others: Vec<f64> = (0..n).filter(|j| batch.identity[*j] != own).map(|j| to(&j)).collect();
        if partners.is_empty() || others.is_empty() {
            return 0.0;
        }
        let highest = |all: &[f64]| all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lowest = |all: &mut dyn Iterator<Item = f64>| all.fold(f64::INFINITY, f64::min);
        match self.mining {
            Mining::BatchHard => {
                (highest(&partners) - lowest(&mut others.iter().copied()) + self.margin).max(0.0)
            }
            Mining::SemiHard => {
                let one = |p: &f64| {
                    let farther = lowest(&mut others.iter().copied().filter(|d| d > p));
                    let n = if farther.is_finite() { farther } else { highest(&others) };
                    (p - n + self.margin).max(0.0)
                };
                partners.iter().map(one).sum::<f64>() / partners.len() as f64
            }
        }
    }
}
