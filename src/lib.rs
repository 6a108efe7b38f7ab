//! The runner: from `pipeline.toml` to results with their provenance.
//!
//! Data flows one way:
//!
//! ```text
//! pipeline.toml -> manifest -> plan -> engine -> worker -> stage -> outputs
//!                              | keys    |
//!                              +------ cache (objects, records) ------ remote store
//!                              events -> console, JSON lines, run database, page
//! ```
//!
//! The runner knows nothing of faces or tensors: only workers know what a stage does
//! ([`lfs_stage`] is all that they share).

/// Writes a line to standard error. If that fails (a log on a full disk), there is no one to report it to.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

pub mod cache;
pub mod cli;
pub mod engine;
pub mod fault;
pub mod fingerprint;
pub mod history;
pub mod key;
pub mod lock;
pub mod manifest;
pub mod outputs;
pub mod paths;
pub mod plan;
pub mod problem;
pub mod remote;
pub mod revision;
pub mod show;
pub mod state;
pub mod verify;
pub mod worker;

pub use lfs_core::{digest, writers};
