//! Stochastic gradient descent with momentum and weight decay, whose momentum buffers can be saved.

use lfs_stage::{Failure, Result};
use tch::Tensor;

use crate::weights::Tensors;
use crate::{gpu, shim};

/// SGD as in PyTorch, without dampening: `v <- momentum v + g + decay w`, `w <- w - lr v`.
#[derive(Debug)]
pub struct Sgd {
    names: Vec<String>,
    weights: Vec<Tensor>,
    velocities: Vec<Tensor>,
    momentum: f64,
    decay: f64,
}

impl Sgd {
    /// An optimiser for `weights`. `saved` holds the momentum buffers of an earlier one, or is empty.
    ///
    /// # Errors
    /// When the saved buffers do not fit the weights.
    pub fn new(weights: &Tensors, saved: &Tensors, momentum: f64, decay: f64) -> Result<Self> {
        let mut velocities = Vec::with_capacity(weights.len());
        for (name, weight) in weights {
            let mut velocity = shim::zeros_like(weight)?;
            match saved.get(name) {
                Some(old) if old.size() == weight.size() => velocity.copy_(old),
                None if saved.is_empty() => {}
                _ => {
                    return Err(Failure::new(format!(
                        "the momentum of `{name}` is missing or has another shape"
                    )));
                }
            }
            velocities.push(velocity);
        }
        let names = weights.keys().cloned().collect();
        let weights = weights.values().map(Tensor::shallow_clone).collect();
        Ok(Self { names, weights, velocities, momentum, decay })
    }

    /// Clears the gradients of the previous step.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forget_gradients(&mut self) -> Result<()> {
        shim::forget_gradients(&mut self.weights)
    }

    /// Updates every weight that has a gradient.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn step(&mut self, lr: f64) -> Result<()> {
        shim::sgd(&self.weights, &self.velocities, lr, self.momentum, self.decay)
    }

    /// The Euclidean norm of the concatenated gradients.
    pub fn gradient_norm(&self) -> f64 {
        let norms: Vec<Tensor> = self.gradients().map(|g| g.norm()).collect();
        if norms.is_empty() {
            return 0.0;
        }
        // Copied at once, since each copy from a GPU waits for it.
        let norms = Tensor::stack(&norms, 0).to_device(tch::Device::Cpu).to_kind(tch::Kind::Double);
        let norms = Vec::<f64>::try_from(norms).unwrap_or_default();
        norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt()
    }

    fn gradients(&self) -> impl Iterator<Item = Tensor> + '_ {
        self.weights.iter().map(Tensor::grad).filter(Tensor::defined)
    }

    /// Replaces the gradients of replicas of a network by their mean.
    ///
    /// # Errors
    /// When libtorch fails, or the replicas have gradients of different weights.
    pub fn share(all: &[&Self]) -> Result<()> {
        let mut flat = Vec::with_capacity(all.len());
        for one in all {
            let parts: Vec<Tensor> = one.gradients().map(|g| g.flatten(0, -1)).collect();
            flat.push(Tensor::cat(&parts, 0));
        }
        if flat.iter().any(|f| f.size() != flat[0].size()) {
            return Err(Failure::new("copies of one network have gradients of different weights"));
        }
        gpu::sum(&mut flat)?;
        for (one, mut mean) in all.iter().zip(flat) {
            mean /= all.len() as f64;
            let mut from = 0;
            for mut gradient in one.gradients() {
                let count = gradient.numel() as i64;
                gradient.copy_(&mean.narrow(0, from, count).view_as(&gradient));
                from += count;
            }
        }
        Ok(())
    }

    /// The momentum buffers, by the names of the weights.
    pub fn velocities(&self) -> Tensors {
        self.names.iter().cloned().zip(self.velocities.iter().map(Tensor::shallow_clone)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_steps_equal_the_formula_for_a_channels_last_weight_with_a_row_major_gradient() {
        let start: Vec<f32> = (0_u8..2 * 3 * 2 * 2).map(|i| f32::from(i) * 0.1 - 1.0).collect();
        let plain = Tensor::from_slice(&start).view([2, 3, 2, 2]);
        let weight = shim::channels_last(&plain).unwrap().set_requires_grad(true);
        let mut sgd =
            Sgd::new(&Tensors::from([("w".into(), weight.shallow_clone())]), &Tensors::new(), 0.9, 0.01)
                .unwrap();
        let (mut w, mut v) = (start, vec![0.0_f32; 24]);
        for lr in [0.1, 0.1, 0.01] {
            sgd.forget_gradients().unwrap();
            (&weight * &weight * 0.5 * &plain).sum(tch::Kind::Float).backward();
            sgd.step(lr).unwrap();
            for i in 0..24 {
                let g = w[i] * (f32::from(i as u8) * 0.1 - 1.0) + 0.01 * w[i];
                v[i] = 0.9 * v[i] + g;
                w[i] -= lr as f32 * v[i];
            }
        }
        let found = Vec::<f32>::try_from(weight.detach().contiguous().view([24])).unwrap();
        for (a, b) in found.iter().zip(&w) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }

    #[test]
    fn shared_gradients_are_the_mean_of_all_and_of_the_same_weights() {
        let make = |factor: f64| {
            let w = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).view([2, 2]).set_requires_grad(true);
            let u = Tensor::from_slice(&[1.0_f32]).set_requires_grad(true);
            (w.square().sum(tch::Kind::Float) * factor).backward();
            let sgd = Sgd::new(
                &Tensors::from([("u".into(), u), ("w".into(), w.shallow_clone())]),
                &Tensors::new(),
                0.9,
                0.0,
            );
            (sgd.unwrap(), w)
        };
        let ((one, w), (two, v)) = (make(1.0), make(4.0));
        Sgd::share(&[&one, &two]).unwrap();
        for w in [w, v] {
            assert_eq!(Vec::<f32>::try_from(w.grad().flatten(0, -1)).unwrap(), [5.0, 10.0, 15.0, 20.0]);
        }
        assert!((one.gradient_norm() - 750_f64.sqrt()).abs() < 1e-5);
        let (mut other, _) = make(1.0);
        other.forget_gradients().unwrap();
        let (third, _) = make(1.0);
        assert!(other.gradients().next().is_none() && other.gradient_norm() == 0.0);
        other.weights[0].sum(tch::Kind::Float).backward();
        assert!(Sgd::share(&[&third, &other]).unwrap_err().message.contains("different weights"));
    }

    #[test]
    fn saved_velocities_that_do_not_fit_are_refused() {
        let w = Tensors::from([("w".into(), Tensor::zeros([2], (tch::Kind::Float, tch::Device::Cpu)))]);
        let other = Tensors::from([("v".into(), Tensor::zeros([2], (tch::Kind::Float, tch::Device::Cpu)))]);
        assert!(Sgd::new(&w, &other, 0.9, 0.0).unwrap_err().message.contains("`w`"));
    }
}
