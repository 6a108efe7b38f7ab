//! Containers of face images: what data sets are handed out in.
//!
//! [`FORMATS`] is the table: a file and a row each. [`open`] tells by content which one a path is. A [`Container`] gives its images
//! one after the other, in its own order, so that one larger than memory is read at the disk's rate.
//!
//! Nothing is executed, nothing is written, and no length in a file is believed before the file is known to be that long.

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

/// A face as a container holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item<'a> {
    /// Its name in the container, with forward slashes; no two have the same.
    pub name: &'a str,
    /// Whose it is, where the container says so.
    pub identity: Option<&'a str>,
    /// The encoded image.
    pub image: &'a [u8],
    /// Five points in pixels, where the container has them.
    pub points: Option<Points>,
    /// The group that it belongs to, where the container has groups.
    pub group: Option<&'a str>,
}

/// Takes what a container gives.
pub trait Sink {
    /// A face.
    ///
    /// # Errors
    /// What the taker cannot go on with; the reading ends with it.
    fn item(&mut self, item: Item<'_>) -> Result<(), DataError>;

    /// Two items by name, and whether they show one person.
    ///
    /// # Errors
    /// As [`Sink::item`].
    fn pair(&mut self, a: &str, b: &str, same: bool) -> Result<(), DataError>;

    /// Something that was found and is no face: its name and why it was not taken.
    fn passed_over(&mut self, name: &str, why: &str);
}

/// An opened container.
pub trait Container: Send + Sync {
    /// How many images it holds, where that is known before it is read.
    fn count(&self) -> Option<u64> {
        None
    }

    /// Width and height that every image has by what the container says.
    fn side(&self) -> Option<(u32, u32)> {
        None
    }

    /// Whether it is a set of pairs, which says not whose its images are.
    fn is_pairs(&self) -> bool {
        false
    }

    /// Gives everything to `sink`, in the container's own order.
    ///
    /// # Errors
    /// When it is damaged, cut short, or holds what its format has no place for; and what `sink` returns.
    fn read(&self, sink: &mut dyn Sink) -> Result<(), DataError>;
}

/// A kind of container.
pub struct Format {
    /// Its name in parameters and reports.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Whether something is one, by its first bytes, or by what lies in a folder.
    is: fn(&Look) -> bool,
    open: fn(&Path) -> Result<Box<dyn Container>, DataError>,
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Every kind, in the order in which they are tried.
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

/// The names of all kinds, for messages.
fn known() -> String {
    FORMATS.iter().map(|f| f.name).collect::<Vec<_>>().join(", ")
}

/// What a path is, by content.
///
/// # Errors
/// When it cannot be read or is no container that is known.
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

/// Opens a container by what it is.
///
/// # Errors
/// As [`format`], and when it is damaged.
pub fn open(path: &Path) -> Result<(&'static Format, Box<dyn Container>), DataError> {
    let format = format(path)?;
    Ok((format, format.open(path)?))
}

/// The row with a name.
pub fn by_name(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|f| f.name == name)
}

impl Format {
    /// Opens a container that is said to be of this kind.
    ///
    /// # Errors
    /// When it is damaged or of another kind.
    pub fn open(&self, path: &Path) -> Result<Box<dyn Container>, DataError> {
        (self.open)(path)
    }
}

/// The ending of an encoded image by its first bytes.
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

/// Whether bytes begin as an image does.
fn is_encoded(image: &[u8]) -> bool {
    ending(image) != "img"
}

#[cfg(test)]
mod tests;
