//! Is it up to date? What the last run left to answer that, and the answer.
//!
//! One file a plan lies in `memo/` of the cache: the plan's premises and the paths of its files, which are read first;
//! the plan; and the state of every node at the end of the last run, behind which each run appends what it changed.
//! While the premises hold and no file has changed, a run of everything is a no-op, and the plan is not even read. A run
//! that has something to do takes from here which nodes are up to date: their files have not changed since the last run, so
//! they need no key, no record and no look at the cache.

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
