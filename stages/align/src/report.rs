//! The report beside the crops.

use std::fmt::Write as _;
use std::path::Path;

use lfs_stage::{IoContext, Result};
use serde::Serialize;

use crate::preflight::{Look, is_zero};

/// `residuals.json`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) images: usize,
    pub(crate) aligned: usize,
    pub(crate) with_some_points: usize,
    pub(crate) centre_cropped: usize,
    pub(crate) dropped: usize,
    /// In pixels of a 112-pixel crop.
    pub(crate) residual: Option<Spread>,
    /// The faces whose landmarks fit worst.
    pub(crate) worst: Vec<Worst>,
    /// Faces of which a part lies outside of the image.
    pub(crate) reaching_outside: usize,
    /// Faces whose landmarks fit worse than `max-residual`.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) above_max_residual: usize,
    /// Those of them whose points have the shape of a profile head, if `check` was on.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) profiles: usize,
    /// Faces whose points lie within a few pixels, or are centred outside of the image.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) misplaced: usize,
    pub(crate) preflight: Option<Look>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Spread {
    mean: f64,
    p5: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Worst {
    name: String,
    residual: f64,
}

/// The number of faces listed as the worst.
const WORST: usize = 20;

impl Report {
    /// Adds the residuals with the rows of their images.
    pub(crate) fn residuals<'a>(&mut self, mut all: Vec<(f64, u32)>, name: impl Fn(u32) -> &'a str) {
        all.sort_unstable_by(|a, b| {
            a.0.total_cmp(&b.0).then_with(|| name(a.1).cmp(name(b.1))).then(a.1.cmp(&b.1))
        });
        let at = |part: f64| all[((all.len() - 1) as f64 * part).round() as usize].0;
        if let Some((max, _)) = all.last() {
            let mean = all.iter().map(|r| r.0).sum::<f64>() / all.len() as f64;
            self.residual =
                Some(Spread { mean, p5: at(0.05), p50: at(0.5), p95: at(0.95), p99: at(0.99), max: *max });
        }
        let worst = |(residual, image): (f64, u32)| Worst { name: name(image).to_owned(), residual };
        self.worst = all.into_iter().rev().take(WORST).map(worst).collect();
    }

    pub(crate) fn write(&self, folder: &Path, dropped: &[(String, String)]) -> Result<()> {
        std::fs::create_dir_all(folder).doing("create", folder)?;
        let path = folder.join("residuals.json");
        let mut text = serde_json::to_string_pretty(self).doing("write", &path)?;
        text.push('\n');
        std::fs::write(&path, text).doing("write", &path)?;
        let mut rows = "name,reason\n".to_owned();
        for (name, reason) in dropped {
            let _ = writeln!(rows, "{},{}", quoted(name), quoted(reason));
        }
        let path = folder.join("dropped.csv");
        std::fs::write(&path, rows).doing("write", &path)
    }
}

/// A CSV field.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
