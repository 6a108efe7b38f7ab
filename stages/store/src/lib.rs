//! Object stores by address, for `lfs-remote` and for the kind `fetch`: opening them, and limits on their responses.

mod guard;
mod open;

pub use guard::{Bounds, Odd};
pub use open::{Store, open};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The maximum size of a text from a store, such as a record or a listing.
pub const MOST_TEXT: u64 = 64 << 20;
