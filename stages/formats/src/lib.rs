//! File formats of face data.
//!
//! - [`container`]: images with their identities, in all common containers.
//! - [`landmarks`]: the formats in which data sets store five landmarks of a face.
//! - [`lists`]: lines of the protocols' lists; [`lookup`]: the images that they name.
//! - [`mat`]: MATLAB files, in which AgeDB stores its pairs.
//! - [`matrix`]: matrices of embeddings.
//! - [`pack`]: writers of containers.
//! - [`names`]: names of files: which are images, and which can be ignored.
//! - [`thumbnail`]: small pictures for pages; [`tone`]: the colours of faces.
//! - [`text`]: text files in common encodings.
//! - [`vectors`]: embeddings, one row for each image.
//!
//! Nothing here panics on bytes from elsewhere. It is a separate crate so that a new reader does not invalidate trainings: crates
//! that only read data sets do not depend on it.

pub mod container;
pub mod landmarks;
pub mod lists;
pub mod lookup;
pub mod mat;
pub mod matrix;
pub mod names;
pub mod pack;
pub mod text;
pub mod thumbnail;
pub mod tone;
pub mod vectors;

use lfs_faces::DataError;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
