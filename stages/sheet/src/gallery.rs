//! Small pictures, within a limit of bytes.

use lfs_faces::dataset::FaceRef;
use lfs_formats::thumbnail::Thumbnail;

/// The most bytes of a page.
const MOST: usize = 9_900_000;
/// Bytes of HTML around a picture, beside its name.
const AROUND: usize = 300;

/// Makes the pictures of a page.
pub(crate) struct Gallery {
    thumbnail: Thumbnail,
    /// How many bytes are left.
    pub(crate) room: usize,
}

/// A picture of the page.
pub(crate) struct Picture {
    /// The image's name.
    pub(crate) name: String,
    /// A JPEG in base64; none where the image cannot be decoded.
    pub(crate) data: Option<String>,
    /// What it is to the others of its tile: `image`, `crop`, `dropped`, `kept` ..
    pub(crate) role: &'static str,
}

impl Gallery {
    pub(crate) fn new(side: u32) -> Self {
        Self { thumbnail: Thumbnail { side, quality: 80, square: false }, room: MOST }
    }

    pub(crate) fn picture(&self, face: &FaceRef<'_>, role: &'static str) -> Picture {
        Picture { name: face.name.to_owned(), data: self.thumbnail.base64(face.image), role }
    }
}

impl Picture {
    /// How many bytes it takes on the page.
    pub(crate) fn bytes(&self) -> usize {
        // The name is in three places, and escaping may lengthen it.
        self.data.as_ref().map_or(0, String::len) + AROUND + 4 * self.name.len()
    }
}
