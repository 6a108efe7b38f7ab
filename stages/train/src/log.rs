//! The log of a training: a table to read, and all details as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use lfs_stage::{IoContext, Result};
use serde::Serialize;
use serde_json::json;

use crate::checkpoint::State;
use crate::method::Draw;
use crate::table::Form;

/// One epoch.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Epoch {
    /// The epoch, from 0.
    pub epoch: u32,
    /// The index of the winner.
    pub winner: usize,
    /// The state of the search before the epoch, by name: `mu`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub search: BTreeMap<String, Vec<f64>>,
    /// All candidates.
    pub candidates: Vec<Candidate>,
}

/// One candidate of an epoch.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Candidate {
    /// The name.
    pub name: String,
    /// The drawn numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sample: Vec<f64>,
    /// The loss.
    pub form: Form,
    /// The state after the epoch.
    pub state: State,
}

impl Candidate {
    /// A candidate with its state after the epoch.
    pub fn new(draw: Draw<Form>, state: State) -> Self {
        Self { name: draw.name, sample: draw.sample, form: draw.form, state }
    }
}

const COLUMNS: &str =
    "epoch,lr,candidates,winner,a,loss,softmax_loss,margin,p,p_m,gradient_norm,clamped,reward,images";

/// Writes `epochs.csv` (one row per epoch: the winner) and `epochs.json` (every candidate).
///
/// # Errors
/// When a file cannot be written.
pub fn write(epochs: &[Epoch], kept: u32, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let mut text = format!("{COLUMNS}\n");
    let or_empty = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
    for e in epochs {
        let state = &e.candidates[e.winner].state;
        // A winner has figures.
        let Some(f) = &state.figures else { continue };
        let (count, a, clamped, reward) =
            (e.candidates.len(), or_empty(f.a), or_empty(f.clamped), or_empty(state.reward));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{},{},{count},{},{a},{},{},{},{},{},{},{clamped},{reward},{}",
            e.epoch, f.lr, e.winner, f.loss, f.softmax_loss, f.margin, f.p, f.p_m, f.gradient_norm, f.images
        );
    }
    let path = folder.join("epochs.csv");
    std::fs::write(&path, text).doing("write", &path)?;
    let path = folder.join("epochs.json");
    let text = serde_json::to_string_pretty(&json!({ "kept-epoch": kept, "epochs": epochs }));
    std::fs::write(&path, text.doing("serialise", &path)? + "\n").doing("write", &path)
}
