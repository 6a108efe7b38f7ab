//! Checkpoints: the state that an epoch passes on to the next.

use std::path::Path;

use lfs_network::weights::{self, Tensors};
use lfs_stage::{IoContext, NOTE_FILE, Result, StepFolder};
use serde::{Deserialize, Serialize};

use crate::figures::Figures;

/// The network, class weights, momentum and memory of the loss.
pub const TENSORS_FILE: &str = "checkpoint.safetensors";

/// The state of the training after an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct State {
    /// The epoch, from 0.
    pub epoch: u32,
    /// Steps taken since the beginning of training.
    pub iterations: u64,
    /// The number of identities trained on.
    pub classes: usize,
    /// The verification accuracy on pairs of held-out identities or of the input `validation`, if any.
    pub reward: Option<f64>,
    /// The training metrics; none if the epoch diverged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// Why there are no tensors: the epoch diverged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverged: Option<Diverged>,
}

/// A training whose loss, metrics or weights became NaN or infinite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diverged {
    /// What happened, in which step and on which images.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// The tensors of a checkpoint.
#[derive(Debug, Default)]
pub struct Parts {
    /// The network's weights and running statistics.
    pub network: Tensors,
    /// The class weights: `head.weight`.
    pub head: Tensors,
    /// The momentum buffers of SGD, by the prefixed names of their weights.
    pub momentum: Tensors,
    /// The memory of the loss, carried from step to step.
    pub memory: Tensors,
}

const NETWORK: &str = "network.";
const HEAD: &str = "head.";
const MOMENTUM: &str = "momentum.";
const MEMORY: &str = "memory.";

/// The same tensors with a prefix before each name.
pub fn prefixed(prefix: &str, tensors: &Tensors) -> Tensors {
    tensors.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.shallow_clone())).collect()
}

/// The trained tensors, which are the network's weights and the class weights, with the names of a
/// checkpoint.
pub fn trained(network: &Tensors, head: &Tensors) -> Tensors {
    let mut all = prefixed(NETWORK, network);
    all.extend(prefixed(HEAD, head));
    all
}

/// Reads the tensors of a checkpoint.
///
/// # Errors
/// When the file is missing or damaged.
pub fn read(folder: &Path, device: tch::Device) -> Result<Parts> {
    let mut out = Parts::default();
    for (name, tensor) in weights::read(&folder.join(TENSORS_FILE), device)? {
        let (part, name) = if let Some(name) = name.strip_prefix(NETWORK) {
            (&mut out.network, name)
        } else if let Some(name) = name.strip_prefix(HEAD) {
            (&mut out.head, name)
        } else if let Some(name) = name.strip_prefix(MEMORY) {
            (&mut out.memory, name)
        } else {
            (&mut out.momentum, name.strip_prefix(MOMENTUM).unwrap_or(&name))
        };
        part.insert(name.to_owned(), tensor);
    }
    Ok(out)
}

/// Writes a checkpoint.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path, tensors: &Parts, state: &State) -> Result<()> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let mut all = trained(&tensors.network, &tensors.head);
    all.extend(prefixed(MOMENTUM, &tensors.momentum));
    all.extend(prefixed(MEMORY, &tensors.memory));
    weights::write(&folder.join(TENSORS_FILE), &all)?;
    write_state(folder, state)
}

/// Writes the state as the note of its step.
///
/// # Errors
/// When the file cannot be written.
pub fn write_state(folder: &Path, state: &State) -> Result<()> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let path = folder.join(NOTE_FILE);
    let text = serde_json::to_string_pretty(state).doing("serialise", &path)?;
    std::fs::write(&path, text + "\n").doing("write", &path)
}

/// Reads the state from the note in a folder.
///
/// # Errors
/// When the file is missing or damaged.
pub fn state(folder: &Path) -> Result<State> {
    let path = folder.join(NOTE_FILE);
    let text = std::fs::read_to_string(&path).doing("read", &path)?;
    serde_json::from_str(&text).doing("understand", &path)
}

/// The state in the note of a step.
///
/// # Errors
/// When the note is missing or has another format.
pub fn state_of(step: &StepFolder) -> Result<State> {
    let note = step.note.clone().unwrap_or_default();
    serde_json::from_value(note).doing("understand", &step.path.join(NOTE_FILE))
}
