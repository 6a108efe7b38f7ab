//! Writers: faces into the containers that other programs train on.
//!
//! [`PACKS`] is the table: a file and a row each. What is written depends on the faces alone: no times, no order of a hash map.

mod folders;
mod recordio;
mod table;
mod webdataset;

use std::path::Path;

use lfs_faces::dataset::Points;

use crate::DataError;
use crate::container::ending;

/// A face to be written.
#[derive(Debug, Clone, Copy)]
pub struct Face<'a> {
    /// Its path in its set.
    pub name: &'a str,
    /// Its identity's number, from 0.
    pub class: u32,
    /// Its identity's name.
    pub identity: &'a str,
    /// The encoded image.
    pub image: &'a [u8],
    /// Its landmarks.
    pub points: Option<Points>,
}

/// What is known of a set before its faces come.
#[derive(Debug, Clone)]
pub struct Set<'a> {
    /// The names of the identities, by number.
    pub identities: &'a [String],
    /// How many images there are of each.
    pub counts: &'a [u64],
    /// Width and height of the images, where all have the same.
    pub side: Option<(u32, u32)>,
    /// How many bytes of images a file holds before the next one begins, where a container comes in several.
    pub shard: u64,
}

/// Takes one face after the other.
pub trait Pack {
    /// Writes a face.
    ///
    /// # Errors
    /// When it cannot be written, or the container has no place for it.
    fn face(&mut self, face: Face<'_>) -> Result<(), DataError>;

    /// Ends the container.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(self: Box<Self>) -> Result<(), DataError>;
}

/// Begins a container in a folder.
pub type Begin = fn(&Path, &Set<'_>) -> Result<Box<dyn Pack>, DataError>;

/// A kind of container that can be written.
pub struct Format {
    /// Its name in parameters.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Whether faces must come sorted by identity.
    pub sorted: bool,
    /// Begins one in a folder that is there and empty.
    pub begin: Begin,
}

/// Every kind.
pub static PACKS: &[Format] = &[
    Format {
        name: "folders",
        about: "identity/image.jpg, and landmarks.tsv",
        sorted: false,
        begin: folders::begin,
    },
    Format {
        name: "recordio",
        about: "train.rec, train.idx and property, as InsightFace reads them",
        sorted: true,
        begin: recordio::begin,
    },
    Format {
        name: "webdataset",
        about: "tar files of key.jpg and key.cls",
        sorted: false,
        begin: webdataset::begin,
    },
    Format {
        name: "parquet",
        about: "Parquet files with the columns image {bytes, path}, label, identity, name and landmarks",
        sorted: false,
        begin: table::parquet,
    },
    Format {
        name: "arrow",
        about: "Arrow IPC files with the same columns",
        sorted: false,
        begin: table::arrow,
    },
];

/// The row with a name.
pub fn by_name(name: &str) -> Option<&'static Format> {
    PACKS.iter().find(|p| p.name == name)
}

/// A name as a part of a path: no separators, nothing that a file system refuses.
fn part(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c }).collect();
    match safe.trim_matches([' ', '.']) {
        "" => "_".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// A number for a file's name, wide enough for all that come.
fn digits(number: u64, of: u64) -> String {
    let width = of.saturating_sub(1).to_string().len().max(6);
    format!("{number:0width$}")
}

/// The ending of an image that other programs know it by.
fn file_ending(image: &[u8]) -> &'static str {
    match ending(image) {
        "img" => "bin",
        known => known,
    }
}

fn cannot(path: &Path, e: impl std::fmt::Display) -> DataError {
    DataError::new(format!("cannot write {}: {e}", path.display()))
}
