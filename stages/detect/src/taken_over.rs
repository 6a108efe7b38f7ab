//! Reuse of an earlier run's results for unchanged images.

use lfs_faces::dataset::{FaceRef, Points};
use serde::{Deserialize, Serialize};

use crate::detector::Found;
use crate::report::{Done, Row};

/// A line of the report's `rows.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Made {
    done: Done,
    why: String,
    /// The number of detected faces.
    faces: Option<usize>,
    /// The selected face: its rank, and score, box and points.
    taken: Option<(usize, [f64; 15])>,
}

impl Made {
    /// The stored form of a row.
    pub(crate) fn of(row: &Row) -> Self {
        let numbers = |found: &Found| {
            let all = std::iter::once(&found.score).chain(&found.place).chain(found.points.as_flattened());
            let mut numbers = [0.0; 15];
            // The conversion is exact in both directions.
            numbers.iter_mut().zip(all).for_each(|(to, from)| *to = f64::from(*from));
            numbers
        };
        let taken = row.taken.as_ref().map(|(place, found)| (*place, numbers(found)));
        Self { done: row.done, why: row.why.clone(), faces: row.faces, taken }
    }

    /// The row, and the landmarks of the image.
    pub(crate) fn give(self, face: &FaceRef<'_>) -> (Row, Option<Points>) {
        let found = |numbers: [f64; 15]| {
            let [score, left, top, right, bottom, rest @ ..] = numbers.map(|v| v as f32);
            let mut points = Points::default();
            points.as_flattened_mut().copy_from_slice(&rest);
            Found { score, place: [left, top, right, bottom], points }
        };
        let taken = self.taken.map(|(place, numbers)| (place, found(numbers)));
        let points = match self.done {
            Done::Found => taken.as_ref().map(|(_, found)| found.points),
            Done::KeptItsLandmarks => face.points,
            Done::KeptWithoutLandmarks | Done::Dropped => None,
        };
        let Self { done, why, faces, .. } = self;
        (Row { name: face.name.to_owned(), done, why, faces, taken }, points)
    }
}
