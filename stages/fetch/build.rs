//! Embeds this crate's sources.

fn main() {
    lfs_source::emit();
}
