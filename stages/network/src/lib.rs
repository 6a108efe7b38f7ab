//! Networks, devices and what the torch bindings lack.
//!
//! - [`backbone`]: the networks, one row of a table each; [`model`]: one of them with its weights, also on disk.
//! - [`crops`]: aligned crops in memory, and batches of them.
//! - [`arithmetic`]: the same bits on every processor, or its quickest kernels; [`functions`]: products and functions for the former.
//! - [`sgd`], [`weights`], [`random`], [`device`], [`gpu`]: what training and embedding share.

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
pub mod weights;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
