//! Small pictures, within a limit of bytes.

use lfs_faces::dataset::FaceRef;
use lfs_formats::thumbnail::Thumbnail;

/// The most bytes of pictures in a page.
const MOST: usize = 9_500_000;

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
        self.bytes += data.as_ref().map_or(0, String::len);
        Picture { name: face.name.to_owned(), data, role }
    }

    /// How many bytes are left for pictures.
    pub(crate) fn room(&self) -> usize {
        MOST.saturating_sub(self.bytes)
    }
}
