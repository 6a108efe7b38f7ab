//! A training step up to the gradients, on one device. On a GPU, if nothing but the images changes from step
//! to step, it is recorded once as a CUDA graph and replayed.

use std::sync::atomic::{AtomicBool, Ordering};

use lfs_network::crops;
use lfs_network::device::Precision;
use lfs_network::gpu::{self, CudaGraph};
use lfs_network::model::Model;
use lfs_network::sgd::Sgd;
use lfs_network::weights::Tensors;
use lfs_stage::Result;
use tch::{Kind, Tensor};

use crate::loss::head::{self, HeadOptions, Loss, Memory};

/// The number of eager steps before one is recorded: libraries choose kernels and allocate memory in the
/// first ones.
const BEFORE_RECORDING: u64 = 3;

/// Whether recording a step has failed.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// The network with its class weights, its optimiser and the memory of the loss.
pub struct Replica {
    /// The network.
    pub model: Model,
    /// The class weights by name.
    pub head: Tensors,
    /// The class weights.
    pub classes: Tensor,
    /// The optimiser of both.
    pub sgd: Sgd,
    /// The memory of the loss.
    pub memory: Memory,
    /// The number of consecutive eager steps whose successor has the same operations.
    alike: u64,
    recorded: Option<Recorded>,
}

/// A batch, on the device of its replica.
#[derive(Debug)]
pub struct Batch {
    /// `[n, side, side, 3]`, bytes.
    pub images: Tensor,
    /// Which images are still to be flipped left to right, `[n]`, bool.
    pub flips: Option<Tensor>,
    /// The classes of the images, `[n]`, int64.
    pub labels: Tensor,
}

impl Batch {
    fn copied(&self) -> Self {
        let flips = self.flips.as_ref().map(Tensor::copy);
        Self { images: self.images.copy(), flips, labels: self.labels.copy() }
    }

    fn fill(&mut self, from: &Self) {
        self.images.copy_(&from.images);
        self.labels.copy_(&from.labels);
        if let (Some(to), Some(from)) = (&mut self.flips, &from.flips) {
            to.copy_(from);
        }
    }
}

/// How the loss of a step is computed.
#[derive(Debug, Clone, Copy)]
pub struct LossContext<'a> {
    /// The loss.
    pub loss: &'a dyn Loss,
    /// How the cosines are computed.
    pub options: HeadOptions<'a>,
    /// The numeric format of the network.
    pub precision: Precision,
}

/// The metrics of a step, outside the autograd graph: one number per image, `[n]`, except the mean.
#[derive(Debug)]
pub struct Seen {
    /// The target cosine.
    pub own: Tensor,
    /// The log-sum-exp of the non-target logits.
    pub non_target: Tensor,
    /// The loss.
    pub losses: Tensor,
    /// Whether the loss was clamped, if it has bounds.
    pub clamped: Option<Tensor>,
    /// The mean loss, `[]`.
    pub mean: Tensor,
}

impl Seen {
    fn copied(&self) -> Self {
        Self {
            own: self.own.copy(),
            non_target: self.non_target.copy(),
            losses: self.losses.copy(),
            clamped: self.clamped.as_ref().map(Tensor::copy),
            mean: self.mean.copy(),
        }
    }
}

/// A recorded step, with the memory that it reads and writes.
struct Recorded {
    graph: CudaGraph,
    batch: Batch,
    seen: Seen,
}

impl Replica {
    /// A replica before its first step.
    pub fn new(model: Model, head: Tensors, classes: Tensor, sgd: Sgd, memory: Memory) -> Self {
        Self { model, head, classes, sgd, memory, alike: 0, recorded: None }
    }

    /// Computes the gradients of the mean loss of a batch, replacing the previous ones.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn forward_backward(&mut self, batch: &Batch, context: &LossContext<'_>) -> Result<Seen> {
        if self.alike == BEFORE_RECORDING && CudaGraph::can(self.model.device()) {
            let wanted = std::env::var("LFS_GPU_RECORD").unwrap_or_default();
            match wanted.as_str() {
                "off" => {}
                "must" => self.record(batch, context)?,
                _ if REFUSED.load(Ordering::Relaxed) => {}
                _ => self.record(batch, context).unwrap_or_else(|failure| {
                    // Recording that failed once would fail again.
                    REFUSED.store(true, Ordering::Relaxed);
                    eprintln!(
                        "steps are taken operation by operation, for they cannot be recorded: {failure}"
                    );
                }),
            }
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.batch.fill(batch);
            recorded.graph.replay()?;
            return Ok(recorded.seen.copied());
        }
        let (seen, same_again) = self.step(batch, context)?;
        self.alike = if same_again { self.alike + 1 } else { 0 };
        Ok(seen)
    }

    /// The eager step, and whether the next one has the same operations.
    fn step(&mut self, batch: &Batch, context: &LossContext<'_>) -> Result<(Seen, bool)> {
        self.sgd.forget_gradients()?;
        let turned = batch.flips.as_ref().map(|flips| crops::turned(&batch.images, flips));
        let x = crops::pixels(turned.as_ref().unwrap_or(&batch.images));
        let forward = || self.model.forward(&x, true);
        let embeddings = context.precision.during(self.model.device(), forward)?.to_kind(Kind::Float);
        let cosines = head::cosines(&embeddings, &self.classes, &batch.labels, &context.options);
        let losses = context.loss.loss(&cosines, &mut self.memory);
        let mean = losses.mean(Kind::Float);
        mean.backward();
        let same_again =
            context.options.sampled.is_none() && self.memory.is_empty() && !cosines.iteration.counted();
        let seen = Seen {
            own: cosines.own.detach(),
            non_target: cosines.non_target.detach(),
            losses: losses.detach(),
            clamped: context.loss.clamped(&cosines),
            mean: mean.detach(),
        };
        Ok((seen, same_again))
    }

    /// Records the step with a copy of this batch, whose contents are replaced at each replay.
    fn record(&mut self, batch: &Batch, context: &LossContext<'_>) -> Result<()> {
        let held = batch.copied();
        // The graph writes the gradients at fixed addresses, where the optimiser reads them.
        let (graph, seen) =
            CudaGraph::of(self.model.device(), || self.step(&held, context).map(|(seen, _)| seen))?;
        self.recorded = Some(Recorded { graph, batch: held, seen });
        Ok(())
    }

    /// Whether steps are now replayed from a CUDA graph.
    pub fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    /// Replaces the loss memories of the replicas by their mean.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn share_memory(all: &mut [Self]) -> Result<()> {
        let names: Vec<String> =
            all.first().map(|first| first.memory.keys().cloned().collect()).unwrap_or_default();
        for name in names {
            let mut each: Vec<Tensor> =
                all.iter().filter_map(|one| one.memory.get(&name)).map(Tensor::copy).collect();
            gpu::sum(&mut each)?;
            let count = each.len() as f64;
            for (one, sum) in all.iter_mut().zip(each) {
                one.memory.insert(name.clone(), sum / count);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lfs_network::backbone::Backbone;
    use lfs_network::builder::{Builder, Init};
    use lfs_network::model::Plan;
    use tch::Device;

    use super::*;

    fn replica(carries: f32) -> Replica {
        let plan = Plan { backbone: Backbone::ResnetSmall.with_defaults(), size: 32, embedding: 8 };
        let model = Model::seeded(&plan, 0, Device::Cpu).unwrap();
        let mut head = Builder::seeded(0, Device::Cpu);
        let classes = head.weight("weight", &[3, 8], Init::Normal(0.3));
        let (head, _) = head.finish().unwrap();
        let sgd = Sgd::new(model.weights(), &Tensors::new(), 0.9, 0.0).unwrap();
        let memory = Memory::from([("mean".to_owned(), Tensor::from_slice(&[carries, 1.0]))]);
        Replica::new(model, head, classes, sgd, memory)
    }

    #[test]
    fn what_losses_carry_is_the_mean_of_all_replicas_in_each_of_them() {
        let mut all = [replica(1.0), replica(3.0), replica(8.0)];
        Replica::share_memory(&mut all).unwrap();
        for one in &all {
            assert_eq!(Vec::<f32>::try_from(&one.memory["mean"]).unwrap(), [4.0, 1.0]);
        }
        Replica::share_memory(&mut []).unwrap();
    }
}
