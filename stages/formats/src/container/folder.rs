//! Folders of images: the folder of an image is its identity.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::{Container, Item, Look, Sink};
use crate::DataError;
use crate::names::{is_image, is_litter};

pub(super) fn is(look: &Look) -> bool {
    look.names.is_some()
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Container>, DataError> {
    Ok(Box::new(Folder { root: path.to_owned() }))
}

struct Folder {
    root: PathBuf,
}

impl Container for Folder {
    fn read(&self, sink: &mut dyn Sink) -> Result<(), DataError> {
        let walk = WalkDir::new(&self.root).follow_links(true).min_depth(1).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|e| !is_litter(&e.file_name().to_string_lossy())) {
            let entry =
                entry.map_err(|e| DataError::new(format!("cannot list {}: {e}", self.root.display())))?;
            if entry.file_type().is_dir() {
                continue;
            }
            let path = entry.path();
            let relative = path.strip_prefix(&self.root).unwrap_or(path);
            let Some(name) = relative.to_str() else {
                sink.passed_over(&relative.to_string_lossy(), "its name is not UTF-8");
                continue;
            };
            if !entry.file_type().is_file() {
                sink.passed_over(name, "it is no file");
            } else if !is_image(name) {
                sink.passed_over(name, "no image by its ending");
            } else {
                let image = std::fs::read(path)
                    .map_err(|e| DataError::new(format!("cannot read {}: {e}", path.display())))?;
                let identity = above(name);
                sink.item(Item { name, identity, image: &image, points: None, group: None })?;
            }
        }
        Ok(())
    }
}

/// The folder of an image, which is its identity; none at the top level.
pub(super) fn above(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(folder, _)| folder)
}
