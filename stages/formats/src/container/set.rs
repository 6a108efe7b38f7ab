//! The data set format that stages exchange.

use std::path::Path;

use lfs_faces::dataset::{Dataset, FACES_FILE, INFO_FILE};

use super::{Container, Item, Look, Sink};
use crate::DataError;

pub(super) fn is(look: &Look) -> bool {
    look.has(FACES_FILE) && look.has(INFO_FILE)
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Container>, DataError> {
    Ok(Box::new(Dataset::open(path)?))
}

impl Container for Dataset {
    fn count(&self) -> Option<u64> {
        Some(self.len() as u64)
    }

    fn side(&self) -> Option<(u32, u32)> {
        self.info().crop.as_ref().map(|c| (c.width.unwrap_or(c.size), c.size))
    }

    fn read(&self, sink: &mut dyn Sink) -> Result<(), DataError> {
        for face in self.iter() {
            let identity = self.info().identities.get(face.identity as usize).map(String::as_str);
            sink.item(Item {
                name: face.name,
                identity,
                image: face.image,
                points: face.points,
                group: face.group,
            })?;
        }
        Ok(())
    }
}
