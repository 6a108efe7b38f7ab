//! Which images are shown, and beside which others.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_stage::{Failure, Result};
use serde::Deserialize;

use crate::Params;
use crate::gallery::{Gallery, Picture};

/// Pictures under a heading.
pub(crate) struct Section {
    pub(crate) title: String,
    /// How many there are in all.
    pub(crate) total: usize,
    pub(crate) tiles: Vec<Tile>,
}

/// Pictures that belong together.
pub(crate) struct Tile {
    pub(crate) pictures: Vec<Picture>,
    /// Lines below them.
    pub(crate) caption: Vec<String>,
}

impl Section {
    pub(crate) fn shown(&self) -> usize {
        self.tiles.len()
    }

    /// The tiles of some of `all`, evenly spread, that fit into `room` bytes.
    fn of<T>(
        params: &Params,
        (title, all): (String, &[T]),
        gallery: &mut Gallery,
        room: usize,
        tile: &dyn Fn(&T, &Gallery) -> Tile,
    ) -> Self {
        let most = params.images.min(all.len());
        let mut left = room;
        let mut tiles = Vec::with_capacity(most);
        for k in 0..most {
            let one = tile(&all[k * all.len() / most], gallery);
            let bytes = one.pictures.iter().map(Picture::bytes).sum();
            let Some(rest) = left.checked_sub(bytes) else { break };
            left = rest;
            tiles.push(one);
        }
        gallery.room -= room - left;
        Self { title, total: all.len(), tiles }
    }
}

/// The images of a data set, beside those that they were cropped from.
pub(crate) fn images(
    params: &Params,
    faces: &Dataset,
    source: Option<&Dataset>,
    gallery: &mut Gallery,
) -> Section {
    let rows = source.map(|source| (source, rows(source)));
    let all: Vec<usize> = (0..faces.len()).collect();
    let title = if source.is_some() { "Crops" } else { "Images" };
    let room = gallery.room;
    Section::of(params, (title.to_owned(), &all), gallery, room, &|&i, gallery| {
        let face = faces.face(i);
        let mut pictures = Vec::new();
        if let Some((source, rows)) = &rows
            && let Some(&row) = rows.get(face.name)
        {
            pictures.push(gallery.picture(&source.face(row), "image"));
        }
        pictures.push(gallery.picture(&face, if source.is_some() { "crop" } else { "image" }));
        Tile { pictures, caption: vec![face.name.to_owned(), identity(faces, face.identity)] }
    })
}

/// A row of `dropped.csv`.
#[derive(Deserialize)]
struct Dropped {
    name: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    detail: String,
}

/// What was dropped, by reason, the most frequent first.
pub(crate) fn dropped(
    params: &Params,
    faces: &Dataset,
    file: &Path,
    gallery: &mut Gallery,
) -> Result<Vec<Section>> {
    let rows = rows(faces);
    let mut reasons: BTreeMap<String, Vec<(usize, Dropped)>> = BTreeMap::new();
    let all = read::<Dropped>(file)?;
    let gone: HashSet<String> = all.iter().map(|record| record.name.clone()).collect();
    for record in all {
        let Some(&row) = rows.get(record.name.as_str()) else {
            return Err(Failure::new(format!(
                "{} names `{}`, which is not in `dataset`",
                file.display(),
                record.name
            ))
            .help("give the data set that the stage of `report` read, not the one that it wrote"));
        };
        reasons.entry(record.reason.clone()).or_default().push((row, record));
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, all)| std::cmp::Reverse(all.len()));
    let mut left = reasons.len();
    let section = |(reason, all): (String, Vec<(usize, Dropped)>)| {
        let room = gallery.room / left;
        left -= 1;
        Section::of(params, (reason, &all), gallery, room, &|(row, record), gallery| {
            let face = faces.face(*row);
            let mut pictures = vec![gallery.picture(&face, "dropped")];
            // Only a duplicate has a pair; that one may have been dropped for a reason of its own.
            if record.reason.ends_with("duplicate")
                && let Some(&pair) = pair(&record.detail, &rows)
            {
                let other = faces.face(pair);
                pictures.push(
                    gallery.picture(&other, if gone.contains(other.name) { "dropped, too" } else { "kept" }),
                );
            }
            let caption = [record.name.clone(), identity(faces, face.identity), record.detail.clone()];
            Tile { pictures, caption: caption.into_iter().filter(|line| !line.is_empty()).collect() }
        })
    };
    Ok(reasons.into_iter().map(section).collect())
}

/// The image that a duplicate is a duplicate of: the detail is `of NAME`, and perhaps ` (11 of 256 bits differ)`.
fn pair<'a>(detail: &str, rows: &'a HashMap<&str, usize>) -> Option<&'a usize> {
    let name = detail.strip_prefix("of ")?;
    rows.get(name).or_else(|| rows.get(name.rsplit_once(" (")?.0))
}

/// A row of `matches.csv`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Match {
    training_identity: String,
    test_set: String,
    test_identity: String,
    evidence: String,
    status: String,
}

/// How many images of a person are shown.
const OF_A_PERSON: usize = 3;

/// Persons that are in both sets.
pub(crate) fn shared(
    params: &Params,
    faces: &Dataset,
    tests: &[(String, Dataset)],
    file: &Path,
    gallery: &mut Gallery,
) -> Result<Section> {
    let all: Vec<Match> = read(file)?.into_iter().filter(|m: &Match| m.status == "shared").collect();
    let train = persons(faces);
    let sets: HashMap<&str, (&Dataset, HashMap<&str, Vec<usize>>)> =
        tests.iter().map(|(name, set)| (name.as_str(), (set, persons(set)))).collect();
    if let Some(m) =
        all.iter().find(|m| !m.test_identity.is_empty() && !sets.contains_key(m.test_set.as_str()))
    {
        let names: Vec<&str> = tests.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Failure::new(format!(
            "{} names the test set `{}`, which is not in `tests`",
            file.display(),
            m.test_set
        ))
        .help(format!("give the sets that the overlap stage read; these are `{}`", names.join("`, `"))));
    }
    let room = gallery.room;
    let title = "Persons in the training set and in a test set".to_owned();
    Ok(Section::of(params, (title, &all), gallery, room, &|m, gallery| {
        let mut pictures = Vec::new();
        for &row in train.get(m.training_identity.as_str()).into_iter().flatten() {
            pictures.push(gallery.picture(&faces.face(row), "training set"));
        }
        if let Some((set, persons)) = sets.get(m.test_set.as_str()) {
            for &row in persons.get(m.test_identity.as_str()).into_iter().flatten() {
                pictures.push(gallery.picture(&set.face(row), "test set"));
            }
        }
        let test = format!("{} in {}", m.test_identity, m.test_set);
        Tile { pictures, caption: vec![m.training_identity.clone(), test, m.evidence.clone()] }
    }))
}

/// The first images of each person.
fn persons(faces: &Dataset) -> HashMap<&str, Vec<usize>> {
    let mut all: HashMap<&str, Vec<usize>> = HashMap::new();
    for (row, face) in faces.iter().enumerate() {
        if let Some(name) = faces.info().identities.get(face.identity as usize) {
            let rows = all.entry(name).or_default();
            if rows.len() < OF_A_PERSON {
                rows.push(row);
            }
        }
    }
    all
}

/// The rows of a data set by the names of its images.
fn rows(faces: &Dataset) -> HashMap<&str, usize> {
    (0..faces.len()).map(|row| (faces.face(row).name, row)).collect()
}

fn identity(faces: &Dataset, k: u32) -> String {
    faces.info().identities.get(k as usize).cloned().unwrap_or_default()
}

fn read<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<Vec<T>> {
    let failed = |e: csv::Error| {
        Failure::new(format!("{} cannot be read: {e}", file.display()))
            .help("`report` is the report of a clean or align stage, `matches` that of an overlap stage")
    };
    csv::Reader::from_path(file).map_err(failed)?.into_deserialize().map(|row| row.map_err(failed)).collect()
}
