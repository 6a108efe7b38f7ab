//! `metrics.json`, which evaluations write and tables read, and the statistics that both need.
//!
//! - [`file`]: the file. [`draws`]: bootstrap replicates of a number, and what follows from those of several numbers.
//! - [`student`]: quantiles and tail probabilities. [`wilson`]: the interval of a share.

pub mod draws;
pub mod file;
pub mod student;
pub mod wilson;

pub use draws::Draws;
pub use file::{Column, Details, Figure, Folds, GroupRates, Metrics, OneGroup, Resampling};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
