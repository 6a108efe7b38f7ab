//! TinyFace: `probe_img_ID_pairs.mat` (`probe_ids`, `probe_set`) and `gallery_match_img_ID_pairs.mat` (`gallery_ids`,
//! `gallery_set`), MATLAB files with the numbers of persons and the names of images in `Probe/` and `Gallery_Match/`. Every image in
//! `Gallery_Distractor/` is a distractor. Officially 3,728 probes against 4,443 gallery images and 153,428 distractors.

use lfs_faces::DataError;
use lfs_formats::mat::{self, Value};
use lfs_formats::names;
use lfs_stage::{Failure, Result};

use super::{Lists, Searches};
use crate::rows::{self, Rows};

const DISTRACTORS: &str = "Gallery_Distractor";

/// Reads both lists. The distractors are those of the embedded images that lie in their folder.
pub fn read(lists: &Lists, rows: &Rows) -> Result<Searches> {
    let probes = images(lists, "probe_img_ID_pairs.mat", "probe", "Probe")?;
    let mut gallery = images(lists, "gallery_match_img_ID_pairs.mat", "gallery", "Gallery_Match")?;
    let distractors = rows.names.iter().filter(|name| name.split('/').any(|part| part == DISTRACTORS));
    gallery.extend(distractors.map(|name| (name.clone(), -1)));
    Ok(Searches { probes, galleries: vec![gallery] })
}

/// The person of an image: files are called `123_4.jpg`, person and image.
pub fn person(image: &str) -> String {
    let file = names::stem(image.rsplit('/').next().unwrap_or(image));
    match file.split_once('_') {
        Some((person, _)) if person.parse::<u32>().is_ok() => person.to_owned(),
        // Distractors are of unknown persons.
        _ if image.contains(DISTRACTORS) => image.to_owned(),
        _ => rows::person(image),
    }
}

fn images(lists: &Lists, name: &str, what: &str, folder: &str) -> Result<Vec<(String, i64)>> {
    let file = lists.find(name)?;
    parse(&lists.bytes(file)?, what, folder).map_err(|e| Failure::new(format!("{file}: {e}")))
}

fn parse(bytes: &[u8], what: &str, folder: &str) -> std::result::Result<Vec<(String, i64)>, DataError> {
    let variables = mat::read(bytes)?;
    let ids = mat::variable(&variables, &format!("{what}_ids"))?.numbers()?;
    let (_, set) = mat::variable(&variables, &format!("{what}_set"))?.cells()?;
    if ids.len() != set.len() || ids.is_empty() {
        return Err(DataError::new(format!("{} persons and {} images", ids.len(), set.len())));
    }
    let image = |value: &Value| -> std::result::Result<String, DataError> {
        let name = names::tidy(value.name()?.trim());
        Ok(if name.contains('/') { name } else { format!("{folder}/{name}") })
    };
    let person = |id: f64| match id {
        id if id >= 0.0 && id.fract() == 0.0 && id < 1e15 => Ok(id as i64),
        _ => Err(DataError::new(format!("expected whole numbers of 0 or more as persons, found {id}"))),
    };
    ids.iter().zip(set).map(|(id, value)| Ok((image(value)?, person(*id)?))).collect()
}
