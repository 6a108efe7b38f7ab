//! Object stores by address, for `lfs-remote` and for the kind `fetch`: how one is opened, and what its answers are held to.

mod guard;
mod open;

pub use guard::{Bounds, Odd};
pub use open::{Store, open};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// No text of a store, a record or the list of a folder, is larger.
pub const MOST_TEXT: u64 = 64 << 20;
