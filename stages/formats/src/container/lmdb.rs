//! LMDB, read only: a file of pages with one tree of keys and values.
//!
//! Numbers are in the format of 64-bit little-endian machines, as in nearly all such files. Pages 0 and 1 are meta pages; the one
//! with the larger transaction number is valid. A page begins with its number (u64), two unused bytes, flags (u16), and the ends of
//! its list of offsets (2 x u16); the offsets point to nodes: value length or child (u32 in two halves), flags (u16), key length
//! (u16), key, value. A long value is stored on separate pages.
//!
//! The values are images, or `Datum` messages with images. Identities come from the messages, from a list `key label` beside the
//! file (`*.txt`), or from the folder in a key such as `identity/image`.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::folder::above;
use super::{Container, Item, Look, Sink, datum, ending};
use crate::{DataError, lists};

const MAGIC: u32 = 0xbeef_c0de;
const HEAD: usize = 16;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const OVERFLOW: u16 = 4;
/// No page.
const NONE: u64 = u64::MAX;
/// The maximum depth of a tree.
const DEEPEST: usize = 32;
/// The maximum length of a value.
const LONGEST: usize = 1 << 28;

pub(super) fn is(look: &Look) -> bool {
    look.has("data.mdb") || look.start.get(16..20) == Some(&MAGIC.to_le_bytes())
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Container>, DataError> {
    Ok(Box::new(Lmdb::open(path)?))
}

/// Receives a key and its value.
pub type Take<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), DataError>;

/// An opened file.
pub struct Lmdb {
    path: PathBuf,
    file: File,
    length: u64,
    page: usize,
    root: u64,
    entries: u64,
    labels: HashMap<String, String>,
}

impl Lmdb {
    /// Opens a file, or the `data.mdb` in a folder.
    ///
    /// # Errors
    /// If it is no LMDB file, or one of another kind of machine.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let folder = path.is_dir();
        let own = if folder { path.join("data.mdb") } else { path.to_owned() };
        let cannot = |e: std::io::Error| DataError::new(format!("cannot read {}: {e}", own.display()));
        let file = File::open(&own).map_err(cannot)?;
        let length = file.metadata().map_err(cannot)?.len();
        let head = head(&file, length).map_err(|e| e.within(own.display()))?;
        let labels = labels(path, folder)?;
        Ok(Self { path: own, file, length, page: head.page, root: head.root, entries: head.entries, labels })
    }

    /// Passes every key with its value to `take`, in the order of the keys.
    ///
    /// # Errors
    /// If the file is damaged; and errors of `take`.
    pub fn walk(&self, take: Take<'_>) -> Result<(), DataError> {
        if self.root == NONE {
            return Ok(());
        }
        // More visits than there are pages mean a cycle.
        let mut left = self.length / self.page as u64 + 1;
        self.visit(self.root, 0, &mut left, take)
    }

    fn visit(&self, number: u64, depth: usize, left: &mut u64, take: Take<'_>) -> Result<(), DataError> {
        *left = left
            .checked_sub(1)
            .filter(|_| depth <= DEEPEST)
            .ok_or_else(|| damaged("its pages lead in a circle"))?;
        let mut page = vec![0; self.page];
        self.bytes(number, &mut page)?;
        let flags = u16_at(&page, 10)?;
        let lower = usize::from(u16_at(&page, 12)?);
        if lower < HEAD || lower > self.page || flags & (BRANCH | LEAF) == 0 || flags & 0x20 != 0 {
            return Err(damaged(format!("page {number} is none of a tree")));
        }
        for k in 0..(lower - HEAD) / 2 {
            let node = usize::from(u16_at(&page, HEAD + 2 * k)?);
            let (low, high) = (u64::from(u16_at(&page, node)?), u64::from(u16_at(&page, node + 2)?));
            let (own, key) = (u16_at(&page, node + 4)?, usize::from(u16_at(&page, node + 6)?));
            if flags & BRANCH != 0 {
                self.visit(low | high << 16 | u64::from(own) << 32, depth + 1, left, take)?;
                continue;
            }
            let from = node + 8;
            let name = page
                .get(from..from + key)
                .ok_or_else(|| damaged(format!("page {number} has a key outside of it")))?;
            let length = (low | high << 16) as usize;
            match own {
                0 => {
                    let value = page.get(from + key..from + key + length);
                    take(
                        name,
                        value.ok_or_else(|| damaged(format!("page {number} has a value outside of it")))?,
                    )?;
                }
                1 => {
                    let at = page.get(from + key..from + key + 8).and_then(|b| b.first_chunk::<8>());
                    let at = u64::from_le_bytes(*at.ok_or_else(|| damaged("a long value has no page"))?);
                    take(name, &self.long(at, length)?)?;
                }
                _ => {
                    return Err(damaged(
                        "a key has several values, or holds another database; images have one value each",
                    ));
                }
            }
        }
        Ok(())
    }

    /// A value on separate pages.
    fn long(&self, number: u64, length: usize) -> Result<Vec<u8>, DataError> {
        let from = number.checked_mul(self.page as u64).filter(|f| *f < self.length);
        let from = from.ok_or_else(|| damaged("a long value lies outside of the file"))?;
        if length > LONGEST || length as u64 + HEAD as u64 > self.length - from {
            return Err(damaged(format!("a value of {length} bytes is announced, the file ends before")));
        }
        let mut head = [0; HEAD];
        self.file.read_exact_at(&mut head, from).map_err(|e| damaged(e.to_string()))?;
        if u16_at(&head, 10)? & OVERFLOW == 0 {
            return Err(damaged("a long value lies on pages that are none of it"));
        }
        let mut value = vec![0; length];
        self.file.read_exact_at(&mut value, from + HEAD as u64).map_err(|e| damaged(e.to_string()))?;
        Ok(value)
    }

    fn bytes(&self, number: u64, page: &mut [u8]) -> Result<(), DataError> {
        let from = number
            .checked_mul(self.page as u64)
            .filter(|f| f.saturating_add(self.page as u64) <= self.length);
        let from =
            from.ok_or_else(|| damaged(format!("page {number} lies outside of the file: it is cut short")))?;
        self.file.read_exact_at(page, from).map_err(|e| damaged(e.to_string()))
    }
}

struct Head {
    page: usize,
    root: u64,
    entries: u64,
}

/// The newer of the two meta pages.
fn head(file: &File, length: u64) -> Result<Head, DataError> {
    let meta = |at: u64| -> Option<(u64, Head)> {
        let mut b = [0; 152];
        file.read_exact_at(&mut b, at).ok()?;
        let word = |at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if word(16) != MAGIC {
            return None;
        }
        let page = word(40) as usize;
        Some((long(144), Head { page, root: long(128), entries: long(120) }))
    };
    let first = meta(0).ok_or_else(|| {
        damaged(
            "expected an LMDB of a 64-bit little-endian machine; write it again there, or with `mdb_copy`",
        )
    })?;
    let page = first.1.page;
    if !page.is_power_of_two() || !(512..=65_536).contains(&page) || length < 2 * page as u64 {
        return Err(damaged(format!("its pages are said to have {page} bytes, the file has {length}")));
    }
    let newer = meta(page as u64).filter(|second| second.0 > first.0);
    let head = newer.unwrap_or(first).1;
    if head.page != page {
        return Err(damaged("its two heads do not agree"));
    }
    Ok(head)
}

/// Lines `key label` of the only list beside the file.
fn labels(path: &Path, folder: bool) -> Result<HashMap<String, String>, DataError> {
    let beside = if folder { Some(path) } else { None };
    let Some(beside) = beside else { return Ok(HashMap::new()) };
    let look = Look::at(beside)?;
    let lists: Vec<&String> = look.with_ending("txt").collect();
    let [list] = lists.as_slice() else { return Ok(HashMap::new()) };
    let file = beside.join(list);
    let bytes =
        std::fs::read(&file).map_err(|e| DataError::new(format!("cannot read {}: {e}", file.display())))?;
    let text = crate::text::decode(&bytes).map_err(|e| e.within(file.display()))?;
    let mut out = HashMap::new();
    for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let Some((key, label)) = lists::last(line) else {
            return Err(DataError::new(format!(
                "{}, line {}: expected `key label`, found `{}`",
                file.display(),
                n + 1,
                crate::landmarks::shorten(line)
            )));
        };
        out.insert(key.to_owned(), label.to_owned());
    }
    Ok(out)
}

fn u16_at(page: &[u8], at: usize) -> Result<u16, DataError> {
    let two = page.get(at..).and_then(|p| p.first_chunk::<2>());
    two.map(|b| u16::from_le_bytes(*b)).ok_or_else(|| damaged("an offset in it leads out of its page"))
}

fn damaged(what: impl std::fmt::Display) -> DataError {
    DataError::new(format!("the LMDB is damaged: {what}"))
}

impl Container for Lmdb {
    fn count(&self) -> Option<u64> {
        Some(self.entries)
    }

    fn read(&self, sink: &mut dyn Sink) -> Result<(), DataError> {
        let mut found = 0;
        let mut give = |key: &[u8], value: &[u8]| -> Result<(), DataError> {
            found += 1;
            let Ok(key) = std::str::from_utf8(key) else {
                return Err(DataError::new(format!("the key `{}` is not UTF-8", key.escape_ascii())));
            };
            // Keys of metadata: counts and lists of keys.
            if matches!(key, "__len__" | "__keys__" | "num-samples" | "length") {
                return Ok(());
            }
            let datum = match datum::read(value) {
                Ok(datum) => datum,
                Err(e) => {
                    sink.passed_over(key, &e.to_string());
                    return Ok(());
                }
            };
            let label = datum.label.map(|l| l.to_string());
            let identity =
                self.labels.get(key).map(String::as_str).or(label.as_deref()).or_else(|| above(key));
            let name = if crate::names::is_any_image(key) {
                key.to_owned()
            } else {
                format!("{key}.{}", ending(&datum.image))
            };
            sink.item(Item { name: &name, identity, image: &datum.image, points: None, group: None })
        };
        self.walk(&mut give).map_err(|e| e.within(self.path.display()))?;
        if found != self.entries {
            return Err(damaged(format!("{} entries are announced, {found} are there", self.entries))
                .within(self.path.display()));
        }
        Ok(())
    }
}
