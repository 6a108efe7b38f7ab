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
    bytes: usize,
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
        Self { thumbnail: Thumbnail { side, quality: 80, square: false }, bytes: 0 }
    }

    pub(crate) fn picture(&mut self, face: &FaceRef<'_>, role: &'static str) -> Picture {
        let data = self.thumbnail.base64(face.image);
        // The name is in three places, and escaping may lengthen it.
        self.bytes += data.as_ref().map_or(0, String::len) + AROUND + 4 * face.name.len();
        Picture { name: face.name.to_owned(), data, role }
    }

    /// Takes back the bytes of a tile that has no room.
    pub(crate) fn back_to(&mut self, room: usize) {
        self.bytes = MOST - room.min(MOST);
    }

    /// How many bytes are left.
    pub(crate) fn room(&self) -> usize {
        MOST.saturating_sub(self.bytes)
    }
}
