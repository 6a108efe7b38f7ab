//! A page on which the user reviews the findings and decides.
//!
//! It is one self-contained file: thumbnails are embedded as JPEG data, 10 MB at most in total.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_formats::thumbnail::Thumbnail;
use lfs_stage::{IoContext, Result};
use serde::Serialize;

use crate::apply::Finding;
use crate::hash::BITS;
use crate::judge::Verdict;
use crate::listing::reason;

/// The maximum number of bytes of thumbnails, as encoded in the page.
const MOST: usize = 10_000_000;
/// The format of the thumbnails.
const THUMBNAIL: Thumbnail = Thumbnail { side: 88, quality: 72, square: false };
/// The number of thumbnails of an identity beside a doubtful one.
const EXAMPLES: usize = 3;
/// The group of near-duplicates under two identities.
const ACROSS: &str = "duplicate-across-identities";

/// A finding to decide on.
#[derive(Serialize)]
struct Card {
    group: &'static str,
    name: String,
    label: String,
    /// The other identity; for a duplicate, `other` is the other image.
    nearest: String,
    other: String,
    score: f64,
    action: &'static str,
    /// Indices of thumbnails: its own, those of its label, those of the other identity.
    image: usize,
    own: Vec<usize>,
    theirs: Vec<usize>,
}

#[derive(Serialize)]
struct Page {
    cards: Vec<Card>,
    pictures: Vec<String>,
    left_out: usize,
}

/// Thumbnails by row, as long as there is room.
struct Pictures<'a> {
    dataset: &'a Dataset,
    places: HashMap<usize, Option<usize>>,
    all: Vec<String>,
    bytes: usize,
}

impl Pictures<'_> {
    fn place(&mut self, row: usize) -> Option<usize> {
        if let Some(place) = self.places.get(&row) {
            return *place;
        }
        let text = THUMBNAIL.base64(self.dataset.face(row).image);
        let place = text.map(|text| {
            self.bytes += text.len();
            self.all.push(text);
            self.all.len() - 1
        });
        self.places.insert(row, place);
        place
    }
}

/// Writes `review.html`: the doubtful images of `findings` and the pairs of the verdict, the most certain
/// first in each group.
pub(crate) fn write(folder: &Path, dataset: &Dataset, verdict: &Verdict, findings: &[Finding]) -> Result<()> {
    let identity = |k: u32| dataset.info().identities.get(k as usize).cloned().unwrap_or_default();
    let mut order: Vec<(&'static str, usize)> = findings
        .iter()
        .enumerate()
        .map(|(i, f)| (reason(f), i))
        .filter(|(group, _)| !group.is_empty())
        .collect();
    order.sort_by(|a, b| {
        let score = |i: usize| findings[i].judged.score;
        a.0.cmp(b.0).then(score(b.1).total_cmp(&score(a.1))).then(a.1.cmp(&b.1))
    });
    // Each group gets its share of the remaining room, so that a group of thousands leaves some to the
    // others.
    let groups: BTreeSet<&str> = order.iter().map(|(g, _)| *g).collect();
    let mut parts = groups.len() + usize::from(!verdict.across.is_empty());
    let mut room = 0;
    let examples = examples(dataset, verdict, findings);
    let mut pictures = Pictures { dataset, places: HashMap::new(), all: Vec::new(), bytes: 0 };
    let mut cards = Vec::new();
    let (mut group, mut from, mut left_out) = ("", 0, 0);
    for (name, i) in order {
        if name != group {
            (group, from) = (name, pictures.bytes);
            room = (MOST - from.min(MOST)) / parts.max(1);
            parts -= 1;
        }
        let (face, f) = (dataset.face(i), &findings[i]);
        // Room for a card and its thumbnails, assuming the size of the largest thumbnails.
        if pictures.bytes - from + 7 * 12_000 > room {
            left_out += 1;
            continue;
        }
        let Some(image) = pictures.place(i) else { continue };
        let mut of = |k: Option<u32>| -> Vec<usize> {
            let rows = k.and_then(|k| examples.get(&k)).cloned().unwrap_or_default();
            rows.into_iter().filter(|r| *r != i).take(EXAMPLES).filter_map(|r| pictures.place(r)).collect()
        };
        let (own, theirs) = (of(Some(face.identity)), of(f.judged.other));
        cards.push(Card {
            group: name,
            name: face.name.to_owned(),
            label: identity(face.identity),
            nearest: f.judged.other.map(identity).unwrap_or_default(),
            other: String::new(),
            score: (f.judged.score * 1e4).round() / 1e4,
            action: f.action.name(),
            image,
            own,
            theirs,
        });
    }
    let from = pictures.bytes;
    let room = MOST - from.min(MOST);
    for &(i, j, bits) in &verdict.across {
        if pictures.bytes - from + 2 * 12_000 > room {
            left_out += 1;
            continue;
        }
        let (a, b) = (dataset.face(i), dataset.face(j));
        let (Some(image), Some(other)) = (pictures.place(i), pictures.place(j)) else { continue };
        cards.push(Card {
            group: ACROSS,
            name: a.name.to_owned(),
            label: identity(a.identity),
            nearest: identity(b.identity),
            other: b.name.to_owned(),
            score: 1.0 - f64::from(bits) / f64::from(BITS),
            action: "report",
            image,
            own: vec![],
            theirs: vec![other],
        });
    }
    let page = Page { cards, pictures: pictures.all, left_out };
    let path = folder.join("review.html");
    // In a script, `<` could end it.
    let data = serde_json::to_string(&page).doing("write", &path)?.replace('<', "\\u003c");
    let text = include_str!("review.html").replace("/*DATA*/", &data);
    std::fs::write(&path, text).doing("write", &path)
}

/// For each identity named by a doubtful image, the first images that are not doubtful.
fn examples(dataset: &Dataset, verdict: &Verdict, findings: &[Finding]) -> BTreeMap<u32, Vec<usize>> {
    let mut out: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (i, f) in findings.iter().enumerate().filter(|(_, f)| !reason(f).is_empty()) {
        out.entry(dataset.face(i).identity).or_default();
        if let Some(k) = f.judged.other {
            out.entry(k).or_default();
        }
    }
    for (i, f) in findings.iter().enumerate() {
        if reason(f).is_empty()
            && verdict.dropped[i].is_none()
            && let Some(rows) = out.get_mut(&dataset.face(i).identity)
            && rows.len() < EXAMPLES
        {
            rows.push(i);
        }
    }
    out
}
