//! Embeds this crate's sources, and sets the run-time search path of libtorch.

fn main() {
    lfs_source::emit();
    lfs_source::link_libtorch();
}
