//! The binary, driven from outside on small pipelines: run, edit, run again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alone;
mod cache;
mod command_line;
mod commands;
mod faults;
mod keeping;
mod locking;
mod mistakes;
mod model;
mod own_files;
mod results;
mod rows;
mod shell;
mod stale;
mod stopping;
mod support;
mod terminal;
mod torture;
mod workers;
