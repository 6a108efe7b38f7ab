//! Puts this crate's sources into it.

fn main() {
    lfs_source::emit();
}
