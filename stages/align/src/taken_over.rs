//! The result for an image, and its reuse from an earlier run.

use std::path::Path;

use lfs_faces::dataset::{Dataset, Points};
use lfs_rows::{Digest, Earlier};
use serde::{Deserialize, Serialize};

/// The result for one face.
pub(crate) enum Done {
    Cropped { image: Vec<u8>, points: Option<Points>, facts: Facts },
    Dropped(String),
}

/// Facts about a crop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// The residual of its landmarks; none if the centre of the picture was cropped.
    pub(crate) residual: Option<f64>,
    /// A part of it lies outside of the picture.
    pub(crate) outside: bool,
    /// Its landmarks lie within a few pixels, or are centred outside of the picture.
    pub(crate) misplaced: bool,
}

/// A line of the report's `rows.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "kebab-case")]
pub(crate) enum Made {
    /// The crop is this row of the output.
    Cropped {
        row: u32,
        #[serde(flatten)]
        facts: Facts,
    },
    Dropped {
        why: String,
    },
}

/// An earlier result.
pub(crate) struct Before {
    made: Earlier<Made>,
    crops: Dataset,
}

impl Before {
    /// None if there is no readable earlier result.
    pub(crate) fn open(report: Option<&Path>, dataset: Option<&Path>) -> Option<Self> {
        Some(Self { made: Earlier::open(report?), crops: Dataset::open(dataset?).ok()? })
    }

    /// The earlier result for an image.
    pub(crate) fn take(&self, source: Digest) -> Option<Done> {
        match self.made.get(source)? {
            Made::Dropped { why } => Some(Done::Dropped(why)),
            Made::Cropped { row, facts } => {
                let row = usize::try_from(row).ok().filter(|row| *row < self.crops.len())?;
                let crop = self.crops.face(row);
                Some(Done::Cropped { image: crop.image.to_vec(), points: crop.points, facts })
            }
        }
    }
}
