//! libtorch from nothing: what `cargo xtask` and the installed `lfs-libtorch` share.

pub mod fetch;
pub mod host;
pub mod libtorch;
pub mod recipe;
pub mod stop;
#[cfg(test)]
mod testing;
pub mod unpack;
