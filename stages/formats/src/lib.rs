//! Files that data sets bring along beside their images.
//!
//! - [`landmarks`]: every layout in which data sets write five points of a face.
//! - [`lists`]: lines of the protocols' lists.
//! - [`mat`]: MATLAB files, in which AgeDB writes its pairs.
//! - [`names`]: names of files: which are images, which belong to nobody.
//! - [`text`]: text files in the encodings in which people save them.
//! - [`vectors`]: embeddings, a row an image.
//!
//! Nothing here panics on bytes that somebody else wrote. It is a crate of its own so that a new reader leaves
//! trainings valid: what reads datasets alone is not built on it.

pub mod landmarks;
pub mod lists;
pub mod mat;
pub mod names;
pub mod text;
pub mod vectors;

use lfs_faces::DataError;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
