//! Stochastic gradient descent with momentum and weight decay, with buffers that can be saved.

use lfs_stage::{Failure, Result};
use tch::Tensor;

use crate::shim;
use crate::weights::Tensors;

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
    /// An optimiser over `weights`. `saved` holds the velocities of an earlier one, or nothing.
    ///
    /// # Errors
    /// When the saved velocities do not fit the weights.
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

    /// Forgets the gradients of the step before.
    pub fn zero_grad(&mut self) {
        self.weights.iter_mut().for_each(Tensor::zero_grad);
    }

    /// Moves every weight that has a gradient.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn step(&mut self, lr: f64) -> Result<()> {
        shim::sgd(&self.weights, &self.velocities, lr, self.momentum, self.decay)
    }

    /// The Euclidean norm of all gradients taken together.
    pub fn gradient_norm(&self) -> f64 {
        let squares = self.weights.iter().map(Tensor::grad).filter(Tensor::defined).map(|g| {
            let norm = g.norm().double_value(&[]);
            norm * norm
        });
        squares.sum::<f64>().sqrt()
    }

    /// The velocities by the name of their weight.
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
            sgd.zero_grad();
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
    fn saved_velocities_that_do_not_fit_are_refused() {
        let w = Tensors::from([("w".into(), Tensor::zeros([2], (tch::Kind::Float, tch::Device::Cpu)))]);
        let other = Tensors::from([("v".into(), Tensor::zeros([2], (tch::Kind::Float, tch::Device::Cpu)))]);
        assert!(Sgd::new(&w, &other, 0.9, 0.0).unwrap_err().message.contains("`w`"));
    }
}
