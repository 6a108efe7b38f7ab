//! Puts this crate's sources into it, and says where libtorch lies.

fn main() {
    lfs_source::emit();
    lfs_source::link_libtorch();
}
