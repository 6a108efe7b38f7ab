//! Initialises the tensors of a network, from a seed or from a file.

use lfs_stage::{Failure, Result};
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

use crate::random::stream;
use crate::shim;
use crate::weights::Tensors;

/// The initial values of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// A constant.
    Constant(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
}

impl Init {
    /// Normal with variance 2 / fan-in, which keeps the size of activations through layers with ReLU (He et
    /// al. 2015, eq. 10).
    pub fn he(fan_in: i64) -> Self {
        Self::Normal((2.0 / fan_in.max(1) as f32).sqrt())
    }
}

enum From {
    Seed(u64),
    File(Tensors),
}

/// Creates the tensors of a network by name, and collects them.
///
/// Each tensor has its own random stream, named after it, so that adding a layer does not change the initial
/// values of the others.
pub struct Builder {
    from: From,
    device: tch::Device,
    weights: Tensors,
    buffers: Tensors,
    problem: Option<Failure>,
}

impl Builder {
    /// A network initialised from a seed.
    pub fn seeded(seed: u64, device: tch::Device) -> Self {
        Self::new(From::Seed(seed), device)
    }

    /// A network with the tensors of a file.
    pub fn loaded(tensors: Tensors, device: tch::Device) -> Self {
        Self::new(From::File(tensors), device)
    }

    fn new(from: From, device: tch::Device) -> Self {
        Self { from, device, weights: Tensors::new(), buffers: Tensors::new(), problem: None }
    }

    /// A tensor trained by gradient descent.
    pub fn weight(&mut self, name: &str, shape: &[i64], init: Init) -> Tensor {
        let mut tensor = self.tensor(name, shape, init);
        if shape.len() == 4 {
            match shim::channels_last(&tensor) {
                Ok(t) => tensor = t,
                Err(e) => self.problem = Some(e),
            }
        }
        let tensor = tensor.set_requires_grad(true);
        self.weights.insert(name.to_owned(), tensor.shallow_clone());
        tensor
    }

    /// A tensor updated in training, but not by a gradient: running statistics.
    pub fn buffer(&mut self, name: &str, shape: &[i64], value: f32) -> Tensor {
        let tensor = self.tensor(name, shape, Init::Constant(value));
        self.buffers.insert(name.to_owned(), tensor.shallow_clone());
        tensor
    }

    fn tensor(&mut self, name: &str, shape: &[i64], init: Init) -> Tensor {
        let seed = match &mut self.from {
            From::Seed(seed) => *seed,
            From::File(tensors) => match tensors.remove(name) {
                Some(found) if found.size() == shape => return found.to_device(self.device),
                found => {
                    let found =
                        found.map_or("is missing".to_owned(), |t| format!("has the shape {:?}", t.size()));
                    self.problem.get_or_insert_with(|| {
                        Failure::new(format!("tensor `{name}` should have the shape {shape:?} but {found}"))
                            .help("the file was made for another network, embedding size or crop size")
                    });
                    return Tensor::zeros(shape, (Kind::Float, self.device));
                }
            },
        };
        match init {
            Init::Constant(value) => Tensor::full(shape, f64::from(value), (Kind::Float, self.device)),
            Init::Normal(deviation) => {
                let mut stream = stream(seed, "initial weights", &[]);
                stream.set_stream(name_number(name));
                let count = usize::try_from(shape.iter().product::<i64>()).unwrap_or(0);
                let draw = |x: f32| x * deviation;
                let values: Vec<f32> = (0..count).map(|_| draw(StandardNormal.sample(&mut stream))).collect();
                Tensor::from_slice(&values).view(shape).to_device(self.device)
            }
        }
    }

    /// The weights and the buffers that were created.
    ///
    /// # Errors
    /// When a tensor of the file was missing, had another shape, or was left over.
    pub fn finish(self) -> Result<(Tensors, Tensors)> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        if let From::File(rest) = &self.from
            && let Some(name) = rest.keys().next()
        {
            return Err(Failure::new(format!("tensor `{name}` does not belong to this network"))
                .help("the file was made for another network"));
        }
        Ok((self.weights, self.buffers))
    }
}

/// A number derived from a name, the same on every machine.
fn name_number(name: &str) -> u64 {
    let mut first = [0_u8; 8];
    first.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: tch::Device = tch::Device::Cpu;

    #[test]
    fn a_tensor_starts_the_same_whatever_stands_before_it() {
        let alone = Builder::seeded(3, CPU).weight("b", &[4, 3], Init::he(3));
        let mut builder = Builder::seeded(3, CPU);
        let other = builder.weight("a", &[4, 3], Init::he(3));
        let after = builder.weight("b", &[4, 3], Init::he(3));
        assert!(alone.equal(&after));
        assert!(!other.equal(&after));
    }

    #[test]
    fn the_spread_is_as_asked_for() {
        let w = Builder::seeded(0, CPU).weight("w", &[64, 32, 3, 3], Init::he(288));
        let (mean, deviation) = (w.mean(Kind::Float), w.std(true));
        assert!(mean.double_value(&[]).abs() < 2e-3);
        assert!((deviation.double_value(&[]) - (2.0_f64 / 288.0).sqrt()).abs() < 2e-3);
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_by_tensor() {
        let file =
            |shape: &[i64]| Tensors::from([("w".to_owned(), Tensor::zeros(shape, (Kind::Float, CPU)))]);
        let build = |tensors, name: &str| {
            let mut builder = Builder::loaded(tensors, CPU);
            let _ = builder.weight(name, &[2, 2], Init::Constant(0.0));
            builder.finish()
        };
        assert!(build(file(&[2, 2]), "w").is_ok());
        assert!(build(file(&[2, 3]), "w").unwrap_err().message.contains("has the shape [2, 3]"));
        assert!(build(file(&[2, 2]), "v").unwrap_err().message.contains("`v`"));
    }
}
