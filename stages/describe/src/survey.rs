//! One pass over every image of a container.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;

use lfs_faces::DataError;
use lfs_faces::dataset::known;
use lfs_faces::image::decode;
use lfs_formats::container::{self, Item, Sink, ending};
use lfs_formats::tone::{Middle, Tone};
use lfs_stage::{Context, Failure, IoContext, Progress, Result};
use rayon::prelude::*;

use crate::croissant::COLUMNS;
use crate::description::{Description, Duplicates, Odd, Spread, gini};
use crate::failure;

/// The maximum number and total bytes of the images that are examined together.
const CHUNK: usize = 512;
const BYTES: usize = 64 << 20;

/// An image that has not been examined yet.
struct Waiting {
    name: String,
    identity: Option<String>,
    group: Option<String>,
    points: bool,
    image: Vec<u8>,
}

/// The result of examining an image.
struct Seen {
    digest: blake3::Hash,
    /// Width, height and tone (none for a grey image), or why it cannot be decoded.
    picture: std::result::Result<(u32, u32, Option<Tone>), String>,
}

/// The number of images of each tone.
#[derive(Default)]
struct Tones {
    grey: u64,
    red: u64,
    blue: u64,
    other: u64,
}

impl Tones {
    fn count(&mut self, tone: Option<Tone>) {
        *match tone {
            None => &mut self.grey,
            Some(Tone::Red) => &mut self.red,
            Some(Tone::Blue) => &mut self.blue,
            Some(Tone::Other) => &mut self.other,
        } += 1;
    }

    /// The colour order that the tones imply.
    fn order(&self) -> &'static str {
        if self.grey > 0 && self.red + self.blue + self.other == 0 {
            "grey"
        } else if self.red >= 3 * self.blue.max(1) {
            "rgb"
        } else if self.blue >= 3 * self.red.max(1) {
            "bgr"
        } else {
            "unknown"
        }
    }
}

struct Survey<'a> {
    cx: &'a Context<'a>,
    pool: rayon::ThreadPool,
    rows: csv::Writer<File>,
    total: Option<u64>,
    waiting: Vec<Waiting>,
    bytes: usize,
    found: Description,
    counts: HashMap<String, u64>,
    nameless: u64,
    /// The identity of the first image with each digest.
    first: HashMap<blake3::Hash, Option<String>>,
    duplicates: Duplicates,
    sizes: [BTreeMap<u64, u64>; 2],
    tones: Tones,
    same: u64,
    digest: blake3::Hasher,
}

/// Describes a container, and writes the CSV file `rows` with a line for each image.
pub(crate) fn survey(source: &Path, cx: &Context<'_>, rows: &Path) -> Result<Description> {
    let (format, container) = container::open(source).map_err(failure)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(cx.threads()).build();
    let pool = pool.map_err(|e| Failure::new(format!("cannot start {} threads: {e}", cx.threads())))?;
    let mut table = csv::Writer::from_path(rows).doing("write", rows)?;
    table.write_record(COLUMNS.map(|c| c.0)).doing("write", rows)?;
    let mut survey = Survey {
        cx,
        pool,
        rows: table,
        total: container.count(),
        waiting: Vec::new(),
        bytes: 0,
        found: Description { format: format.name.to_owned(), ..Description::default() },
        counts: HashMap::new(),
        nameless: 0,
        first: HashMap::new(),
        duplicates: Duplicates::default(),
        sizes: [BTreeMap::new(), BTreeMap::new()],
        tones: Tones::default(),
        same: 0,
        digest: blake3::Hasher::new(),
    };
    container.read(&mut survey).map_err(failure)?;
    survey.look().map_err(failure)?;
    survey.rows.flush().doing("write", rows)?;
    let mut found = survey.finish(container.is_pairs());
    // A protocol's lists of pairs lie among the images of its set.
    let lists = std::mem::take(&mut found.passed_over);
    for odd in lists {
        match crate::other::pairs_of(&source.join(&odd.name)) {
            Some((pairs, what)) if source.is_dir() => {
                found.pairs += pairs;
                found.notes.insert(odd.name, format!("{what}, {pairs} pairs"));
            }
            _ => found.passed_over.push(odd),
        }
    }
    Ok(found)
}

impl Sink for Survey<'_> {
    fn item(&mut self, item: Item<'_>) -> Result<(), DataError> {
        self.bytes += item.image.len();
        self.waiting.push(Waiting {
            name: item.name.to_owned(),
            identity: item.identity.map(str::to_owned),
            group: item.group.map(str::to_owned),
            points: item.points.is_some_and(|p| known(&p).count() > 0),
            image: item.image.to_vec(),
        });
        if self.waiting.len() >= CHUNK || self.bytes >= BYTES {
            self.look()?;
        }
        Ok(())
    }

    fn pair(&mut self, _: &str, _: &str, same: bool) -> Result<(), DataError> {
        self.found.pairs += 1;
        self.same += u64::from(same);
        Ok(())
    }

    fn passed_over(&mut self, name: &str, why: &str) {
        self.found.passed_over.push(Odd { name: name.to_owned(), why: why.to_owned() });
    }
}

impl Survey<'_> {
    fn look(&mut self) -> Result<(), DataError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        let seen: Vec<Seen> = self.pool.install(|| waiting.par_iter().map(|w| see(&w.image)).collect());
        for (image, seen) in waiting.into_iter().zip(seen) {
            self.count(image, &seen)?;
        }
        self.cx.progress(Progress {
            doing: "reading images".to_owned(),
            done: self.found.images,
            total: self.total,
            unit: "images".to_owned(),
            ..Progress::default()
        });
        Ok(())
    }

    fn count(&mut self, image: Waiting, seen: &Seen) -> Result<(), DataError> {
        let found = &mut self.found;
        found.images += 1;
        found.bytes += image.image.len() as u64;
        found.landmarks += u64::from(image.points);
        *found.encodings.entry(ending(&image.image).to_owned()).or_default() += 1;
        let digest = seen.digest.to_hex();
        let identity = image.identity.as_deref().unwrap_or_default();
        self.digest.update(format!("{}\t{identity}\t{digest}\n", image.name).as_bytes());
        let (width, height, why) = match &seen.picture {
            Ok((w, h, tone)) => {
                *self.sizes[0].entry((*w).into()).or_default() += 1;
                *self.sizes[1].entry((*h).into()).or_default() += 1;
                self.tones.count(*tone);
                (w.to_string(), h.to_string(), "")
            }
            Err(why) => {
                found.unreadable += 1;
                found.unreadable_images.push(Odd { name: image.name.clone(), why: why.clone() });
                (String::new(), String::new(), why.as_str())
            }
        };
        let (group, bytes) = (image.group.as_deref().unwrap_or_default(), image.image.len().to_string());
        let row = [&image.name, identity, group, &width, &height, &bytes, digest.as_str(), why];
        self.rows.write_record(row).map_err(|e| DataError::new(format!("a row cannot be written: {e}")))?;
        if let Some(group) = image.group {
            *found.groups.entry(group).or_default() += 1;
        }
        match self.first.get(&seen.digest) {
            Some(first) if *first == image.identity => self.duplicates.within_identities += 1,
            Some(_) => self.duplicates.across_identities += 1,
            None => {
                self.first.insert(seen.digest, image.identity.clone());
            }
        }
        match image.identity {
            Some(identity) => *self.counts.entry(identity).or_default() += 1,
            None => self.nameless += 1,
        }
        Ok(())
    }

    fn finish(self, pairs: bool) -> Description {
        let mut found = self.found;
        let counts: Vec<u64> = self.counts.into_values().collect();
        // If no image has an identity, the number of persons is unknown.
        found.identities = (self.nameless == 0 || !counts.is_empty()).then_some(counts.len() as u64);
        if self.nameless > 0 && !counts.is_empty() {
            found.notes.insert("without-identity".to_owned(), format!("{} images", self.nameless));
        }
        found.imbalance = gini(&counts);
        found.images_per_identity = Spread::of(counts);
        let all = |sizes: &BTreeMap<u64, u64>| {
            let each = sizes.iter().flat_map(|(size, n)| std::iter::repeat_n(*size, *n as usize));
            Spread::of(each.collect())
        };
        found.widths = all(&self.sizes[0]);
        found.heights = all(&self.sizes[1]);
        found.duplicates = Some(self.duplicates);
        found.pairs_of_one_person = pairs.then_some(self.same);
        found.digest = self.digest.finalize().to_hex().to_string();
        found.colour_order = self.tones.order().to_owned();
        found
    }
}

fn see(image: &[u8]) -> Seen {
    let digest = blake3::hash(image);
    let picture = decode(image).map_err(|e| e.to_string()).map(|p| {
        let middle = Middle::of(&p);
        (p.width, p.height, (!middle.is_grey).then(|| middle.tone()))
    });
    Seen { digest, picture }
}
