//! One pass over every image of a container.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::Path;

use lfs_faces::DataError;
use lfs_faces::dataset::known;
use lfs_faces::image::{Pixels, decode};
use lfs_formats::container::{self, Item, Sink, ending};
use lfs_stage::{Context, Failure, Progress, Result};
use rayon::prelude::*;

use crate::description::{Description, Duplicates, Odd, Spread, gini};
use crate::failure;

/// So many images, or so many bytes of them, are looked at together.
const CHUNK: usize = 512;
const BYTES: usize = 64 << 20;

/// What is known of an image before it is looked at.
struct Waiting {
    name: String,
    identity: Option<String>,
    group: Option<String>,
    points: bool,
    image: Vec<u8>,
}

/// What a look finds.
struct Seen {
    digest: blake3::Hash,
    /// Width, height and tone, or why there are none.
    picture: std::result::Result<(u32, u32, Tone), String>,
}

/// What the middle of an image looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tone {
    Grey,
    Red,
    Blue,
    Other,
}

struct Survey<'a, 'b> {
    cx: &'a Context<'b>,
    pool: rayon::ThreadPool,
    rows: &'a mut String,
    total: Option<u64>,
    waiting: Vec<Waiting>,
    bytes: usize,
    found: Description,
    counts: HashMap<String, u64>,
    nameless: u64,
    /// The identity of the first image with a digest.
    first: HashMap<blake3::Hash, Option<String>>,
    duplicates: Duplicates,
    sizes: [BTreeMap<u64, u64>; 2],
    tones: [u64; 4],
    same: u64,
    digest: blake3::Hasher,
}

/// Describes a container; `rows` gets a line of CSV for each image.
pub(crate) fn survey(source: &Path, cx: &Context<'_>, rows: &mut String) -> Result<Description> {
    let (format, container) = container::open(source).map_err(failure)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(cx.threads()).build();
    let pool = pool.map_err(|e| Failure::new(format!("cannot start {} threads: {e}", cx.threads())))?;
    rows.push_str("name,identity,group,width,height,bytes,blake3,unreadable\n");
    let mut survey = Survey {
        cx,
        pool,
        rows,
        total: container.count(),
        waiting: Vec::new(),
        bytes: 0,
        found: Description { format: format.name.to_owned(), ..Description::default() },
        counts: HashMap::new(),
        nameless: 0,
        first: HashMap::new(),
        duplicates: Duplicates::default(),
        sizes: [BTreeMap::new(), BTreeMap::new()],
        tones: [0; 4],
        same: 0,
        digest: blake3::Hasher::new(),
    };
    container.read(&mut survey).map_err(failure)?;
    survey.look();
    let mut found = survey.finish(container.is_pairs());
    // A protocol's list of pairs lies among the images of its set.
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

impl Sink for Survey<'_, '_> {
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
            self.look();
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

impl Survey<'_, '_> {
    fn look(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        let seen: Vec<Seen> = self.pool.install(|| waiting.par_iter().map(|w| see(&w.image)).collect());
        for (image, seen) in waiting.into_iter().zip(seen) {
            self.count(image, &seen);
        }
        self.cx.progress(Progress {
            doing: "looking at images".to_owned(),
            done: self.found.images,
            total: self.total,
            unit: "images".to_owned(),
            ..Progress::default()
        });
    }

    fn count(&mut self, image: Waiting, seen: &Seen) {
        let found = &mut self.found;
        found.images += 1;
        found.bytes += image.image.len() as u64;
        found.landmarks += u64::from(image.points);
        *found.encodings.entry(ending(&image.image).to_owned()).or_default() += 1;
        let digest = seen.digest.to_hex();
        let identity = image.identity.as_deref().unwrap_or_default();
        self.digest.update(format!("{}\t{identity}\t{digest}\n", image.name).as_bytes());
        let row =
            [image.name.as_str(), identity, image.group.as_deref().unwrap_or_default()].map(quoted).join(",");
        let (size, why) = match &seen.picture {
            Ok((w, h, tone)) => {
                *self.sizes[0].entry((*w).into()).or_default() += 1;
                *self.sizes[1].entry((*h).into()).or_default() += 1;
                self.tones[*tone as usize] += 1;
                (format!("{w},{h}"), String::new())
            }
            Err(why) => {
                found.unreadable += 1;
                found.unreadable_images.push(Odd { name: image.name.clone(), why: why.clone() });
                (",".to_owned(), quoted(why))
            }
        };
        let _ = writeln!(self.rows, "{row},{size},{},{digest},{why}", image.image.len());
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
    }

    fn finish(self, pairs: bool) -> Description {
        let mut found = self.found;
        let counts: Vec<u64> = self.counts.into_values().collect();
        // Where no image has an identity, nothing says how many persons there are.
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
        let [grey, red, blue, other] = self.tones;
        found.colour_order = match () {
            () if grey > 0 && red + blue + other == 0 => "grey",
            () if red >= 3 * blue.max(1) => "rgb",
            () if blue >= 3 * red.max(1) => "bgr",
            () => "unknown",
        }
        .to_owned();
        found
    }
}

fn see(image: &[u8]) -> Seen {
    let digest = blake3::hash(image);
    let picture = decode(image).map(|p| (p.width, p.height, tone(&p))).map_err(|e| e.to_string());
    Seen { digest, picture }
}

/// The mean colour of the middle of an image: skin is redder than green, and greener than blue.
fn tone(p: &Pixels) -> Tone {
    let (w, h) = (p.width as usize, p.height as usize);
    let mut sums = [0_u64; 3];
    let (mut n, mut grey) = (0_u64, true);
    for y in h / 4..(3 * h / 4).max(h / 4 + 1) {
        for x in w / 4..(3 * w / 4).max(w / 4 + 1) {
            let at = (y * w + x) * 3;
            let pixel = &p.rgb[at..at + 3];
            grey &= pixel[0].abs_diff(pixel[2]) <= 2;
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += u64::from(*value);
            }
            n += 1;
        }
    }
    let [red, green, blue] = sums.map(|s| s as f64 / n.max(1) as f64);
    match () {
        () if grey => Tone::Grey,
        () if red > green && green > blue => Tone::Red,
        () if blue > green && green > red => Tone::Blue,
        () => Tone::Other,
    }
}

/// A CSV field.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
