//! Face data: records, containers, protocols, landmarks.
//!
//! - [`dataset`]: the container in which face images travel between stages.
//! - [`image`]: encoded bytes to pixels and back.
//! - [`landmarks`]: every layout in which data sets write five points of a face.
//! - [`mat`]: MATLAB files, in which AgeDB writes its pairs.
//! - [`names`]: when two names mean the same person.
//!
//! Nothing here knows of stages, and nothing panics on bytes that somebody else wrote.

pub mod dataset;
mod error;
pub mod image;
pub mod landmarks;
pub mod mat;
pub mod names;

pub use error::DataError;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
