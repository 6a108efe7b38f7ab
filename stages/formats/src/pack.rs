//! Writers of containers for other training programs.
//!
//! [`PACKS`] is the table: one file and one row for each. The output depends on the faces alone: it has no times, and no order of a
//! hash map.

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
    /// Its path in its data set.
    pub name: &'a str,
    /// The number of its identity, from 0.
    pub class: u32,
    /// The name of its identity.
    pub identity: &'a str,
    /// The encoded image.
    pub image: &'a [u8],
    /// Its landmarks.
    pub points: Option<Points>,
}

/// Information on a set before its faces are written.
#[derive(Debug, Clone)]
pub struct Set<'a> {
    /// The names of the identities, by number.
    pub identities: &'a [String],
    /// The number of images of each identity.
    pub counts: &'a [u64],
    /// Width and height of the images, if all are equal.
    pub side: Option<(u32, u32)>,
    /// The number of bytes of images in a file before the next one is started, for containers of several files.
    pub shard: u64,
}

/// Writes a container face by face.
pub trait Pack {
    /// Writes a face.
    ///
    /// # Errors
    /// If it cannot be written, or the container cannot represent it.
    fn face(&mut self, face: Face<'_>) -> Result<(), DataError>;

    /// Finishes the container.
    ///
    /// # Errors
    /// If it cannot be written.
    fn finish(self: Box<Self>) -> Result<(), DataError>;
}

/// Creates a container in a folder.
pub type Begin = fn(&Path, &Set<'_>) -> Result<Box<dyn Pack>, DataError>;

/// A container format that can be written.
pub struct Format {
    /// Its name in parameters.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Whether faces must be sorted by identity.
    pub sorted: bool,
    /// Creates a container in an existing empty folder.
    pub begin: Begin,
}

/// Every format.
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

/// The format with a name.
pub fn by_name(name: &str) -> Option<&'static Format> {
    PACKS.iter().find(|p| p.name == name)
}

/// Converts a name to a path segment without separators and characters that file systems refuse.
fn part(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c }).collect();
    match safe.trim_matches([' ', '.']) {
        "" => "_".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// A zero-padded number for file names, wide enough for all numbers.
fn digits(number: u64, of: u64) -> String {
    let width = of.saturating_sub(1).to_string().len().max(6);
    format!("{number:0width$}")
}

/// The file extension under which other programs recognise an image.
fn file_ending(image: &[u8]) -> &'static str {
    match ending(image) {
        "img" => "bin",
        known => known,
    }
}

fn cannot(path: &Path, e: impl std::fmt::Display) -> DataError {
    DataError::new(format!("cannot write {}: {e}", path.display()))
}
