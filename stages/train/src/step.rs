//! One step of SGD up to the gradients, on one device: done operation by operation, or, on a GPU and where nothing changes from step to
//! step but the images, recorded once and done as a whole.

use lfs_network::crops;
use lfs_network::device::Precision;
use lfs_network::gpu::Recording;
use lfs_network::model::Model;
use lfs_network::sgd::Sgd;
use lfs_network::weights::Tensors;
use lfs_stage::Result;
use tch::{Kind, Tensor};

use crate::loss::head::{self, How, Loss, Memory};

/// Steps before one is recorded: libraries make their choices and take their memory in the first ones.
const BEFORE_RECORDING: u64 = 3;

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
pub struct Aim<'a> {
    /// The loss.
    pub loss: &'a dyn Loss,
    /// How its cosines are made.
    pub how: How<'a>,
    /// In which numbers the network works.
    pub precision: Precision,
}

/// What is seen of a step: one number an image, `[n]`, outside of the gradient's graph.
#[derive(Debug)]
pub struct Seen {
    /// Cosine with the own class.
    pub own: Tensor,
    /// Log-sum-exp of the other logits.
    pub rivals: Tensor,
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
            rivals: self.rivals.copy(),
            losses: self.losses.copy(),
            clamped: self.clamped.as_ref().map(Tensor::copy),
            mean: self.mean.copy(),
        }
    }
}

/// A recorded step, with the memory that it reads and fills.
struct Recorded {
    recording: Recording,
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
    pub fn look(&mut self, batch: &Batch, aim: &Aim<'_>) -> Result<Seen> {
        if self.alike == BEFORE_RECORDING && recording_is_wanted() {
            self.record(batch, aim);
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.batch.fill(batch);
            recorded.recording.replay()?;
            return Ok(recorded.seen.copied());
        }
        let (seen, same_again) = self.step(batch, aim)?;
        self.alike = if same_again { self.alike + 1 } else { 0 };
        Ok(seen)
    }

    /// The step operation by operation, and whether the next one has the same operations.
    fn step(&mut self, batch: &Batch, aim: &Aim<'_>) -> Result<(Seen, bool)> {
        self.sgd.forget_gradients()?;
        let turned = batch.flips.as_ref().map(|flips| crops::turned(&batch.images, flips));
        let x = crops::pixels(turned.as_ref().unwrap_or(&batch.images));
        let forward = || self.model.forward(&x, true);
        let embeddings = aim.precision.during(self.model.device(), forward)?.to_kind(Kind::Float);
        let cosines = head::cosines(&embeddings, &self.classes, &batch.labels, &aim.how);
        let losses = aim.loss.loss(&cosines, &mut self.memory);
        let mean = losses.mean(Kind::Float);
        mean.backward();
        let same_again = aim.how.sampled.is_none() && self.memory.is_empty() && !cosines.iteration.counted();
        let seen = Seen {
            own: cosines.own.detach(),
            rivals: cosines.rivals.detach(),
            losses: losses.detach(),
            clamped: aim.loss.clamped(&cosines),
            mean: mean.detach(),
        };
        Ok((seen, same_again))
    }

    /// Records the step for this batch and those to come. Where that cannot be done, they are done operation by operation.
    fn record(&mut self, batch: &Batch, aim: &Aim<'_>) {
        let device = self.model.device();
        if !Recording::can(device) {
            return;
        }
        let held = batch.copied();
        // The optimiser reads the gradients where the recording has put them; they stay there.
        let recorded = Recording::of(device, || self.step(&held, aim).map(|(seen, _)| seen));
        self.recorded = recorded.ok().map(|(recording, seen)| Recorded { recording, batch: held, seen });
    }
}

/// Whether steps may be recorded: unless `LFS_GPU_RECORD` is `off`.
fn recording_is_wanted() -> bool {
    std::env::var_os("LFS_GPU_RECORD").is_none_or(|value| value != "off")
}
