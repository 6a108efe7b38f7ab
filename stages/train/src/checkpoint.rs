//! All that one epoch leaves to the next, on disk.

use std::path::Path;

use lfs_network::weights::{self, Tensors};
use lfs_stage::{IoContext, NOTE_FILE, Result, StepFolder};
use serde::{Deserialize, Serialize};

use crate::figures::Figures;

/// Network, class weights, momentum and the loss's memory.
pub const TENSORS_FILE: &str = "checkpoint.safetensors";

/// What is known of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct State {
    /// Which one, from 0.
    pub epoch: u32,
    /// Steps taken since the beginning of training.
    pub iterations: u64,
    /// Identities that are trained on.
    pub classes: usize,
    /// Verification accuracy on pairs of identities that are not trained on, where there are any.
    pub reward: Option<f64>,
    /// What was seen on the way; none where it diverged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// Why there are no tensors: it came to numbers that are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverged: Option<Diverged>,
}

/// A training that came to numbers that are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diverged {
    /// What, where and on which images.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// The tensors of a checkpoint by what they are.
#[derive(Debug, Default)]
pub struct Parts {
    /// The network's weights and running statistics.
    pub network: Tensors,
    /// The class weights: `head.weight`.
    pub head: Tensors,
    /// The velocities of SGD, by the name of their weight with its prefix.
    pub momentum: Tensors,
    /// What the loss carries from step to step.
    pub memory: Tensors,
}

const NETWORK: &str = "network.";
const HEAD: &str = "head.";
const MOMENTUM: &str = "momentum.";
const MEMORY: &str = "memory.";

/// The same tensors, each name with a prefix.
pub fn prefixed(prefix: &str, tensors: &Tensors) -> Tensors {
    tensors.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.shallow_clone())).collect()
}

/// What training moves: the network's weights and the class weights, under the names of a checkpoint.
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

/// Writes what is known of an epoch: the note of its step.
///
/// # Errors
/// When the file cannot be written.
pub fn write_state(folder: &Path, state: &State) -> Result<()> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let path = folder.join(NOTE_FILE);
    let text = serde_json::to_string_pretty(state).doing("serialise", &path)?;
    std::fs::write(&path, text + "\n").doing("write", &path)
}

/// Reads what is known of an epoch.
///
/// # Errors
/// When the file is missing or damaged.
pub fn state(folder: &Path) -> Result<State> {
    let path = folder.join(NOTE_FILE);
    let text = std::fs::read_to_string(&path).doing("read", &path)?;
    serde_json::from_str(&text).doing("understand", &path)
}

/// What is known of an epoch, from the note of its step.
///
/// # Errors
/// When there is none, or it is another program's.
pub fn state_of(step: &StepFolder) -> Result<State> {
    let note = step.note.clone().unwrap_or_default();
    serde_json::from_value(note).doing("understand", &step.path.join(NOTE_FILE))
}
