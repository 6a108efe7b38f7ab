//! Face detectors.
//!
//! A detector is opened once; [`Detector::twin`] gives further ones with the same weights, since libtorch's tensors cannot be used
//! by two threads at a time.

pub mod mtcnn;
pub mod single;
mod weights;

use std::path::Path;

use lfs_faces::dataset::Points;
use lfs_faces::image::Pixels;
use lfs_stage::{Failure, Result};
use tch::TchError;

use crate::options::{DetectorName, Options};

/// Left, top, right and bottom in pixels of the upright picture; may extend beyond it.
pub type Box4 = [f32; 4];

/// A face in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The confidence of the detector, from 0 to 1.
    pub score: f32,
    /// Its bounding box.
    pub place: Box4,
    /// Its five landmarks.
    pub points: Points,
}

/// Finds faces.
pub trait Detector: Send {
    /// All faces of a picture, best score first. The result depends on the pixels alone, not on earlier calls.
    ///
    /// # Errors
    /// If the arithmetic fails; a picture without faces is no error.
    fn find(&self, picture: &Pixels) -> Result<Vec<Found>>;

    /// Another detector with the same weights, for another thread.
    fn twin(&self) -> Box<dyn Detector>;
}

/// Opens the detector that the parameters select, with its weights.
///
/// # Errors
/// If the weights are missing or are another detector's.
pub fn open(options: &Options, model: &Path, device: tch::Device) -> Result<Box<dyn Detector>> {
    match options.detector {
        DetectorName::Mtcnn => Ok(Box::new(mtcnn::Mtcnn::open(options, model, device)?)),
        DetectorName::Centerface => {
            Ok(Box::new(single::Single::open(options, &single::CENTERFACE, model, device)?))
        }
        DetectorName::Scrfd => Ok(Box::new(single::Single::open(options, &single::SCRFD, model, device)?)),
    }
}

/// Converts an error of libtorch into a failure of the stage.
fn torch<T>(done: Result<T, TchError>) -> Result<T> {
    done.map_err(|e| {
        let text = e.to_string();
        Failure::new(format!(
            "libtorch failed while looking for faces: {}",
            text.lines().next().unwrap_or_default()
        ))
    })
}
