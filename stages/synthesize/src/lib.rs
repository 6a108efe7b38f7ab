//! The synthetic world: faces with a known ground truth, in the layouts of all protocols.
//!
//! A person is a vector of numbers ([`identity`]); a photograph has factors of its own ([`factors`]); [`face`] renders both. The
//! [`world`] determines the people, [`training`] the faults of the training set, and the layouts write each set in its protocol's
//! format.

pub mod face;
pub mod factors;
pub mod identity;
pub mod item;
mod layout;
pub mod names;
pub mod pairs;
pub mod params;
pub mod rng;
mod stage;
pub mod training;
pub mod truth;
pub mod world;
mod write;

pub use params::{Params, Set};
pub use stage::Synthesize;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
