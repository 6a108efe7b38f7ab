//! What finds faces: a file and a row each.
//!
//! A detector is opened once, and [`Detector::twin`] gives further ones with the same weights, since libtorch's tensors cannot be
//! used by two threads at a time.

pub mod mtcnn;
pub mod single;
mod weights;

use std::path::Path;

use lfs_faces::dataset::Points;
use lfs_faces::image::Pixels;
use lfs_stage::{Failure, Result};
use tch::TchError;

use crate::options::{DetectorName, Options};

/// Left, top, right and bottom in pixels of the picture as it is seen; may reach beyond it.
pub type Box4 = [f32; 4];

/// A face in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// How sure the detector is, from 0 to 1.
    pub score: f32,
    /// Where it lies.
    pub place: Box4,
    /// Its five points.
    pub points: Points,
}

/// Finds faces.
pub trait Detector: Send {
    /// All faces of a picture, best score first. The same for the same pixels, whatever was looked at before.
    ///
    /// # Errors
    /// When the arithmetic fails, not when there is no face.
    fn find(&self, picture: &Pixels) -> Result<Vec<Found>>;

    /// Another one with the same weights, for another thread.
    fn twin(&self) -> Box<dyn Detector>;
}

/// Opens the detector that the parameters name, with its weights.
///
/// # Errors
/// When the weights are not there or are another detector's.
pub fn open(options: &Options, model: &Path, device: tch::Device) -> Result<Box<dyn Detector>> {
    match options.detector {
        DetectorName::Mtcnn => Ok(Box::new(mtcnn::Mtcnn::open(options, model, device)?)),
        DetectorName::Centerface => {
            Ok(Box::new(single::Single::open(options, &single::CENTERFACE, model, device)?))
        }
        DetectorName::Scrfd => Ok(Box::new(single::Single::open(options, &single::SCRFD, model, device)?)),
    }
}

/// An error of libtorch as one of a stage.
fn torch<T>(done: Result<T, TchError>) -> Result<T> {
    done.map_err(|e| {
        let text = e.to_string();
        Failure::new(format!(
            "libtorch failed while looking for faces: {}",
            text.lines().next().unwrap_or_default()
        ))
    })
}
