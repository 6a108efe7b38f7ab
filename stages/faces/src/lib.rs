//! Face data exchanged between stages.
//!
//! - [`dataset`]: the container for face images.
//! - [`image`]: decoding and encoding of images.
//! - [`TestSet`]: the test sets and their names.
//!
//! Nothing here depends on stages, and no untrusted bytes cause a panic.

pub mod dataset;
mod error;
pub mod image;
mod testset;

pub use error::DataError;
pub use testset::{Official, TestSet};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
