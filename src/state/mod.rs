//! Which nodes are up to date: the state that the last run left, and the check against it.
//!
//! Each plan has one file in `memo/` of the cache. It contains the plan's premises and the paths of its files, which are read
//! first; the plan; and the state of every node at the end of the last run, to which each run appends what it changed. While the
//! premises hold and no file has changed, a run of everything is a no-op, and the plan is not even read. Any other run learns
//! here which nodes are up to date: their files have not changed since the last run, so they need no key, no record and no
//! lookup in the cache.

mod files;
mod frame;
mod kept;
mod nodes;
mod prior;

pub use files::Files;
pub(crate) use files::{Results, digest_of_inputs, stored};
pub use kept::{Head, Kept};
pub(crate) use nodes::NodeState;
pub use nodes::NodeStates;
pub use prior::Prior;
