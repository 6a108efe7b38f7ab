//! Records the digests of this crate's sources, and where libtorch lies.

fn main() {
    lfs_source::emit();
    lfs_source::link_libtorch();
}
