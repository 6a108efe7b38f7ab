//! What the runner and `lfs-remote` share: digests, whether a file has a writer, and the messages between them.

pub mod digest;
pub mod messages;
pub mod writers;
