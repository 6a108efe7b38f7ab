//! A store of results that several machines share.
//!
//! ```text
//! blobs/ab/cdef..    bytes, named by their digest: a file, or the small files of a folder, concatenated
//! folders/ab/cdef..  what files a folder holds, and in which blobs; named by the folder's digest
//! records/ab/cdef..  key -> outputs, fingerprint, provenance
//! ```
//!
//! The store is not trusted: anyone who can write to it may have put anything there, and its server may be broken. Answers are
//! bounded in size and time, and what arrives is accepted only if it matches its digest.
//!
//! An object is stored before anything that names it, and nothing is overwritten, so that a reader finds complete results at any
//! time. The bytes are moved by a program of its own, `lfs-remote`: the code that speaks to S3 and its like is several times as
//! large as this whole program, and most runs need none of it.

mod helper;
mod layout;
mod pack;

mod pull;
mod push;
mod transfer;

pub use helper::Helper;
pub use transfer::{Moved, Remote, Wanted};
