//! Checks that all aligned crops are square and of one size, which training requires.

use lfs_faces::dataset::Crop;
use lfs_faces::{DataError, image};

/// The template of aligned crops in face recognition: five points in 112 x 112 pixels, scaled for other sizes.
const TEMPLATE: &str = "arcface-112";

/// The size that all images must have.
#[derive(Default)]
pub(super) struct Crops {
    /// Width and height, and the source of this size.
    wanted: Option<((u32, u32), String)>,
    unreadable: u64,
}

impl Crops {
    /// Sets the size that images must have.
    pub(super) fn expect(&mut self, who: &str, size: (u32, u32)) -> Result<(), DataError> {
        if size.0 != size.1 {
            return Err(DataError::new(format!(
                "{who} has images of {}x{} pixels, but networks here take square crops; bring the set as photographs with landmarks \
                 (`crops = false`) through `align`",
                size.0, size.1
            )));
        }
        match &self.wanted {
            Some((known, by)) if *known != size => Err(DataError::new(format!(
                "{who} has images of {}x{} pixels, but {by} has {}x{}: crops of one size are needed, for training and for tests; align the \
                 photographs of both with one `size`",
                size.0, size.1, known.0, known.1
            ))),
            Some(_) => Ok(()),
            None => {
                self.wanted = Some((size, who.to_owned()));
                Ok(())
            }
        }
    }

    /// Checks the size of an image. An image whose size cannot be read is left to `clean`.
    pub(super) fn see(&mut self, who: &str, bytes: &[u8]) -> Result<(), DataError> {
        match image::size(bytes) {
            // The common case allocates no text.
            Ok(size) if self.wanted.as_ref().is_some_and(|(known, _)| *known == size) => Ok(()),
            Ok(size) => self.expect(&format!("`{who}`"), size),
            Err(_) => {
                self.unreadable += 1;
                Ok(())
            }
        }
    }

    /// The number of images whose size could not be read.
    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The description of the crops.
    pub(super) fn describe(&self) -> Option<Crop> {
        let ((size, _), _) = self.wanted.as_ref()?;
        Some(Crop {
            size: *size,
            template: TEMPLATE.to_owned(),
            encoding: "as-found".to_owned(),
            width: None,
        })
    }
}
