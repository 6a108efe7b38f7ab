//! A store of results that several machines share.
//!
//! ```text
//! blobs/ab/cdef..    bytes, named by their digest: a file, or the small files of a folder one behind the other
//! folders/ab/cdef..  what files a folder holds, and in which blobs; named by the folder's digest
//! records/ab/cdef..  key -> outputs, fingerprint, origin
//! ```
//!
//! Whoever can write to a store may have put anything there, and what serves it may be broken: an answer has bounds
//! in size and time, and what comes is believed only if it is what its name says.
//!
//! What is named is there before what names it, and nothing is written over, so that whoever reads finds whole
//! results whenever he comes. The bytes are moved by a program of its own, `lfs-remote`: what speaks to S3 and its
//! like is several times as large as all of this program, and most runs need none of it.

mod helper;
mod layout;
mod pack;
pub mod protocol;
mod pull;
mod push;
mod transfer;

pub use helper::Helper;
pub use transfer::{Moved, Remote, Wanted};
