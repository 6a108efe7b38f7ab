//! Files in which face data is handed out.
//!
//! - [`container`]: images with their identities, in every container that people hold.
//! - [`landmarks`]: every layout in which data sets write five points of a face.
//! - [`lists`]: lines of the protocols' lists.
//! - [`mat`]: MATLAB files, in which AgeDB writes its pairs.
//! - [`matrix`]: matrices of embeddings.
//! - [`pack`]: writers of containers.
//! - [`names`]: names of files: which are images, which belong to nobody.
//! - [`thumbnail`]: small pictures for pages; [`tone`]: the colours of faces.
//! - [`text`]: text files in the encodings in which people save them.
//! - [`vectors`]: embeddings, a row an image.
//!
//! Nothing here panics on bytes that somebody else wrote. It is a crate of its own so that a new reader leaves
//! trainings valid: what reads datasets alone is not built on it.

pub mod container;
pub mod landmarks;
pub mod lists;
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
