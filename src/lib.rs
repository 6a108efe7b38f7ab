//! The runner: from `pipeline.toml` to results that can say where they came from.
//!
//! Data flows one way:
//!
//! ```text
//! pipeline.toml -> manifest -> plan -> engine -> worker -> stage -> outputs
//!                              | keys    |
//!                              +------ cache (objects, records) ------ remote (a store elsewhere)
//!                              events -> console, JSON lines, run database, page
//! ```
//!
//! The runner knows nothing of faces or tensors: what a stage does is its worker's business
//! ([`lfs_stage`] is all that they share).

/// Writes a line to standard error. Where that cannot be written (a log on a full disk), nobody can be told.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

pub mod cache;
pub mod cli;
pub mod digest;
pub mod engine;
pub mod fault;
pub mod fingerprint;
pub mod history;
pub mod lock;
pub mod manifest;
pub mod outputs;
pub mod paths;
pub mod plan;
pub mod remote;
pub mod revision;
pub mod show;
pub mod state;
pub mod verify;
pub mod worker;
pub mod writers;
