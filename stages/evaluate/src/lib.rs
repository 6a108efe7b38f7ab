//! Scores embeddings by the protocol of a test set and a named definition.
//!
//! - [`protocol`]: from a set's own lists to pairs and folds, to templates, or to probes and galleries. A file each.
//! - [`templates`]: one embedding for a set of images.
//! - [`score`]: from embeddings to cosines, once for all definitions.
//! - [`definition`]: from scores, labels and folds to an accuracy. Four definitions, a file each.
//! - [`tpr_at_far`], [`nearest`], [`rank`], [`scan`]: TPR at a FAR, ranks, blocked products.
//! - [`group`]: error rates by group. [`resample`], [`draws`]: bootstrap replicates over persons.
//! - [`catalog`]: the table that combines them.

pub mod catalog;
pub mod definition;
pub mod draws;
pub mod group;
mod lists;
mod nearest;
mod params;
pub mod protocol;
pub mod rank;
pub mod resample;
pub mod rows;
pub mod scan;
pub mod score;
mod stage;
pub mod templates;
pub mod tpr_at_far;
mod work;

pub use params::{Missing, Params};
pub use stage::Evaluate;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
