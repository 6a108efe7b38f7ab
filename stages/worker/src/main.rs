//! `lfs-stages`: the worker that provides every kind of stage of this project.
//!
//! `lfs-pipe` starts it and exchanges messages with it; the contract crate `lfs-stage` documents the protocol.

use std::process::ExitCode;

use lfs_stage::{Kind, worker_main};
use tracing_subscriber::EnvFilter;

/// The kinds, in the order of a pipeline.
static KINDS: [&dyn Kind; 17] = [
    &lfs_synthesize::Synthesize,
    &lfs_fetch::Fetch,
    &lfs_acquire::Acquire,
    &lfs_describe::Describe,
    &lfs_clean::Clean,
    &lfs_noise::Noise,
    &lfs_overlap::Overlap,
    &lfs_detect::Detect,
    &lfs_align::Align,
    &lfs_sheet::Sheet,
    &lfs_train::Train,
    &lfs_embed::Embed,
    &lfs_embeddings::Embeddings,
    &lfs_evaluate::Evaluate,
    &lfs_export::Export,
    &lfs_publish::Publish,
    &lfs_tabulate::Tabulate,
];

fn main() -> ExitCode {
    // This must precede any other thread and any other call of libtorch.
    lfs_network::device::load_gpu_library();
    // Standard output is reserved for the protocol.
    let level = EnvFilter::try_from_env("LFS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr).init();
    ExitCode::from(worker_main(concat!("lfs-stages ", env!("CARGO_PKG_VERSION")), &KINDS))
}
