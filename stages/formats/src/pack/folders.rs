//! `identity/image.jpg`, and `landmarks.tsv` for images with landmarks.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Face, Pack, Set, cannot, file_ending, part};
use crate::DataError;
use crate::names::stem;

struct Folders {
    root: PathBuf,
    folders: Vec<String>,
    seen: HashSet<String>,
    landmarks: String,
}

pub(super) fn begin(root: &Path, set: &Set<'_>) -> Result<Box<dyn Pack>, DataError> {
    let mut taken = HashSet::new();
    let mut folders = Vec::with_capacity(set.identities.len());
    for (class, identity) in set.identities.iter().enumerate() {
        let mut folder = part(identity);
        // The names of two persons may be equal on a case-insensitive file system.
        if !taken.insert(folder.to_lowercase()) {
            folder = format!("{folder}~{class}");
            taken.insert(folder.to_lowercase());
        }
        folders.push(folder);
    }
    Ok(Box::new(Folders { root: root.to_owned(), folders, seen: HashSet::new(), landmarks: String::new() }))
}

impl Pack for Folders {
    fn face(&mut self, face: Face<'_>) -> Result<(), DataError> {
        let folder = self.folders.get(face.class as usize).map_or("_", String::as_str);
        let file = part(stem(face.name.rsplit('/').next().unwrap_or(face.name)));
        let mut name = format!("{folder}/{file}.{}", file_ending(face.image));
        let mut k = 1;
        while !self.seen.insert(name.to_lowercase()) {
            k += 1;
            name = format!("{folder}/{file}~{k}.{}", file_ending(face.image));
        }
        let path = self.root.join(&name);
        std::fs::create_dir_all(self.root.join(folder)).map_err(|e| cannot(&path, e))?;
        std::fs::write(&path, face.image).map_err(|e| cannot(&path, e))?;
        if let Some(points) = face.points.filter(|p| p.as_flattened().iter().all(|c| c.is_finite())) {
            self.landmarks += &name;
            for c in points.as_flattened() {
                let _ = write!(self.landmarks, "\t{c}");
            }
            self.landmarks.push('\n');
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), DataError> {
        if self.landmarks.is_empty() {
            return Ok(());
        }
        let path = self.root.join("landmarks.tsv");
        std::fs::write(&path, &self.landmarks).map_err(|e| cannot(&path, e))
    }
}
