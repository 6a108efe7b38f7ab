//! Brings data in: folders, files and archives, with digest pins.

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
