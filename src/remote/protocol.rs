//! What the runner and `lfs-remote` say to each other, one line of JSON each.
//!
//! `lfs-remote URL` first says whether the store can be used ([`Greeting`]). Then it is given jobs, does many at a
//! time, and answers each under its number, in any order. It knows names, files and digests, and nothing of results.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// No text of a store, a record or the list of a folder, is larger. Both sides hold to it: what is larger is not sent,
/// and not read.
pub const MOST_TEXT: u64 = 64 << 20;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Greeting {
    /// The address and the options are in order. Whether the store answers is not known yet.
    Ready,
    /// They are not.
    Unusable(String),
}

/// Something to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Job {
    /// Give the text of this name.
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
        /// Also over what is there.
        over: bool,
    },
    /// Bring bytes into a new file.
    Fetch {
        /// The name.
        name: String,
        /// What they must be.
        digest: Digest,
        /// How many they are; more are not read.
        bytes: u64,
        /// The file.
        to: PathBuf,
    },
    /// Store the bytes of a file.
    Send {
        /// The name.
        name: String,
        /// What they must be.
        digest: Digest,
        /// The file.
        from: PathBuf,
        /// Also over what is there.
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

/// What is said of a job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// So many more bytes went to or fro.
    Moved(u64),
    /// The job is over.
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
    /// It is done.
    Done,
    /// Something of this name is there already, and was left as it is.
    There,
    /// Nothing of this name is there.
    Missing,
    /// The bytes are not what their name says; nothing was kept of them.
    Damaged,
    /// The store will not have this one done.
    Refused(String),
    /// The store gives this one wrongly: too much, too slowly, with an error. Others may be right.
    Broken(String),
    /// A file of this machine cannot be read or written.
    Here(String),
    /// The store does not work, for this job and for all after it.
    Failed(String),
}
