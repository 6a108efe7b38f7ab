//! The container for face images that stages exchange.
//!
//! On disk, a data set is a folder of two files. Both can be read without this program:
//!
//! - `faces.arrow`, an Arrow IPC *file* (uncompressed, memory-mapped, random access) with one row per face:
//!
//!   | column | type | meaning |
//!   |---|---|---|
//!   | `image` | large binary | the encoded image, unchanged from its source or as encoded by a stage |
//!   | `identity` | uint32 | an index into `identities` of `dataset.json` |
//!   | `name` | string | path relative to the root of its set, separated by `/`, as in the set's own lists |
//!   | `points` | 10 x float32, nullable | x, y of the five [`Points`]; NaN for an unknown point |
//!   | `group` | string, nullable | the group assigned by the set itself (RFW: the race) |
//!   | `flags` | uint32 | bits for use by stages; 0 otherwise |
//!
//! - `dataset.json`, an [`Info`].
//!
//! The same faces in the same order always give the same bytes.

mod reader;
mod schema;
mod writer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use reader::Dataset;
pub use writer::Writer;

pub use crate::error::DataError;

/// The name of the Arrow file in a data set's folder.
pub const FACES_FILE: &str = "faces.arrow";
/// The name of the description in a data set's folder.
pub const INFO_FILE: &str = "dataset.json";

/// Left eye, right eye, nose, left mouth corner, right mouth corner, as seen in the picture. x and y are in
/// pixels from the top left, with integer coordinates at pixel centres. They refer to the picture after its
/// EXIF orientation was applied (see [`crate::image::decode`]).
///
/// An unknown point has two NaN coordinates (a profile image shows one eye and one mouth corner); see
/// [`known`]. An image without landmarks has no `Points` at all.
pub type Points = [[f32; 2]; 5];

/// The indices of the known points.
pub fn known(points: &Points) -> impl Iterator<Item = usize> + '_ {
    (0..5).filter(|&k| points[k].iter().all(|c| c.is_finite()))
}

/// One face image, owned.
#[derive(Debug, Clone, PartialEq)]
pub struct Face {
    /// The encoded image.
    pub image: Vec<u8>,
    /// An index into [`Info::identities`].
    pub identity: u32,
    /// The image's path relative to the root of its set, with forward slashes.
    pub name: String,
    /// The landmarks, if known.
    pub points: Option<Points>,
    /// The group assigned by the set.
    pub group: Option<String>,
    /// Bits for use by stages.
    pub flags: u32,
}

/// One face image, borrowed from a [`Dataset`] or a [`Face`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceRef<'a> {
    /// The encoded image.
    pub image: &'a [u8],
    /// An index into [`Info::identities`].
    pub identity: u32,
    /// The image's path relative to the root of its set, with forward slashes.
    pub name: &'a str,
    /// The landmarks, if known.
    pub points: Option<Points>,
    /// The group assigned by the set.
    pub group: Option<&'a str>,
    /// Bits for use by stages.
    pub flags: u32,
}

impl<'a> From<&'a Face> for FaceRef<'a> {
    fn from(face: &'a Face) -> Self {
        Self {
            image: &face.image,
            identity: face.identity,
            name: &face.name,
            points: face.points,
            group: face.group.as_deref(),
            flags: face.flags,
        }
    }
}

impl<'a> From<&FaceRef<'a>> for FaceRef<'a> {
    fn from(face: &FaceRef<'a>) -> Self {
        *face
    }
}

impl FaceRef<'_> {
    /// An owned copy.
    pub fn to_face(&self) -> Face {
        Face {
            image: self.image.to_vec(),
            identity: self.identity,
            name: self.name.to_owned(),
            points: self.points,
            group: self.group.map(str::to_owned),
            flags: self.flags,
        }
    }
}

/// The description of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Identity `k` is named `identities[k]`. An identity may have no images, if all were dropped.
    pub identities: Vec<String>,
    /// The number of rows of `faces.arrow`; set by [`Writer::finish`].
    pub images: u64,
    /// How the images were cropped, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<Crop>,
    /// Where the data came from, for human readers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

/// How images were cropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crop {
    /// Height in pixels; also the width unless `width` is set.
    pub size: u32,
    /// Width in pixels, if it differs from the height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// The template to which the landmarks were aligned: `arcface-112`, `arcface-96x112`.
    pub template: String,
    /// How the crops are encoded: `jpeg-95`, `png`.
    pub encoding: String,
}

impl Crop {
    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width.unwrap_or(self.size)
    }
}

#[cfg(test)]
mod tests;
