//! One step of SGD up to the gradients, on one device: done operation by operation, or, on a GPU and where nothing changes from step to
//! step but the images, recorded once and done as a whole.

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

/// Steps before one is recorded: libraries make their choices and take their memory in the first ones.
const BEFORE_RECORDING: u64 = 3;

/// A step could not be recorded.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// The network with its class weights, its optimiser and what the loss carries from step to step.
pub struct Replica {
    /// The network.
    pub model: Model,
    /// The class weights by name.
    pub head: Tensors,
    /// The class weights.
    pub classes: Tensor,
    /// What moves both.
    pub sgd: Sgd,
    /// What the loss carries.
    pub memory: Memory,
    /// Steps that were taken operation by operation since one that was like its successor.
    alike: u64,
    recorded: Option<Recorded>,
}

/// The images of a step, on the device of their replica.
#[derive(Debug)]
pub struct Batch {
    /// `[n, side, side, 3]`, bytes.
    pub images: Tensor,
    /// Which are still to be turned left to right, `[n]`, bool.
    pub flips: Option<Tensor>,
    /// Their classes, `[n]`, int64.
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

/// What makes the loss of a step.
#[derive(Debug, Clone, Copy)]
pub struct LossContext<'a> {
    /// The loss.
    pub loss: &'a dyn Loss,
    /// How its cosines are made.
    pub options: HeadOptions<'a>,
    /// In which numbers the network works.
    pub precision: Precision,
}

/// What is seen of a step: one number an image, `[n]`, outside of the gradient's graph.
#[derive(Debug)]
pub struct Seen {
    /// Cosine with the own class.
    pub own: Tensor,
    /// Log-sum-exp of the other logits.
    pub non_target: Tensor,
    /// The loss.
    pub losses: Tensor,
    /// Which a bound of the loss cut off, where it has one.
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

/// A recorded step, with the memory that it reads and fills.
struct Recorded {
    graph: CudaGraph,
    batch: Batch,
    seen: Seen,
}

impl Replica {
    /// One that has not taken a step.
    pub fn new(model: Model, head: Tensors, classes: Tensor, sgd: Sgd, memory: Memory) -> Self {
        Self { model, head, classes, sgd, memory, alike: 0, recorded: None }
    }

    /// Gradients of the mean loss of a batch, in place of those before.
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
                    // What failed once fails again.
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

    /// The step operation by operation, and whether the next one has the same operations.
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

    /// Records the step for this batch and those to come.
    fn record(&mut self, batch: &Batch, context: &LossContext<'_>) -> Result<()> {
        let held = batch.copied();
        // The optimiser reads the gradients where the graph has put them; they stay there.
        let (graph, seen) =
            CudaGraph::of(self.model.device(), || self.step(&held, context).map(|(seen, _)| seen))?;
        self.recorded = Some(Recorded { graph, batch: held, seen });
        Ok(())
    }

    /// Whether steps are taken as a whole now.
    pub fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    /// Gives all replicas the mean of what their losses carry from step to step.
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
