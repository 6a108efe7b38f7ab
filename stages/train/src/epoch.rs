//! One epoch: from the previous checkpoint to the next.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lfs_network::arithmetic::Arithmetic;
use lfs_network::backbone::Architecture;
use lfs_network::builder::{Builder, Init};
use lfs_network::crops::Crops;
use lfs_network::device::{self, Device, Precision};
use lfs_network::gpu;
use lfs_network::memory;
use lfs_network::model::{Model, Plan};
use lfs_network::random::stream;
use lfs_network::sgd::Sgd;
use lfs_network::weights::Tensors;
use lfs_stage::{Failure, Progress, Result};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, Diverged, Parts, State};
use crate::feed::Feed;
use crate::figures::{Figures, Tally};
use crate::loss::head::{HeadOptions, Memory};
use crate::schedule::Ramp;
use crate::spec::Gradient;
use crate::split::{self, Pair, Training};
use crate::step::{LossContext, Replica, Seen};
use crate::table::Form;
use crate::verify;

/// Everything that an epoch depends on besides the previous checkpoint, the images and the code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EpochSpec {
    /// The epoch, from 0.
    pub epoch: u32,
    /// The seed of the training.
    pub seed: u64,
    /// The loss.
    pub form: Form,
    /// The scale s.
    pub scale: f64,
    /// The network.
    pub backbone: Architecture,
    /// Numbers in an embedding.
    pub embedding: u32,
    /// Images in a step.
    pub batch: u32,
    /// The learning rate.
    pub lr: Ramp,
    /// The numeric format of training.
    pub precision: Precision,
    /// How a margin enters the gradient.
    pub gradient: Gradient,
    /// Sub-centres per class.
    pub sub_centres: u32,
    /// Share of the classes that a step uses.
    pub class_sample: f64,
    /// Momentum of SGD.
    pub momentum: f64,
    /// Weight decay of SGD.
    pub weight_decay: f64,
    /// Probability of a flip.
    pub flip: f64,
    /// Share of the identities held out for the reward; none with a validation set.
    pub holdout: Option<f64>,
    /// Maximum number of pairs for the reward.
    pub pairs: u32,
    /// Threads for computing.
    pub threads: u32,
    /// The device.
    pub device: Device,
    /// The CPU arithmetic.
    pub arithmetic: Arithmetic,
    /// Replicas of the network that share each batch.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub replicas: u32,
    /// Whether a GPU uses only deterministic kernels.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub deterministic: bool,
}

// Fields that were added later are omitted at their defaults, so that older keys stay valid.
fn one() -> u32 {
    1
}
#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_one(value: &u32) -> bool {
    *value == 1
}
fn yes() -> bool {
    true
}
#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_yes(value: &bool) -> bool {
    *value
}

/// An epoch to run.
#[derive(Debug, Clone, Copy)]
pub struct EpochIn<'a> {
    /// Everything that the result depends on.
    pub spec: &'a EpochSpec,
    /// The aligned crops to train on.
    pub dataset: &'a Path,
    /// The aligned crops for the reward, unless some of the training set's are held out for it.
    pub validation: Option<&'a Path>,
    /// The checkpoint to continue from, and optionally another one whose momentum replaces it. Empty at the
    /// beginning.
    pub after: &'a [&'a Path],
    /// The network to start the first epoch from, if it is not a new one.
    pub start: Option<&'a Path>,
    /// The folder to write the checkpoint to.
    pub folder: &'a Path,
    /// Threads for decoding, which the result does not depend on.
    pub threads: usize,
}

/// Trains one epoch and writes its checkpoint. If it diverged, only the state is written.
///
/// # Errors
/// When the images do not fit, or libtorch fails.
pub fn run(input: &EpochIn<'_>, say: &mut dyn FnMut(Progress)) -> Result<State> {
    let spec = input.spec;
    let device = device::prepare(spec.device, spec.threads, spec.arithmetic)?;
    let devices = device::replicas(device, spec.replicas)?;
    if !spec.deterministic {
        device::let_vary(device)?;
    }
    let crops = Crops::open(input.dataset, input.threads)?;
    let held_out = split::held_out(&crops, spec.holdout.unwrap_or(0.0))?;
    let training = split::training(&crops, &held_out)?;
    if device == tch::Device::Cpu {
        fits(spec, training.classes, memory::available())?;
    }
    // Missing pairs are an error before the epoch is trained, not after it.
    let validation = match input.validation {
        None if held_out.is_empty() => None,
        None => Some((Arc::clone(&crops), split::pairs(&crops, &held_out, spec.pairs as usize)?)),
        Some(folder) => {
            let validation = Crops::open(folder, input.threads)?;
            if validation.crop != crops.crop {
                return Err(Failure::new(format!(
                    "the inputs `validation` and `dataset` are cut in two ways: {:?} and {:?}",
                    validation.crop, crops.crop
                ))
                .help("align both with the same parameters"));
            }
            let all: Vec<u32> = (0..validation.names.len() as u32).collect();
            let pairs = split::pairs(&validation, &all, spec.pairs as usize)?;
            Some((validation, pairs))
        }
    };
    let doing = format!("training epoch {}", spec.epoch);
    let (trainee, trained) = memory::within_memory(&doing, LOWER, || {
        let mut trainee = Trainee::begin(input, &crops, training.classes, &devices)?;
        let trained = trainee.train(spec, &crops, &training, say)?;
        Ok((trainee, trained))
    })?;
    let mut state = State {
        epoch: spec.epoch,
        iterations: trainee.iterations,
        classes: training.classes,
        reward: None,
        figures: None,
        diverged: None,
    };
    let tensors = trainee.tensors();
    let trained = match trained {
        Ok(figures) => all_numbers(&tensors, figures, spec.epoch)?,
        Err(diverged) => Err(diverged),
    };
    match trained {
        Ok(figures) => state.figures = Some(figures),
        Err(diverged) => {
            state.diverged = Some(diverged);
            checkpoint::write_state(input.folder, &state)?;
            return Ok(state);
        }
    }
    state.reward = memory::within_memory("taking the reward", LOWER, || {
        let taken = validation.as_ref().map(|(crops, pairs)| trainee.reward(spec, crops, pairs));
        taken.transpose()
    })?;
    checkpoint::write(input.folder, &tensors, &state)?;
    drop((trainee, tensors));
    gpu::empty_cache(device)?;
    Ok(state)
}

/// The state of a training.
struct Trainee {
    /// Equal except for the running statistics, each from its own part of the batches. Those of the first
    /// replica are kept.
    replicas: Vec<Replica>,
    iterations: u64,
}

impl Trainee {
    fn begin(input: &EpochIn<'_>, crops: &Crops, classes: usize, devices: &[tch::Device]) -> Result<Self> {
        let spec = input.spec;
        let iterations = match input.after.first() {
            None => 0,
            Some(winner) => {
                let state = checkpoint::state(winner)?;
                follows(&state, spec)?;
                state.iterations
            }
        };
        let replicas = devices.iter().map(|device| replica(input, crops, classes, *device));
        Ok(Self { replicas: replicas.collect::<Result<_>>()?, iterations })
    }

    fn train(
        &mut self,
        spec: &EpochSpec,
        crops: &Arc<Crops>,
        training: &Training,
        say: &mut dyn FnMut(Progress),
    ) -> Result<Result<Figures, Diverged>> {
        let number = [u64::from(spec.epoch)];
        let loss = spec.form.loss();
        let order = split::order(
            training,
            loss.images_per_identity(),
            &mut stream(spec.seed, "data order", &number),
        )?;
        let batch = batch(spec, order.len(), loss.images_per_identity())?;
        let steps = (order.len() / batch) as u64;
        let mut coin = stream(spec.seed, "flips", &number);
        let chosen: Vec<(Vec<usize>, Vec<bool>)> = order
            .chunks_exact(batch)
            .map(|chosen| {
                let rows = chosen.iter().map(|i| training.rows[*i]).collect();
                (rows, chosen.iter().map(|_| coin.random_bool(spec.flip)).collect())
            })
            .collect();
        let labels: Vec<i64> = order.iter().map(|i| training.labels[*i]).collect();
        let mut feed = Feed::new(crops, chosen.clone(), &labels, &self.replicas);
        let mut sampler = stream(spec.seed, "class sample", &number);
        let (mut tally, begun, mut waited) = (Tally::default(), Instant::now(), Duration::ZERO);
        for ((step, (rows, _)), labels) in (0..steps).zip(&chosen).zip(labels.chunks_exact(batch)) {
            let asked = Instant::now();
            let batches = feed.take()?;
            waited += asked.elapsed();
            let sampled = (spec.class_sample < 1.0)
                .then(|| split::sample(labels, training.classes, spec.class_sample, &mut sampler));
            let options = HeadOptions {
                scale: spec.scale,
                iteration: self.iterations,
                straight_through: spec.gradient == Gradient::StraightThrough,
                sub_centres: i64::from(spec.sub_centres),
                sampled: sampled.as_deref(),
            };
            let context = LossContext { loss, options, precision: spec.precision };
            let looked = self
                .replicas
                .iter_mut()
                .zip(&batches)
                .map(|(replica, batch)| replica.forward_backward(batch, &context));
            let seen: Vec<Seen> = looked.collect::<Result<_>>()?;
            if self.replicas.len() > 1 {
                Replica::share_memory(&mut self.replicas)?;
                Sgd::share(&self.replicas.iter().map(|replica| &replica.sgd).collect::<Vec<_>>())?;
            }
            tally.add_norm(step, || self.replicas[0].sgd.gradient_norm());
            let lr = spec.lr.at(step, steps);
            self.replicas.iter_mut().try_for_each(|replica| replica.sgd.step(lr))?;
            self.iterations += 1;

            seen.iter().for_each(|seen| tally.add(seen));
            // Reading a number makes a GPU wait, so on GPUs it is read only now and then.
            if !feed.on_gpu || step % 50 == 0 || step + 1 == steps {
                let mean =
                    seen.iter().map(|seen| seen.mean.double_value(&[])).sum::<f64>() / seen.len() as f64;
                if !mean.is_finite() {
                    let images = rows.iter().filter_map(|row| crops.images.get(*row).map(String::as_str));
                    return Ok(Err(not_finite(mean, spec, step, lr, images)));
                }
                let done = (step + 1) * batch as u64;
                let seconds = begun.elapsed().as_secs_f64().max(1e-9);
                let (rate, loading) = (done as f64 / seconds, waited.as_secs_f64() / seconds);
                say(Progress {
                    doing: format!("epoch {}", spec.epoch),
                    done,
                    total: Some(steps * batch as u64),
                    unit: "images".to_owned(),
                    figures: [("loss", mean), ("lr", lr), ("images/s", rate), ("loading", loading)]
                        .into_iter()
                        .chain(feed.on_gpu.then_some(("recorded", f64::from(self.are_recorded()))))
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                });
            }
        }
        Ok(Ok(tally.figures(spec.scale, spec.lr.at(steps.saturating_sub(1), steps), loss.a())))
    }

    fn are_recorded(&self) -> bool {
        self.replicas.iter().all(Replica::is_recorded)
    }

    /// Verification accuracy on pairs of images.
    fn reward(&self, spec: &EpochSpec, crops: &Crops, pairs: &[Pair]) -> Result<f64> {
        let mut rows: Vec<usize> = pairs.iter().flat_map(|p| [p.a, p.b]).collect();
        rows.sort_unstable();
        rows.dedup();
        let embeddings = self.replicas[0].model.embed(crops, &rows, false, spec.batch as usize, |_| {})?;
        let place = |row: usize| rows.binary_search(&row).map_or(0, |at| at as i64);
        let reward = verify::reward(&embeddings, pairs, place);
        Ok(reward)
    }

    fn tensors(&self) -> Parts {
        let first = &self.replicas[0];
        let kept =
            |tensors: &Tensors| tensors.iter().map(|(name, x)| (name.clone(), x.shallow_clone())).collect();
        Parts {
            network: first.model.tensors(),
            head: kept(&first.head),
            momentum: first.sgd.velocities(),
            memory: kept(&first.memory),
        }
    }
}

/// A replica at the beginning of an epoch.
fn replica(input: &EpochIn<'_>, crops: &Crops, classes: usize, device: tch::Device) -> Result<Replica> {
    let spec = input.spec;
    let plan = plan(spec, crops);
    let (model, mut head, momentum, memory) = match input.after {
        [] => {
            let model = match input.start {
                None => Model::seeded(&plan, spec.seed, device)?,
                Some(start) => started(start, &plan, device)?,
            };
            (model, Builder::seeded(spec.seed, device), Tensors::new(), Memory::new())
        }
        [winner, own @ ..] => {
            let from = checkpoint::read(winner, device)?;
            let momentum = match own.first() {
                Some(own) => checkpoint::read(own, device)?.momentum,
                None => from.momentum,
            };
            let head = Builder::loaded(from.head, device);
            (Model::loaded(&plan, from.network, device)?, head, momentum, from.memory)
        }
    };
    let spread = Init::Normal((1.0 / spec.embedding as f32).sqrt());
    let rows = classes as i64 * i64::from(spec.sub_centres);
    let classes = head.weight("weight", &[rows, i64::from(spec.embedding)], spread);
    let (head, _) = head.finish()?;
    let trained = checkpoint::trained(model.weights(), &head);
    let sgd = Sgd::new(&trained, &momentum, spec.momentum, spec.weight_decay)?;
    Ok(Replica::new(model, head, classes, sgd, memory))
}

/// The network of another training, which must be of the same plan.
fn started(start: &Path, plan: &Plan, device: tch::Device) -> Result<Model> {
    let (model, info) = Model::open(start, device)?;
    let theirs = &info.network;
    let differs = [
        ("backbone", theirs.backbone == plan.backbone),
        ("size", theirs.size == plan.size),
        ("embedding", theirs.embedding == plan.embedding),
    ];
    let differs: Vec<&str> = differs.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    if differs.is_empty() {
        return Ok(model);
    }
    Err(Failure::new(format!(
        "the network to start from has another {}: {theirs:?}, not {plan:?}",
        differs.join(" and ")
    ))
    .help("set the same backbone with its settings, `embedding`, and `size` in the align stage as in its training"))
}

/// The batch size: at most what was requested and what there is, equal for all replicas, with whole groups of
/// images per identity.
fn batch(spec: &EpochSpec, images: usize, images_per_identity: usize) -> Result<usize> {
    let replicas = spec.replicas as usize;
    let most = (spec.batch as usize).min(images);
    let part = most / replicas / images_per_identity * images_per_identity;
    if images_per_identity > 1 && part < 2 * images_per_identity {
        return Err(Failure::new(format!(
            "a batch of {part} images holds {images_per_identity} of each identity, so fewer than two identities to compare"
        ))
        .help("raise `batch`, lower `images-per-identity` or `replicas`, or train on more images"));
    }
    if part < 2 && replicas > 1 {
        return Err(Failure::new(format!(
            "{most} images cannot be shared by {replicas} replicas: each wants two"
        ))
        .help("train on more images, or lower `replicas`"));
    }
    Ok(part * replicas)
}

/// The network of an epoch.
pub fn plan(spec: &EpochSpec, crops: &Crops) -> Plan {
    Plan { backbone: spec.backbone.clone(), size: crops.crop.size, embedding: spec.embedding }
}

/// The parameters to lower when memory runs out.
const LOWER: &str = "`batch`, the size of the crops, `class-sample` or the network's width";

/// Checks that the classes fit into memory, before hours are spent on decoding and the first epochs.
fn fits(spec: &EpochSpec, classes: usize, available: Option<u64>) -> Result<()> {
    let number = classes as u64 * u64::from(spec.sub_centres);
    let replicas = u64::from(spec.replicas);
    // Per class: weights, gradients, momentum, the normalised weights and the intermediate gradients. Per
    // batch: the products, what the loss computes from them, and their gradients. (Each replica has its own
    // weights; several of them also copy the gradients for the sum.)
    let weights = number * u64::from(spec.embedding) * 4 * if replicas > 1 { 9 * replicas } else { 8 };
    let batch = (number as f64 * spec.class_sample) as u64 * u64::from(spec.batch) * 4 * 10;
    match available {
        Some(available) if weights + batch > available / 10 * 9 => Err(Failure::new(format!(
            "{classes} identities need {} MiB for their weights and {} MiB a batch, but {} MiB are free",
            weights >> 20,
            batch >> 20,
            available >> 20
        ))
        .help("lower `class-sample` (a step uses fewer classes), `batch`, `embedding` or `sub-centres`")),
        _ => Ok(()),
    }
}

/// Checks that the weights and metrics are finite. The last step may ruin the weights without any loss that
/// shows it.
fn all_numbers(tensors: &Parts, figures: Figures, epoch: u32) -> Result<Result<Figures, Diverged>> {
    let mut ruined = None;
    for (name, x) in
        [&tensors.network, &tensors.head, &tensors.momentum, &tensors.memory].into_iter().flatten()
    {
        let whole = x.isfinite().all().f_int64_value(&[]);
        if whole.map_err(|e| Failure::new(format!("libtorch cannot check `{name}`: {e}")))? != 1 {
            ruined = Some(format!("`{name}`"));
            break;
        }
    }
    let seen = [figures.loss, figures.softmax_loss, figures.margin, figures.gradient_norm];
    let ruined = ruined.or_else(|| seen.iter().any(|x| !x.is_finite()).then(|| "a figure".to_owned()));
    Ok(match ruined {
        None => Ok(figures),
        Some(what) => Err(Diverged {
            message: format!("{what} holds something that is no number after epoch {epoch}"),
            help:
                "lower `lr`, add `warmup` epochs, or lower the margin or `scale`; the epochs before are kept"
                    .to_owned(),
        }),
    })
}

/// Checks that a checkpoint is that of the previous epoch.
fn follows(state: &State, spec: &EpochSpec) -> Result<()> {
    if state.epoch + 1 == spec.epoch {
        return Ok(());
    }
    Err(Failure::new(format!("epoch {} was to go on from a checkpoint of epoch {}", spec.epoch, state.epoch))
        .help("the checkpoint is of another training; `lfs-pipe cache verify --repair` looks the cache over"))
}

fn not_finite<'a>(
    loss: f64,
    spec: &EpochSpec,
    step: u64,
    lr: f64,
    images: impl Iterator<Item = &'a str>,
) -> Diverged {
    let all: Vec<&str> = images.collect();
    let mut named = all.iter().take(8).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if all.len() > 8 {
        named += &format!(" and {} more", all.len() - 8);
    }
    Diverged {
        message: format!(
            "the loss became {loss} in epoch {}, by step {step}, at a learning rate of {lr}, on the images {named}",
            spec.epoch
        ),
        help: "check these images; lower `lr`, add `warmup` epochs, or lower the margin or `scale`; the epochs before are kept"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> EpochSpec {
        let text = r#"{"epoch": 3, "seed": 0, "form": {"softmax": {}}, "scale": 32.0, "backbone": {"resnet-small": {}},
            "embedding": 512, "batch": 128, "lr": {"from": 0.1, "to": 0.1}, "precision": "float32",
            "gradient": "true", "sub-centres": 1, "class-sample": 1.0, "momentum": 0.9, "weight-decay": 0.0, "flip": 0.5, "holdout": null, "pairs": 100,
            "threads": 1, "device": "cpu", "arithmetic": "portable"}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn more_classes_than_memory_are_refused_with_what_to_lower() {
        let failure = fits(&spec(), 10_000_000, Some(8 << 30)).unwrap_err();
        assert!(failure.message.contains("10000000 identities need 156250 MiB"), "{failure}");
        assert!(failure.help.unwrap().contains("class-sample"));
        // Sampling classes lowers the memory of the batch, not that of the weights.
        let sampled = EpochSpec { class_sample: 0.1, ..spec() };
        assert!(
            fits(&sampled, 600_000, Some(13 << 30)).is_ok()
                && fits(&spec(), 600_000, Some(13 << 30)).is_err()
        );
        assert!(fits(&spec(), 10_000, None).is_ok());
    }

    #[test]
    fn a_checkpoint_of_another_epoch_is_refused() {
        let figures = crate::figures::Tally::default().figures(32.0, 0.1, None);
        let figures = Some(figures);
        let state = State { epoch: 2, iterations: 10, classes: 5, reward: None, figures, diverged: None };
        assert!(follows(&state, &spec()).is_ok());
        let failure = follows(&State { epoch: 5, ..state }, &spec()).unwrap_err();
        assert!(failure.message.contains("epoch 3 was to go on from a checkpoint of epoch 5"), "{failure}");
    }
}
