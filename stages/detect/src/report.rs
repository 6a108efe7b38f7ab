//! The report beside the images.

use std::collections::BTreeMap;
use std::path::Path;

use lfs_stage::{Failure, IoContext, Result};
use serde::{Deserialize, Serialize};

use crate::detector::Found;

/// The outcome for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Done {
    /// It has the landmarks of the selected face.
    Found,
    /// It keeps its own landmarks.
    KeptItsLandmarks,
    /// It is kept without landmarks.
    KeptWithoutLandmarks,
    /// It is dropped.
    Dropped,
}

impl Done {
    const ALL: [Self; 4] = [Self::Found, Self::KeptItsLandmarks, Self::KeptWithoutLandmarks, Self::Dropped];

    fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::KeptItsLandmarks => "kept-its-landmarks",
            Self::KeptWithoutLandmarks => "kept-without-landmarks",
            Self::Dropped => "dropped",
        }
    }
}

/// A row of `faces.csv`.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) done: Done,
    pub(crate) why: String,
    /// The number of detected faces; none if the detector did not run.
    pub(crate) faces: Option<usize>,
    /// The selected face, and its rank by score, from 1.
    pub(crate) taken: Option<(usize, Found)>,
}

/// `summary.json`.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    detector: &'a str,
    images: usize,
    done: BTreeMap<&'static str, usize>,
    /// The number of images with each number of faces.
    images_by_faces: BTreeMap<usize, usize>,
    unreadable: usize,
    /// Of the selected faces.
    score: Option<Spread>,
    /// Of the selected faces: the longer side of the box, in pixels.
    side: Option<Spread>,
}

#[derive(Debug, Serialize)]
struct Spread {
    min: f32,
    p5: f32,
    p50: f32,
    p95: f32,
    max: f32,
}

impl Spread {
    fn of(mut all: Vec<f32>) -> Option<Self> {
        all.sort_by(f32::total_cmp);
        let at = |part: f64| all.get((all.len().checked_sub(1)? as f64 * part).round() as usize).copied();
        Some(Self { min: at(0.0)?, p5: at(0.05)?, p50: at(0.5)?, p95: at(0.95)?, max: at(1.0)? })
    }
}

/// The columns: the outcome, and score, box and points of the selected face, in pixels.
const HEAD: [&str; 20] = [
    "name",
    "done",
    "why",
    "faces",
    "taken",
    "score",
    "left",
    "top",
    "right",
    "bottom",
    "left-eye-x",
    "left-eye-y",
    "right-eye-x",
    "right-eye-y",
    "nose-x",
    "nose-y",
    "left-mouth-x",
    "left-mouth-y",
    "right-mouth-x",
    "right-mouth-y",
];

/// Writes both files.
pub(crate) fn write(folder: &Path, detector: &str, rows: &[Row]) -> Result<()> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let path = folder.join("faces.csv");
    table(&path, rows).doing("write", &path)?;
    let mut done: BTreeMap<&'static str, usize> = Done::ALL.iter().map(|d| (d.name(), 0)).collect();
    let mut images_by_faces = BTreeMap::new();
    for row in rows {
        *done.entry(row.done.name()).or_default() += 1;
        if let Some(faces) = row.faces {
            *images_by_faces.entry(faces).or_default() += 1;
        }
    }
    let of = |number: fn(&Found) -> f32| {
        rows.iter().filter_map(|r| r.taken.as_ref()).map(|t| number(&t.1)).collect()
    };
    let summary = Summary {
        detector,
        images: rows.len(),
        done,
        images_by_faces,
        unreadable: rows.iter().filter(|r| r.faces.is_none() && r.done == Done::Dropped).count(),
        score: Spread::of(of(|f| f.score)),
        side: Spread::of(of(|f| (f.place[2] - f.place[0]).max(f.place[3] - f.place[1]))),
    };
    let path = folder.join("summary.json");
    let text = serde_json::to_string_pretty(&summary).doing("write", &path)?;
    std::fs::write(&path, text + "\n").doing("write", &path)
}

fn table(path: &Path, rows: &[Row]) -> std::result::Result<(), csv::Error> {
    let mut out = csv::Writer::from_path(path)?;
    out.write_record(HEAD)?;
    for row in rows {
        let mut fields = vec![row.name.clone(), row.done.name().to_owned(), row.why.clone()];
        fields.push(row.faces.map(|n| n.to_string()).unwrap_or_default());
        if let Some((place, face)) = &row.taken {
            fields.extend([place.to_string(), face.score.to_string()]);
            let numbers = face.place.iter().chain(face.points.as_flattened());
            fields.extend(numbers.map(|v| format!("{v:.2}")));
        }
        fields.resize(HEAD.len(), String::new());
        out.write_record(&fields)?;
    }
    out.flush()?;
    Ok(())
}

/// Refuses a result without any image.
pub(crate) fn not_empty(rows: &[Row], kept: u64) -> Result<()> {
    if kept > 0 || rows.is_empty() {
        return Ok(());
    }
    let several = rows.iter().filter(|r| r.faces.is_some_and(|n| n > 1)).count();
    Err(Failure::new(format!(
        "every one of {} images would be skipped: in none was a face accepted ({several} show more than one)",
        rows.len()
    ))
    .help("check `min-face`, `min-score` and `policy`, and whether the images show faces; `without-face = \"keep\"` keeps them"))
}
