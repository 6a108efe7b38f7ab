//! Training metrics of an epoch, comparable between methods.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::step::Seen;

/// Bins of the histogram over p.
const BINS: usize = 20;
/// The gradient norm is computed every this many steps.
const NORM_EVERY: u64 = 10;

/// Means over the images of an epoch, each taken when its batch was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Figures {
    /// Number of images trained on.
    pub images: u64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// The method's own loss; for margin losses `-log p_m`.
    pub loss: f64,
    /// The loss of plain softmax (a = 0) on the same cosines, which is comparable between methods.
    pub softmax_loss: f64,
    /// The parameter a of L5, if the method has it.
    pub a: Option<f64>,
    /// The effective margin: the m with which AM-Softmax would give each image the same loss.
    pub margin: f64,
    /// The probability of the true class, without margin.
    pub p: f64,
    /// The probability of the true class, with margin.
    pub p_m: f64,
    /// Number of images in each of 20 bins of p over [0, 1].
    pub p_histogram: Vec<u64>,
    /// The mean of `1 - p_m` in each bin: the slope of the loss by the target logit, where the loss is
    /// `-log p_m`.
    pub slope_by_p: Vec<f64>,
    /// Norm of the gradient of the network and the class weights, averaged over every tenth step.
    pub gradient_norm: f64,
    /// Share of images without gradient because the loss was clamped, if the loss has bounds.
    pub clamped: Option<f64>,
}

/// Collects the numbers for [`Figures`]. Keeps three or four small tensors per step on their device, and
/// reads them at the end.
#[derive(Debug, Default)]
pub struct Tally {
    own: Vec<Tensor>,
    non_target: Vec<Tensor>,
    losses: Vec<Tensor>,
    clamped: Vec<Tensor>,
    norms: Vec<f64>,
}

impl Tally {
    /// Adds a step.
    pub fn add(&mut self, seen: &Seen) {
        self.own.push(seen.own.shallow_clone());
        self.non_target.push(seen.non_target.shallow_clone());
        self.losses.push(seen.losses.shallow_clone());
        self.clamped.extend(seen.clamped.as_ref().map(Tensor::shallow_clone));
    }

    /// Adds the gradient norm at every tenth step.
    pub fn add_norm(&mut self, step: u64, norm: impl FnOnce() -> f64) {
        if step.is_multiple_of(NORM_EVERY) {
            self.norms.push(norm());
        }
    }

    /// The metrics over all steps.
    pub fn figures(self, scale: f64, lr: f64, a: Option<f64>) -> Figures {
        let (own, non_target, losses) =
            (numbers(&self.own), numbers(&self.non_target), numbers(&self.losses));
        let n = own.len().max(1) as f64;
        let mut out = Figures {
            images: own.len() as u64,
            lr,
            loss: losses.iter().sum::<f64>() / n,
            softmax_loss: 0.0,
            a,
            margin: 0.0,
            p: 0.0,
            p_m: 0.0,
            p_histogram: vec![0; BINS],
            slope_by_p: vec![0.0; BINS],
            gradient_norm: self.norms.iter().sum::<f64>() / self.norms.len().max(1) as f64,
            clamped: None,
        };
        for ((own, non_target), loss) in own.iter().zip(&non_target).zip(&losses) {
            let odds = scale * own - non_target;
            let p = 1.0 / (1.0 + libm::exp(-odds));
            out.softmax_loss += softplus(-odds) / n;
            out.margin += (odds - odds_of(*loss)) / scale / n;
            out.p += p / n;
            out.p_m += libm::exp(-loss) / n;
            let bin = ((p * BINS as f64) as usize).min(BINS - 1);
            out.p_histogram[bin] += 1;
            out.slope_by_p[bin] -= libm::expm1(-loss);
        }
        for (slope, count) in out.slope_by_p.iter_mut().zip(&out.p_histogram) {
            *slope /= (*count).max(1) as f64;
        }
        if !self.clamped.is_empty() {
            out.clamped = Some(numbers(&self.clamped).iter().sum::<f64>() / n);
        }
        out
    }
}

/// `log(p / (1 - p))` for a loss of `-log p`.
fn odds_of(loss: f64) -> f64 {
    let loss = loss.max(1e-30);
    -loss - libm::log(-libm::expm1(-loss))
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

fn numbers(parts: &[Tensor]) -> Vec<f64> {
    let mut out = Vec::new();
    for part in parts {
        let plain = part.to_device(tch::Device::Cpu).to_kind(tch::Kind::Double);
        out.extend(Vec::<f64>::try_from(plain).unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::am_softmax::AmSoftmax;
    use crate::loss::head::{Cosines, Loss, Memory};
    use crate::loss::l5::L5;

    fn tally(loss: &dyn Loss) -> Figures {
        let own = Tensor::from_slice(&[0.9, 0.4, -0.2]);
        let c = Cosines {
            non_target: Tensor::from_slice(&[12.0, 20.0, 9.0]),
            ..crate::loss::tests::bare(own, 32.0)
        };
        let mut tally = Tally::default();
        let losses = loss.loss(&c, &mut Memory::new());
        let mean = losses.mean(tch::Kind::Double);
        let (own, non_target) = (c.own.shallow_clone(), c.non_target.shallow_clone());
        tally.add(&Seen { own, non_target, losses, clamped: loss.clamped(&c), mean });
        tally.figures(32.0, 0.1, loss.a())
    }

    #[test]
    fn the_effective_margin_is_the_margin_of_am_softmax_and_log_of_one_less_a_over_s_for_l5() {
        let am = tally(&AmSoftmax { margin: 0.2, easy_margin: false });
        assert!((am.margin - 0.2).abs() < 1e-9, "{am:?}");
        let l5 = tally(&L5 { a: -600.8 });
        assert!((l5.margin - libm::log(601.8_f64) / 32.0).abs() < 1e-9, "{l5:?}");
        assert!((am.softmax_loss - l5.softmax_loss).abs() < 1e-12);
        assert!(am.loss > am.softmax_loss && am.p_m < am.p);
        assert_eq!(am.p_histogram.iter().sum::<u64>(), 3);
        let slope =
            |f: &Figures| f.slope_by_p.iter().zip(&f.p_histogram).map(|(s, n)| s * *n as f64).sum::<f64>();
        assert!((slope(&am) - 3.0 * (1.0 - am.p_m)).abs() < 1e-9 && slope(&l5) > 3.0 * (1.0 - l5.p));
    }
}
