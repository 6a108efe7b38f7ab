//! Containers of face images: the formats in which data sets are distributed.
//!
//! [`FORMATS`] is the table: one file and one row for each. [`open`] detects the format of a path from its content. A [`Container`]
//! yields its images in its own order, one at a time, so that one larger than memory is read at the rate of the disk.
//!
//! No code is executed, nothing is written, and no length in a file is trusted before the file is known to be that long.

mod datum;
pub mod folder;
pub mod lmdb;
mod look;
pub mod npz;
pub mod pack;
mod pairs;
pub mod parquet;
pub mod pickle;
mod pixels;
pub mod recordio;
mod set;
pub mod verification;
pub mod webdataset;

use std::path::Path;

use lfs_faces::dataset::Points;

use crate::DataError;
pub use look::Look;
pub use pairs::persons;

/// A face in a container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item<'a> {
    /// Its unique name in the container, with forward slashes.
    pub name: &'a str,
    /// Its identity, if the container states it.
    pub identity: Option<&'a str>,
    /// The encoded image.
    pub image: &'a [u8],
    /// Five points in pixels, if the container has them.
    pub points: Option<Points>,
    /// Its group, if the container has groups.
    pub group: Option<&'a str>,
}

/// Receives the content of a container.
pub trait Sink {
    /// A face.
    ///
    /// # Errors
    /// An error of the receiver; it ends the reading.
    fn item(&mut self, item: Item<'_>) -> Result<(), DataError>;

    /// A pair of items by name, and whether it is genuine.
    ///
    /// # Errors
    /// As [`Sink::item`].
    fn pair(&mut self, a: &str, b: &str, same: bool) -> Result<(), DataError>;

    /// An entry that was skipped: its name and the reason.
    fn passed_over(&mut self, name: &str, why: &str);
}

/// An opened container.
pub trait Container: Send + Sync {
    /// The number of images, if it is known before reading.
    fn count(&self) -> Option<u64> {
        None
    }

    /// Width and height of every image, if the container states them.
    fn side(&self) -> Option<(u32, u32)> {
        None
    }

    /// Whether it is a verification set, which does not name identities.
    fn is_pairs(&self) -> bool {
        false
    }

    /// Passes all content to `sink`, in the container's own order.
    ///
    /// # Errors
    /// If the container is damaged, truncated, or does not conform to its format; and errors of `sink`.
    fn read(&self, sink: &mut dyn Sink) -> Result<(), DataError>;
}

/// A container format.
pub struct Format {
    /// Its name in parameters and reports.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Whether a path has this format, by the first bytes of a file or the entries of a folder.
    is: fn(&Look) -> bool,
    open: fn(&Path) -> Result<Box<dyn Container>, DataError>,
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Every format, in the order in which they are tried.
pub static FORMATS: &[Format] = &[
    Format {
        name: "dataset",
        about: "faces.arrow and dataset.json, as stages hand them on",
        is: set::is,
        open: set::open,
    },
    Format {
        name: "recordio",
        about: "train.rec with train.idx and property, as InsightFace packs training sets",
        is: recordio::is,
        open: recordio::open,
    },
    Format {
        name: "verification-bin",
        about: "lfw.bin and the like: a pickle of images and of which pairs show one person",
        is: verification::is,
        open: verification::open,
    },
    Format {
        name: "parquet",
        about: "Parquet with a column of images, or of pairs of images; one file or a folder of shards",
        is: parquet::is,
        open: parquet::open,
    },
    Format {
        name: "webdataset",
        about: "tar files of key.jpg and key.cls; one file or a folder of shards",
        is: webdataset::is,
        open: webdataset::open,
    },
    Format {
        name: "lmdb",
        about: "an LMDB of Caffe Datum records or of encoded images, perhaps with a list of labels beside it",
        is: lmdb::is,
        open: lmdb::open,
    },
    Format {
        name: "npz",
        about: "NumPy arrays of pixels, [n, height, width] or [n, height, width, 3], perhaps with labels",
        is: npz::is,
        open: npz::open,
    },
    Format {
        name: "zip",
        about: "a zip archive of identity/image.jpg",
        is: pack::is_zip,
        open: pack::open_zip,
    },
    Format {
        name: "tar",
        about: "a tar archive of identity/image.jpg, compressed by gzip or not",
        is: pack::is_tar,
        open: pack::open_tar,
    },
    Format {
        name: "folders",
        about: "folders of images: identity/image.jpg",
        is: folder::is,
        open: folder::open,
    },
];

/// The names of all formats, for messages.
fn known() -> String {
    FORMATS.iter().map(|f| f.name).collect::<Vec<_>>().join(", ")
}

/// Detects the format of a path from its content.
///
/// # Errors
/// If the path cannot be read, or has no known format.
pub fn format(path: &Path) -> Result<&'static Format, DataError> {
    let look = Look::at(path)?;
    FORMATS.iter().find(|f| (f.is)(&look)).ok_or_else(|| {
        DataError::new(format!(
            "{} is no supported container ({}): {}",
            path.display(),
            known(),
            look.found()
        ))
    })
}

/// Opens a container of any format.
///
/// # Errors
/// As [`format`], and if the container is damaged.
pub fn open(path: &Path) -> Result<(&'static Format, Box<dyn Container>), DataError> {
    let format = format(path)?;
    Ok((format, format.open(path)?))
}

/// The format with a name.
pub fn by_name(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|f| f.name == name)
}

impl Format {
    /// Opens a container of this format.
    ///
    /// # Errors
    /// If it is damaged or has another format.
    pub fn open(&self, path: &Path) -> Result<Box<dyn Container>, DataError> {
        (self.open)(path)
    }
}

/// The file extension for an encoded image, by its first bytes.
pub fn ending(image: &[u8]) -> &'static str {
    match image {
        [0xff, 0xd8, ..] => "jpg",
        [0x89, b'P', b'N', b'G', ..] => "png",
        [b'B', b'M', ..] => "bmp",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        [b'P', b'5', ..] => "pgm",
        [b'P', b'6', ..] => "ppm",
        [b'G', b'I', b'F', b'8', ..] => "gif",
        _ => "img",
    }
}

/// Whether the first bytes are those of an image.
fn is_encoded(image: &[u8]) -> bool {
    ending(image) != "img"
}

#[cfg(test)]
mod tests;
