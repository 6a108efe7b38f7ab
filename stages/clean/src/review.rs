//! A page on which a person looks at what was found, and decides.
//!
//! One file without anything from elsewhere: pictures are JPEG data in it, 10 MB at most in all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_faces::image::{Pixels, decode, encode_jpeg};
use lfs_stage::{IoContext, Result};
use serde::Serialize;

use crate::apply::Finding;
use crate::judge::Verdict;
use crate::listing::reason;

/// The most bytes of pictures, as they stand in the page.
const MOST: usize = 10_000_000;
/// The longer side of a picture, in pixels.
const SIDE: u32 = 88;
/// The quality of its JPEG.
const QUALITY: u8 = 72;
/// How many pictures of an identity stand beside a doubtful one.
const EXAMPLES: usize = 3;
/// The group of images that look alike under two identities.
const ACROSS: &str = "duplicate-across-identities";

/// A thing to decide.
#[derive(Serialize)]
struct Card {
    group: &'static str,
    name: String,
    label: String,
    /// The other identity, and for a duplicate the other image.
    nearest: String,
    other: String,
    score: f64,
    action: &'static str,
    /// Places of pictures: its own, those of its label, those of the other identity.
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

/// Pictures by row, as long as there is room.
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
        let text = thumbnail(self.dataset.face(row).image);
        let place = text.map(|text| {
            self.bytes += text.len();
            self.all.push(text);
            self.all.len() - 1
        });
        self.places.insert(row, place);
        place
    }
}

/// Writes `review.html`: the doubtful images of `findings` and the pairs of the verdict, the surest first in each group.
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
    // Each group has its part of the room that is left, so that one with thousands leaves something to the others.
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
        // Room for a card and what it shows, at the size of the largest pictures.
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
            score: 1.0 - f64::from(bits) / 64.0,
            action: "report",
            image,
            own: vec![],
            theirs: vec![other],
        });
    }
    let page = Page { cards, pictures: pictures.all, left_out };
    let path = folder.join("review.html");
    // Inside of a script, `<` could end it.
    let data = serde_json::to_string(&page).doing("write", &path)?.replace('<', "\\u003c");
    let text = include_str!("review.html").replace("/*DATA*/", &data);
    std::fs::write(&path, text).doing("write", &path)
}

/// For each identity that a doubtful image names, the first images that are not doubted.
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

/// A small JPEG in base64; none when the picture cannot be read.
fn thumbnail(bytes: &[u8]) -> Option<String> {
    let small = shrink(&decode(bytes).ok()?);
    Some(base64(&encode_jpeg(&small, QUALITY).ok()?))
}

/// The mean of the pixels behind each new one; a picture that is small enough stays as it is.
fn shrink(p: &Pixels) -> Pixels {
    let longer = p.width.max(p.height);
    if longer <= SIDE {
        return p.clone();
    }
    let side = |n: u32| (n * SIDE / longer).max(1);
    let (width, height) = (side(p.width), side(p.height));
    let mut rgb = Vec::with_capacity((width * height * 3) as usize);
    let span = |k: u32, of: u32, side: u32| {
        let start = (u64::from(k) * u64::from(side) / u64::from(of)) as usize;
        let end = (u64::from(k + 1) * u64::from(side) / u64::from(of)) as usize;
        (start, end.max(start + 1))
    };
    for y in 0..height {
        let (top, bottom) = span(y, height, p.height);
        for x in 0..width {
            let (left, right) = span(x, width, p.width);
            let mut sum = [0_u64; 3];
            for row in top..bottom {
                let line = &p.rgb[(row * p.width as usize + left) * 3..(row * p.width as usize + right) * 3];
                for pixel in line.as_chunks::<3>().0 {
                    sum.iter_mut().zip(pixel).for_each(|(s, c)| *s += u64::from(*c));
                }
            }
            let count = ((bottom - top) * (right - left)) as u64;
            rgb.extend(sum.map(|s| ((s + count / 2) / count) as u8));
        }
    }
    Pixels { width, height, rgb }
}

/// Base64 of RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let word = part.iter().fold(0_u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - part.len()));
        for k in 0..4 {
            let letter = char::from(LETTERS[(word >> (18 - 6 * k) & 63) as usize]);
            out.push(if k <= part.len() { letter } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn pictures_shrink_to_means_of_their_pixels() {
        let p = Pixels {
            width: 176,
            height: 88,
            rgb: (0..176 * 88).flat_map(|k| [(k % 2 * 100) as u8, 7, 9]).collect(),
        };
        let small = shrink(&p);
        assert_eq!((small.width, small.height), (88, 44));
        assert!(small.rgb.as_chunks::<3>().0.iter().all(|c| *c == [50, 7, 9]));
        let thin = shrink(&Pixels { width: 5000, height: 1, rgb: vec![3; 15_000] });
        assert_eq!((thin.width, thin.height), (88, 1));
    }
}
