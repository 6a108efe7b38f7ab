//! Landmarks of a whole set, from a list.

use std::collections::{BTreeSet, HashMap};

use lfs_faces::dataset::Points;
use lfs_formats::landmarks::list;
use lfs_stage::{Failure, Result};

use crate::planned::Planned;

/// Gives every face its points from a list, by the end of the path that the list writes: `/data/lfw/A/A_0001.jpg` is the face
/// `A/A_0001.jpg`. Faces that the list does not have get none.
///
/// Returns how many faces got points.
pub(crate) fn assign(faces: &mut [Planned], text: &str, what: &str) -> Result<usize> {
    let entries = list::read(text).map_err(|e| Failure::new(format!("{what}: {e}")))?;
    let depths: BTreeSet<usize> = faces.iter().map(|f| f.name.split('/').count()).collect();
    let mut by_name: HashMap<&str, Points> = HashMap::with_capacity(entries.len());
    for (path, points) in &entries {
        let path = path.trim_start_matches("./");
        for &depth in &depths {
            if let Some(name) = tail(path, depth)
                && by_name.insert(name, *points).is_some_and(|p| p != *points)
            {
                return Err(Failure::new(format!("{what} has two different lines for `{name}`")));
            }
        }
    }
    let mut found = 0;
    for face in faces.iter_mut() {
        face.points = by_name.get(face.name.as_str()).copied();
        found += usize::from(face.points.is_some());
    }
    if found == 0 && !faces.is_empty() {
        let listed = entries.first().map_or("nothing", |e| e.0.as_str());
        return Err(Failure::new(format!(
            "{what} has no line for any of the {} images: it lists `{listed}`, the first image is `{}`",
            faces.len(),
            faces[0].name
        ))
        .help("give the landmark list of this set, with paths that end as the images' names do"));
    }
    Ok(found)
}

/// The last `depth` parts of a path.
fn tail(path: &str, depth: usize) -> Option<&str> {
    let mut starts = path.rmatch_indices('/').map(|(i, _)| i + 1);
    match starts.nth(depth - 1) {
        Some(start) => Some(&path[start..]),
        None => (path.split('/').count() == depth).then_some(path),
    }
}
