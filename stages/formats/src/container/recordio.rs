//! RecordIO in InsightFace's format of training sets: `train.rec`, `train.idx`, `property`.
//!
//! Little-endian. A chunk is a u32 magic number, a u32 whose upper three bits state which part of a record it is and whose lower 29
//! bits are its length, the bytes, and zeros up to a multiple of 4. A record is one chunk, or several if it contains the magic
//! number, which is removed between them. A record is a header (`u32` count of labels, `f32` label, two `u64`), this number of
//! `f32` labels, and an encoded image.
//!
//! Records without image bytes are not faces: a header record (labels: first key after the images, first key after the identities)
//! and a record for each identity. The header may be the first record, the last, or missing. The class of a face is its first
//! label.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::{Container, Item, Look, Sink, ending};
use crate::DataError;

/// The magic number of a chunk.
pub const MARK: u32 = 0xced7_230a;
/// The maximum length of a chunk: it has 29 bits.
pub const LONGEST: u32 = (1 << 29) - 1;

/// Whether it is a record file, or a folder with one.
pub(super) fn is(look: &Look) -> bool {
    look.begins(&MARK.to_le_bytes()) || look.with_ending("rec").next().is_some()
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Container>, DataError> {
    RecordIo::open(path).map(|r| Box::new(r) as Box<dyn Container>)
}

/// A record file with the files beside it.
pub struct RecordIo {
    rec: PathBuf,
    length: u64,
    /// The keys by the offset of their record in the file.
    keys: Option<HashMap<u64, u64>>,
    property: Option<Property>,
}

/// The content of the file `property`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property {
    /// The number of identities.
    pub classes: u64,
    /// Width and height of every image; the file lists the height first.
    pub side: (u32, u32),
    /// The number of images, if there is a second line.
    pub images: Option<u64>,
}

impl RecordIo {
    /// Opens a `.rec` file, or the one in a folder (`train.rec` if there are several) with the files beside it. If the path names a
    /// file, the files beside it are not read.
    ///
    /// # Errors
    /// If there is none, or a file beside it is damaged.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let folder = path.is_dir();
        let rec = if folder { the_one(path)? } else { path.to_owned() };
        let length = std::fs::metadata(&rec).map_err(|e| cannot(&rec, &e))?.len();
        let idx = rec.with_extension("idx");
        let keys = if folder && idx.is_file() { Some(keys(&idx)?) } else { None };
        let property = rec.with_file_name("property");
        let property = if folder && property.is_file() { Some(read_property(&property)?) } else { None };
        Ok(Self { rec, length, keys, property })
    }

    /// Whether the index is present.
    pub fn has_index(&self) -> bool {
        self.keys.is_some()
    }

    /// The path of the index.
    pub fn index(&self) -> PathBuf {
        self.rec.with_extension("idx")
    }

    /// The content of `property`.
    pub fn property(&self) -> Option<Property> {
        self.property
    }

    /// Passes each record with its offset in the file to `take`.
    ///
    /// # Errors
    /// If the file is damaged or truncated; and errors of `take`.
    pub fn records(
        &self,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let file = File::open(&self.rec).map_err(|e| cannot(&self.rec, &e))?;
        let mut chunks = Chunks { file: BufReader::with_capacity(1 << 20, file), at: 0, length: self.length };
        let mut record = Vec::new();
        while let Some(start) = chunks.record(&mut record).map_err(|e| e.within(self.rec.display()))? {
            take(start, &record).map_err(|e| e.within(self.rec.display()))?;
        }
        Ok(())
    }
}

fn the_one(folder: &Path) -> Result<PathBuf, DataError> {
    let look = Look::at(folder)?;
    let all: Vec<&String> = look.with_ending("rec").collect();
    match all.as_slice() {
        [one] => Ok(folder.join(one)),
        several if several.iter().any(|n| *n == "train.rec") => Ok(folder.join("train.rec")),
        [] => Err(DataError::new(format!("{} has no .rec file, but {}", folder.display(), look.found()))),
        several => Err(DataError::new(format!(
            "{} has {} .rec files and no train.rec among them: give the path of the one that is meant",
            folder.display(),
            several.len()
        ))),
    }
}

fn cannot(path: &Path, e: &std::io::Error) -> DataError {
    DataError::new(format!("cannot read {}: {e}", path.display()))
}

fn text(path: &Path) -> Result<String, DataError> {
    let bytes = std::fs::read(path).map_err(|e| cannot(path, &e))?;
    crate::text::decode(&bytes).map_err(|e| e.within(path.display()))
}

/// Parses lines `key<tab>offset`.
fn keys(path: &Path) -> Result<HashMap<u64, u64>, DataError> {
    let text = text(path)?;
    let mut out = HashMap::new();
    for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let mut fields = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(key)), Some(Ok(place)), None) = (fields.next(), fields.next(), fields.next()) else {
            return Err(DataError::new(format!(
                "{}, line {}: expected `key<tab>place`, two numbers, found `{}`",
                path.display(),
                n + 1,
                crate::landmarks::shorten(line)
            )));
        };
        if out.insert(place, key).is_some() {
            return Err(DataError::new(format!(
                "{}, line {}: two keys for the place {place}",
                path.display(),
                n + 1
            )));
        }
    }
    Ok(out)
}

/// Parses `classes,height,width`, and an optional line with the number of images.
fn read_property(path: &Path) -> Result<Property, DataError> {
    let text = text(path)?;
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
    let first = lines.next().unwrap_or_default();
    let numbers: Option<Vec<u32>> =
        first.split([',', ' ', '\t']).filter(|f| !f.is_empty()).map(|f| f.parse().ok()).collect();
    let Some([classes, height, width]) = numbers.as_deref().and_then(|n| n.first_chunk::<3>()).copied()
    else {
        return Err(DataError::new(format!(
            "{}: expected `classes,height,width` like `85742,112,112`, found `{}`",
            path.display(),
            crate::landmarks::shorten(first)
        )));
    };
    let images = lines.next().and_then(|l| l.parse().ok());
    Ok(Property { classes: classes.into(), side: (width, height), images })
}

/// Reads the chunks in order.
struct Chunks<R> {
    file: R,
    at: u64,
    length: u64,
}

impl<R: Read> Chunks<R> {
    /// The next record, and its offset; none at the end of the file.
    fn record(&mut self, record: &mut Vec<u8>) -> Result<Option<u64>, DataError> {
        record.clear();
        let start = self.at;
        if start == self.length {
            return Ok(None);
        }
        let mut part = self.chunk(record)?;
        if part == 0 {
            return Ok(Some(start));
        }
        if part != 1 {
            return Err(self.damaged(start, "a record begins with one of its later parts"));
        }
        loop {
            if self.at == self.length {
                return Err(self.damaged(start, "the file ends in the middle of a record of several parts"));
            }
            record.extend_from_slice(&MARK.to_le_bytes());
            part = self.chunk(record)?;
            match part {
                2 => {}
                3 => return Ok(Some(start)),
                _ => return Err(self.damaged(start, "a record begins before its predecessor ends")),
            }
        }
    }

    /// Appends the next chunk, and returns which part of a record it is.
    fn chunk(&mut self, record: &mut Vec<u8>) -> Result<u32, DataError> {
        let start = self.at;
        if self.length - start < 8 {
            return Err(self.damaged(start, "the file ends in the middle of a record's head"));
        }
        let mut head = [0; 8];
        self.fill(&mut head)?;
        let word = |b: &[u8; 8], at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        if word(&head, 0) != MARK {
            let what = if word(&head, 0) == MARK.swap_bytes() {
                "numbers are big-endian"
            } else {
                "no record begins there"
            };
            return Err(self.damaged(start, what));
        }
        let (part, length) = (word(&head, 4) >> 29, word(&head, 4) & LONGEST);
        let padded = u64::from(length).next_multiple_of(4);
        let left = self.length - self.at;
        if u64::from(length) > left {
            return Err(self.damaged(
                start,
                &format!("a part of {length} bytes is announced, {left} are left: it is cut short"),
            ));
        }
        let from = record.len();
        record.resize(from + length as usize, 0);
        self.fill(&mut record[from..])?;
        // In some files the last record is not padded.
        let zeros = (padded - u64::from(length)).min(self.length - self.at) as usize;
        self.fill(&mut [0; 4][..zeros])?;
        Ok(part)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DataError> {
        self.file.read_exact(bytes).map_err(|e| DataError::new(format!("byte {}: {e}", self.at)))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn damaged(&self, at: u64, what: &str) -> DataError {
        DataError::new(format!("damaged at byte {at} of {}: {what}", self.length))
    }
}

/// Splits a record into its labels and its image.
///
/// # Errors
/// If it is shorter than its header states.
pub fn unpack(record: &[u8]) -> Result<(Vec<f32>, &[u8]), DataError> {
    let Some((head, rest)) = record.split_at_checked(24) else {
        return Err(DataError::new(format!("a record has {} bytes, its header alone has 24", record.len())));
    };
    let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let flag = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if flag == 0 {
        return Ok((vec![number(&head[4..8])], rest));
    }
    let Some((labels, image)) = flag.checked_mul(4).and_then(|n| rest.split_at_checked(n)) else {
        return Err(DataError::new(format!(
            "a record announces {flag} labels, but has {} bytes",
            rest.len()
        )));
    };
    Ok((labels.chunks_exact(4).map(number).collect(), image))
}

impl Container for RecordIo {
    fn count(&self) -> Option<u64> {
        self.property.and_then(|p| p.images)
    }

    fn side(&self) -> Option<(u32, u32)> {
        self.property.map(|p| p.side)
    }

    fn read(&self, sink: &mut dyn Sink) -> Result<(), DataError> {
        let (mut records, mut images) = (0_u64, 0_u64);
        // The labels of records without an image: of the one with key 0 (without an index, the first record), and of the last
        // record.
        let (mut head, mut tail) = (None, None);
        self.records(|place, record| {
            let (labels, image) = unpack(record).map_err(|e| e.within(format!("record {records} at byte {place}")))?;
            let key = match &self.keys {
                None => records,
                Some(keys) => *keys.get(&place).ok_or_else(|| {
                    DataError::new(format!(
                        "the record at byte {place} is not in {}: the index is of another file, or was written before it; write it \
                         anew",
                        self.index().display()
                    ))
                })?,
            };
            records += 1;
            tail = None;
            if image.is_empty() {
                tail = labels.first_chunk::<2>().copied();
                head = head.or(tail.filter(|_| key == 0));
                return Ok(());
            }
            images += 1;
            let class = labels.first().copied().filter(|l| l.fract() == 0.0 && (0.0..=16_777_216.0).contains(l));
            let Some(class) = class else {
                return Err(DataError::new(format!(
                    "record {key} at byte {place}: expected a class as its first label, found {:?}",
                    labels.first()
                )));
            };
            let class = (class as u32).to_string();
            let name = format!("{class}/{key}.{}", ending(image));
            sink.item(Item { name: &name, identity: Some(&class), image, points: None, group: None })
        })?;
        let off = |what: String| {
            Err(DataError::new(format!(
                "{}: {what}: it is not whole; fetch or pack it again",
                self.rec.display()
            )))
        };
        if let Some(keys) = self.keys.as_ref().filter(|k| k.len() as u64 != records) {
            return off(format!("{} has {} records, the file {records}", self.index().display(), keys.len()));
        }
        // The header's number is the key after the last image; images have keys from 1. It is a float32, exact up to 2^24. The last
        // record may also be that of an identity, whose first image has a key that exists.
        let announced = head.or(tail.filter(|t| t[0] > images as f32)).map(|h| h[0]);
        if let Some(end) = announced.filter(|e| *e >= 1.0 && *e < 16_777_216.0 && e.fract() == 0.0) {
            let wanted = end as u64 - 1;
            if wanted != images {
                return off(format!("its header announces {wanted} images, {images} are there"));
            }
        }
        if let Some(wanted) = self.property.and_then(|p| p.images).filter(|n| *n != images) {
            return off(format!("`property` announces {wanted} images, {images} are there"));
        }
        Ok(())
    }
}
