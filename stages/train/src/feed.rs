//! Moves the batches of an epoch to the devices.

use std::sync::Arc;

use lfs_network::crops::{self, Ahead, Crops};
use lfs_stage::{Failure, Result};
use tch::Tensor;

use crate::step::{Batch, Replica};

/// The batches of an epoch, each split into one part per replica, on its device.
pub struct Feed<'a> {
    crops: &'a Crops,
    batches: std::vec::IntoIter<(Vec<usize>, Vec<bool>)>,
    /// Batches made in the background, if decoding is slow or for GPUs.
    ahead: Option<Ahead>,
    /// For each replica, its device, all labels of the epoch and, on GPUs, all flips.
    there: Vec<(tch::Device, Tensor, Option<Tensor>)>,
    /// Whether the parts are on GPUs.
    pub on_gpu: bool,
    taken: i64,
}

impl<'a> Feed<'a> {
    /// A feed of batches (rows and flips) for these replicas. `labels` are those of all batches,
    /// concatenated.
    pub fn new(
        crops: &'a Arc<Crops>,
        batches: Vec<(Vec<usize>, Vec<bool>)>,
        labels: &[i64],
        replicas: &[Replica],
    ) -> Self {
        let on_gpu = replicas.iter().any(|replica| replica.model.device() != tch::Device::Cpu);
        let there = replicas.iter().map(|replica| {
            let device = replica.model.device();
            let flips = on_gpu.then(|| {
                let all: Vec<bool> = batches.iter().flat_map(|(_, flips)| flips).copied().collect();
                Tensor::from_slice(&all).to_device(device)
            });
            (device, Tensor::from_slice(labels).to_device(device), flips)
        });
        let there = there.collect();
        // A GPU flips the images itself.
        let still = || batches.iter().map(|(rows, flips)| (rows.clone(), vec![false; flips.len()]));
        let ahead = match on_gpu {
            true => Some(crops.ahead(still().collect(), replicas[0].model.device())),
            false => crops.are_slow().then(|| crops.ahead(batches.clone(), tch::Device::Cpu)),
        };
        Self { crops, batches: batches.into_iter(), ahead, there, on_gpu, taken: 0 }
    }

    /// The next batch, split into parts.
    ///
    /// # Errors
    /// When an image cannot be decoded, libtorch fails, or there is no further batch.
    pub fn take(&mut self) -> Result<Vec<Batch>> {
        let images = match (&mut self.ahead, self.batches.next()) {
            (Some(ahead), _) => ahead.take()?,
            (None, Some((rows, flips))) => self.crops.images(&rows, &flips)?,
            (None, None) => return Err(Failure::new("there is no other batch")),
        };
        let part = images.size()[0] / self.there.len() as i64;
        let parts = self.there.iter().zip(0..).map(|((device, labels, flips), k)| {
            let from = self.taken + k * part;
            Ok(Batch {
                images: crops::moved(&images.narrow(0, k * part, part), *device)?,
                flips: flips.as_ref().map(|flips| flips.narrow(0, from, part)),
                labels: labels.narrow(0, from, part),
            })
        });
        let parts = parts.collect();
        self.taken += images.size()[0];
        parts
    }
}
