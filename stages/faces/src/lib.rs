//! Face data as it is passed between stages.
//!
//! - [`dataset`]: the container in which face images are passed between stages.
//! - [`image`]: encoded bytes to pixels and back.
//! - [`TestSet`]: the test sets and their names.
//!
//! Nothing here knows of stages, and nothing panics on bytes from elsewhere.

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
