//! Networks, devices, and the parts of libtorch that the bindings lack.
//!
//! - [`backbone`]: the network architectures; [`model`]: a network with its weights, in memory and on disk; [`steps`]: for other
//!   formats.
//! - [`crops`]: aligned crops, and batches of them.
//! - [`arithmetic`]: the same bits on every processor, or the fastest kernels; [`functions`]: products and
//!   functions for the former.
//! - [`sgd`], [`weights`], [`random`], [`device`], [`gpu`]: shared by training and embedding.

pub mod arithmetic;
pub mod backbone;
pub mod builder;
pub mod crops;
pub mod device;
pub mod functions;
pub mod gpu;
pub mod memory;
pub mod model;
pub mod random;
pub mod sgd;
pub mod shim;
pub mod steps;
pub mod weights;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
