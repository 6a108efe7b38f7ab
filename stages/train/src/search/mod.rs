//! The ways to search a loss, one file each: pure functions from seed, epoch and history to the candidates of an
//! epoch.

pub mod am_lfs;
pub mod margin;
pub mod policy;
pub mod random;
pub mod reward;
