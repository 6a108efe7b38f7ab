//! Networks in the ONNX format, computed by libtorch: with the arithmetic of everything else, on a GPU where there is one.
//!
//! A [`Model`] is read once and checked: an operator, a version or a constant that would not be computed as the ONNX documents say is
//! refused, by name. It is then computed for inputs of any shape that its operators allow.

mod attributes;
mod graph;
mod operators;
mod proto;
mod tensor;
#[cfg(test)]
mod tests;
mod windows;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use graph::{Model, Value};
pub use operators::names as operators;
pub use source::SOURCE;
