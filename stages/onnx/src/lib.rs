//! Networks in the ONNX format, computed by libtorch: with the same arithmetic as all other networks, and on a GPU if there is one.
//!
//! A [`Model`] is read once and checked: an operator, version or attribute that cannot be computed as the ONNX specification
//! defines it is refused by name. It can then be computed for inputs of any shape that its operators allow.
//!
//! [`write`] writes networks of this program in that format.

mod attributes;
mod graph;
mod operators;
mod proto;
mod tensor;
#[cfg(test)]
mod tests;
mod windows;
mod write;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use graph::{Model, Value};
pub use operators::names as operators;
pub use source::SOURCE;
pub use write::write;
