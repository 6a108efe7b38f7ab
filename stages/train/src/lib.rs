//! Trains a network with a margin loss, fixed or searched.

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
