//! lfs-stages.
fn main() {}
