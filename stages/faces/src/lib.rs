//! Face data as it travels between stages.
//!
//! - [`dataset`]: the container in which face images travel between stages.
//! - [`image`]: encoded bytes to pixels and back.
//!
//! Nothing here knows of stages, and nothing panics on bytes that somebody else wrote.

pub mod dataset;
mod error;
pub mod image;

pub use error::DataError;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
