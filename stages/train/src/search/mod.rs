//! The loss searches: pure functions from seed, epoch and history to the candidates of an epoch.

pub mod am_lfs;
pub mod margin;
pub mod policy;
pub mod random;
pub mod reward;
