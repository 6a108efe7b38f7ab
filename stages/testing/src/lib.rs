//! Optional resources of tests: photographs, Python libraries, GPUs. A test that lacks one is skipped.
//!
//! A skipped test passes with a notice. An environment variable turns skips into failures, for machines that must have the
//! resource: `REQUIRE_DATA=1` (photographs), `REQUIRE_PYTHON=1` (the original libraries), `REQUIRE_GPU=1`.

#![allow(clippy::panic)] // only tests use this crate

use std::path::PathBuf;

/// A folder below the folder of real photographs that `LFS_DATA` names.
///
/// # Panics
/// If it is missing and `REQUIRE_DATA=1` is set.
pub fn data(part: &str) -> Option<PathBuf> {
    let found = std::env::var_os("LFS_DATA").map(|d| PathBuf::from(d).join(part)).filter(|p| p.exists());
    found.or_else(|| skipped("REQUIRE_DATA", &format!("LFS_DATA names no folder with `{part}`")))
}

/// The Python interpreter that has the original libraries, which `LFS_PYTHON` names.
///
/// # Panics
/// If it is missing and `REQUIRE_PYTHON=1` is set.
pub fn python() -> Option<PathBuf> {
    let found = std::env::var_os("LFS_PYTHON").map(PathBuf::from);
    found.or_else(|| skipped("REQUIRE_PYTHON", "LFS_PYTHON names no Python; `cargo xtask test` sets it up"))
}

/// Whether the machine has as many GPUs as a test needs.
///
/// # Panics
/// If it has fewer and `REQUIRE_GPU=1` is set.
pub fn gpus(needed: i64, there: i64) -> bool {
    let enough = (there >= needed).then_some(());
    enough
        .or_else(|| skipped("REQUIRE_GPU", &format!("{needed} CUDA GPUs are needed, and {there} are here")))
        .is_some()
}

/// Skips a test with a notice, or fails it if the variable is `1`.
///
/// # Panics
/// If the variable is `1`.
pub fn skipped<T>(variable: &str, why: &str) -> Option<T> {
    if std::env::var_os(variable).is_some_and(|v| v == "1") {
        panic!("{variable}=1, and {why}");
    }
    eprintln!("skipped: {why}");
    None
}
