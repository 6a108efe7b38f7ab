//! What an earlier result made of images that are the same.

use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_rows::{Digest, Earlier};
use serde::{Deserialize, Serialize};

use crate::run::{Done, Facts};

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
    /// None where there is none, or it cannot be read.
    pub(crate) fn open(report: Option<&Path>, dataset: Option<&Path>) -> Option<Self> {
        Some(Self { made: Earlier::open(report?), crops: Dataset::open(dataset?).ok()? })
    }

    /// What was made of an image.
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
