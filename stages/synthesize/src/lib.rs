//! The made world: faces with a known truth, in every protocol's own layout.
//!
//! A person is a vector of numbers ([`identity`]); a photograph adds factors of its own ([`factors`]); both together
//! are drawn ([`face`]). The [`world`] says who lives in it, [`training`] what is wrong with its training set, and the
//! layouts write each set as its protocol wants it.

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
