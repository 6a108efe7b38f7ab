//! The messages between the runner and `lfs-remote`, one line of JSON each.
//!
//! `lfs-remote URL` first says whether the store can be used ([`Greeting`]). Then it takes jobs, does many at a
//! time, and answers each with its number, in any order. It knows names, files and digests, and nothing of results.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// No text of a store (a record or the list of a folder) is larger, in bytes. Both sides check it: a larger text is neither sent
/// nor read.
pub const MOST_TEXT: u64 = 64 << 20;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Greeting {
    /// The address and the options are valid. Whether the store answers is not known yet.
    Ready,
    /// They are not.
    Unusable(String),
}

/// A job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Job {
    /// Return the text of this name.
    Read {
        /// The name.
        name: String,
    },
    /// Store a text.
    Write {
        /// The name.
        name: String,
        /// The text.
        text: String,
        /// Also replace an existing one.
        over: bool,
    },
    /// Fetch bytes into a new file.
    Fetch {
        /// The name.
        name: String,
        /// Their digest.
        digest: Digest,
        /// How many they are; no more are read.
        bytes: u64,
        /// The file.
        to: PathBuf,
    },
    /// Store the bytes of a file.
    Send {
        /// The name.
        name: String,
        /// Their digest.
        digest: Digest,
        /// The file.
        from: PathBuf,
        /// Also replace an existing one.
        over: bool,
    },
}

/// A job with its number.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// The number.
    pub id: u64,
    /// The job.
    pub job: Job,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// So many more bytes were sent or received.
    Moved(u64),
    /// The job has ended.
    Over {
        /// Its number.
        id: u64,
        /// How it ended.
        outcome: Outcome,
    },
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The text that was asked for.
    Text(String),
    /// It was done.
    Done,
    /// Something of this name exists already, and was not changed.
    There,
    /// Nothing of this name exists.
    Missing,
    /// The bytes do not match their digest; none were kept.
    Damaged,
    /// The store refuses this job.
    Refused(String),
    /// The store answers this job badly: too much, too slowly, or with an error. Other jobs may succeed.
    Broken(String),
    /// A file of this machine cannot be read or written.
    Here(String),
    /// The store has failed, for this job and for all after it.
    Failed(String),
}
