//! Key -> result, with its provenance.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;

use lfs_stage::Cell;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::journal::{Entry, Journal, Place, Reader};
use crate::digest::{ByItself, Digest};
use crate::key::Key;

/// A result in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The digest of the file or folder, and its name in the cache.
    pub digest: Digest,
    /// The bytes of all files in it.
    pub bytes: u64,
    /// How many files it is.
    pub files: u64,
    /// Whether it is a folder.
    pub folder: bool,
    /// Whether it is a file that its owner may execute. The files of a folder have theirs in the digest.
    #[serde(default)]
    pub executable: bool,
}

impl Stored {
    /// Whether these are the same bytes, of a file or of a folder.
    pub fn is_same_as(&self, other: &Self) -> bool {
        (self.digest, self.folder) == (other.digest, other.folder)
    }
}

/// The result of a node, without its fingerprint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Outputs by name.
    pub outputs: BTreeMap<String, Stored>,
    /// Metrics of the result.
    pub metrics: BTreeMap<String, f64>,
    /// Cells of a table, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cells: BTreeMap<String, Cell>,
    /// What the result says of claims.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub findings: BTreeMap<String, String>,
    /// Warnings for readers of the result.
    pub warnings: Vec<String>,
    /// The note of a step: what remains of it without its bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<serde_json::Value>,
    /// Its provenance. The result does not depend on it.
    pub made: Made,
}

/// The provenance of a result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Made {
    /// The node's name at that time.
    pub node: String,
    /// The run.
    pub run: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// The peak memory, in bytes, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// Which program did the work.
    pub worker: String,
    /// An earlier result that helped: rows that are the same were taken over from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Key>,
}

/// What an entry of the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Tag {
    /// A node's result: key, then `{"fingerprint":..., "record":...}`.
    Node = b'N',
    /// A step's result, in the same form.
    Step = b'S',
    /// A key whose result must not be used any more.
    Withdrawn = b'X',
    /// Everything up to a place is on the disk: the place, then the identifier of the boot.
    Durable = b'D',
    /// A run ended; then the identifier of the boot.
    Ended = b'E',
    /// Results that a run found in the cache and relies on (pins): the digest of the run's name, then their keys.
    Used = b'U',
    /// The key of a superseded step, of which only the note is needed.
    Spent = b'P',
}

impl Tag {
    fn of(byte: u8) -> Option<Self> {
        let all =
            [Self::Node, Self::Step, Self::Withdrawn, Self::Durable, Self::Ended, Self::Used, Self::Spent];
        all.into_iter().find(|t| *t as u8 == byte)
    }
}

const TAG_AND_KEY: usize = 33;

#[derive(Serialize)]
struct Line<'a, F: Serialize> {
    fingerprint: &'a F,
    record: &'a Record,
}

#[derive(Deserialize)]
struct LineOwned<'a> {
    #[serde(borrow)]
    fingerprint: &'a RawValue,
    record: Record,
}

/// The run name that pins results that were fetched and that no run has used yet. It holds for one collection, since a run follows
/// soon or never.
pub(super) const FETCHED: &str = "fetched from a remote store";
/// The name that marks them as fetched after that collection.
const WAS_FETCHED: &str = "fetched from a remote store before a collection";

fn run_digest(run: &str) -> Digest {
    Digest::derive("lfs-pipe 2026 run", run.as_bytes())
}

/// The digest behind the tag of an entry.
fn digest_of(entry: &[u8]) -> Option<Digest> {
    entry.get(1..TAG_AND_KEY)?.try_into().ok().map(Digest)
}

impl Mark {
    /// Whether both are of the same file.
    pub(super) fn is_of_the_file_of(&self, other: &Self) -> bool {
        self.file == other.file
    }
}

/// An entry that says that a run ended.
fn ended(boot: &str) -> Vec<u8> {
    let mut bytes = vec![Tag::Ended as u8];
    bytes.extend(boot.as_bytes());
    bytes
}

/// The identifier of the boot in an entry that has one.
fn boot_of(entry: &[u8]) -> Option<&[u8]> {
    match Tag::of(*entry.first()?)? {
        Tag::Durable => entry.get(9..),
        Tag::Ended => entry.get(1..),
        _ => None,
    }
}

/// The end of the records at some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    file: u64,
    length: u64,
}

/// All records of a cache. They are read at the first lookup.
pub(super) struct Records {
    journal: Journal,
    read: bool,
    known: Known,
}

/// The place of each record, and the rest of the file's content.
#[derive(Default)]
struct Known {
    places: HashMap<Key, (Tag, Place), ByItself>,
    nodes: Vec<Key>,
    /// Superseded steps, of which only the note is needed.
    spent: HashSet<Key>,
    /// The places of the entries that say which results a run relies on.
    used: Vec<(Digest, Place)>,
    /// Everything before this place is on the disk.
    durable: u64,
    last_boot: Option<Vec<u8>>,
}

impl Reader for Known {
    fn anew(&mut self) {
        *self = Self::default();
    }

    fn entry(&mut self, entry: &Entry<'_>) {
        let bytes = entry.payload;
        let (Some(tag), digest) = (bytes.first().copied().and_then(Tag::of), digest_of(bytes)) else {
            return;
        };
        match (tag, digest) {
            // These are compared with their checksum when they are looked up.
            (Tag::Node | Tag::Step, Some(digest)) => {
                let key = Key(digest);
                self.places.insert(key, (tag, entry.place));
                self.spent.remove(&key);
                if tag == Tag::Node {
                    self.nodes.push(key);
                }
            }
            (Tag::Used, Some(run)) => self.used.push((run, entry.place)),
            _ if !entry.is_sound() => {}
            (Tag::Spent, Some(digest)) => {
                self.spent.insert(Key(digest));
            }
            (Tag::Withdrawn, Some(digest)) => {
                self.places.remove(&Key(digest));
            }
            (Tag::Durable | Tag::Ended, _) => {
                self.last_boot = boot_of(bytes).map(<[u8]>::to_vec);
                if let (Tag::Durable, Some(upto)) = (tag, bytes.get(1..9).and_then(|b| b.try_into().ok())) {
                    self.durable = u64::from_le_bytes(upto);
                }
            }
            _ => {}
        }
    }
}

impl Records {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { journal: Journal::open(path)?, read: false, known: Known::default() })
    }

    /// Whether the last entry is the end of a run since the machine was started.
    pub fn is_settled(&self, boot: &str) -> io::Result<bool> {
        let (_, length) = self.journal.mark()?;
        let mut settled = length == 0;
        let last = &mut |entry: &Entry<'_>| settled = boot_of(entry.payload) == Some(boot.as_bytes());
        self.journal.since(length.saturating_sub(4096), last)?;
        Ok(settled)
    }

    pub fn mark(&self) -> Mark {
        self.journal.mark().map_or_else(|_| Mark::default(), |(file, length)| Mark { file, length })
    }

    /// Whether no result has been withdrawn since a mark.
    pub fn nothing_withdrawn_since(&self, mark: &Mark) -> bool {
        let now = self.mark();
        if now == *mark {
            return true;
        }
        if now.file != mark.file || now.length < mark.length {
            return false;
        }
        let mut withdrawn = false;
        let each = &mut |entry: &Entry<'_>| {
            withdrawn |= entry.payload.first() == Some(&(Tag::Withdrawn as u8));
        };
        if self.journal.since(mark.length, each).is_err() {
            return false;
        }
        !withdrawn
    }

    /// Reads the file, if it has not been read yet.
    pub fn load(&mut self) {
        if !self.read
            && let Err(e) = self.refresh()
        {
            tracing::warn!("the records cannot be read: {e}");
        }
    }

    pub fn refresh(&mut self) -> io::Result<()> {
        self.journal.refresh(&mut self.known)?;
        self.read = true;
        Ok(())
    }

    /// The entry of a key, without tag and key.
    fn line(&mut self, key: &Key) -> io::Result<Option<Vec<u8>>> {
        self.load();
        let Some((_, place)) = self.known.places.get(key) else { return Ok(None) };
        let bytes = self.journal.get(*place)?;
        Ok(bytes.filter(|bytes| bytes.len() >= TAG_AND_KEY).map(|mut bytes| bytes.split_off(TAG_AND_KEY)))
    }

    /// The same for callers that treat an unreadable entry as a cache miss.
    fn line_or_none(&mut self, key: &Key) -> Option<Vec<u8>> {
        self.line(key).unwrap_or_else(|e| {
            tracing::warn!("a record cannot be read: {e}");
            None
        })
    }

    /// The record of a key.
    pub fn get(&mut self, key: &Key) -> Option<Record> {
        let bytes = self.line_or_none(key)?;
        let line: LineOwned<'_> = serde_json::from_slice(&bytes).ok()?;
        Some(line.record)
    }

    /// Results that were written before the machine last stopped, and may not have reached the disk.
    pub fn unsynced(&mut self, boot: &str) -> Vec<Key> {
        self.load();
        // The kernel still has everything that was written since this boot, on the disk or not.
        if self.known.last_boot.as_deref() == Some(boot.as_bytes()) {
            return vec![];
        }
        let durable = self.known.durable;
        self.known.places.iter().filter(|(_, (_, place))| place.at >= durable).map(|(key, _)| *key).collect()
    }

    /// The fingerprint of a key, as written.
    pub fn fingerprint(&mut self, key: &Key) -> Option<String> {
        let bytes = self.line_or_none(key)?;
        let line: LineOwned<'_> = serde_json::from_slice(&bytes).ok()?;
        Some(line.fingerprint.get().to_owned())
    }

    /// The keys of all nodes' results, latest first.
    pub fn node_keys(&mut self) -> impl Iterator<Item = &Key> {
        self.load();
        self.known.nodes.iter().rev().filter(|k| self.known.places.contains_key(*k))
    }

    pub fn put<F: Serialize>(
        &mut self,
        step: bool,
        key: &Key,
        fingerprint: &F,
        record: &Record,
    ) -> io::Result<()> {
        let mut bytes = vec![if step { Tag::Step } else { Tag::Node } as u8];
        bytes.extend(key.0.0);
        serde_json::to_writer(&mut bytes, &Line { fingerprint, record })?;
        self.append(&[bytes])
    }

    /// Pins results for a run. The end of a run follows, so that the file stays settled.
    pub fn used(&mut self, run: &str, keys: &[Key], boot: &str) -> io::Result<()> {
        let mut bytes = vec![Tag::Used as u8];
        bytes.extend(run_digest(run).0);
        bytes.extend(keys.iter().flat_map(|k| k.0.0));
        self.append(&[bytes, ended(boot)])
    }

    /// Marks steps as superseded: only their notes are needed. The end of a run follows, so that the file stays settled.
    pub fn spend(&mut self, keys: &[Key], boot: &str) -> io::Result<()> {
        let entry = |key: &Key| std::iter::once(Tag::Spent as u8).chain(key.0.0).collect();
        let entries: Vec<Vec<u8>> = keys.iter().map(entry).chain([ended(boot)]).collect();
        self.append(&entries)
    }

    /// Whether a step is superseded, so that only its note is needed.
    pub fn is_spent(&mut self, key: &Key) -> bool {
        self.load();
        self.known.spent.contains(key)
    }

    /// Every record, with its key, and whether it is of a step.
    ///
    /// # Errors
    /// When one cannot be read: a caller that decides by all of them must not treat it as missing.
    pub fn all(&mut self) -> io::Result<Vec<(Key, bool, Record)>> {
        self.load();
        let keys: Vec<(Key, bool)> =
            self.known.places.iter().map(|(key, (tag, _))| (*key, *tag == Tag::Step)).collect();
        let mut out = Vec::with_capacity(keys.len());
        for (key, step) in keys {
            let Some(bytes) = self.line(&key)? else { continue };
            let Ok(line) = serde_json::from_slice::<LineOwned<'_>>(&bytes) else { continue };
            out.push((key, step, line.record));
        }
        Ok(out)
    }

    /// The runs that made results here, the most recent first.
    ///
    /// # Errors
    /// As [`Records::all`].
    pub fn runs(&mut self) -> io::Result<Vec<String>> {
        let mut last: HashMap<String, u64> = HashMap::new();
        let fetched = self.pinned(&[FETCHED.to_owned(), WAS_FETCHED.to_owned()])?;
        for (key, _, record) in self.all()?.into_iter().filter(|(key, ..)| !fetched.contains(key)) {
            let at = self.known.places.get(&key).map_or(0, |(_, place)| place.at);
            let last = last.entry(record.made.run).or_default();
            *last = at.max(*last);
        }
        let mut runs: Vec<(String, u64)> = last.into_iter().collect();
        runs.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
        Ok(runs.into_iter().map(|(run, _)| run).collect())
    }

    /// The keys that these runs pin.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn pinned(&mut self, runs: &[String]) -> io::Result<HashSet<Key>> {
        self.load();
        let runs: HashSet<Digest> = runs.iter().map(|r| run_digest(r)).collect();
        let mut out = HashSet::new();
        for (_, place) in self.known.used.iter().filter(|(run, _)| runs.contains(run)) {
            let Some(bytes) = self.journal.get(*place)? else { continue };
            let keys = bytes.get(TAG_AND_KEY..).unwrap_or_default().chunks_exact(32);
            out.extend(keys.filter_map(|k| k.try_into().ok().map(|k| Key(Digest(k)))));
        }
        Ok(out)
    }

    /// Removes every record but these, and every pin but those of these runs.
    pub fn keep(&mut self, kept: &HashSet<Key>, runs: &[String]) -> io::Result<()> {
        let runs: HashSet<Digest> = runs.iter().map(|r| run_digest(r)).collect();
        let (fetched, was_fetched) = (run_digest(FETCHED), run_digest(WAS_FETCHED));
        let stays = |bytes: &[u8]| {
            let digest = digest_of(bytes)?;
            let stays = match Tag::of(*bytes.first()?)? {
                Tag::Node | Tag::Step | Tag::Spent => kept.contains(&Key(digest)),
                Tag::Used => runs.contains(&digest),
                _ => false,
            };
            // It stays known that results were fetched; but that spares them only once.
            if bytes.first() == Some(&(Tag::Used as u8)) && (digest == fetched || digest == was_fetched) {
                return Some([&[Tag::Used as u8], &was_fetched.0[..], &bytes[TAG_AND_KEY..]].concat());
            }
            stays.then(|| bytes.to_vec())
        };
        self.journal.rewrite(&stays, &mut self.known)
    }

    pub fn withdraw(&mut self, key: &Key) -> io::Result<()> {
        let mut bytes = vec![Tag::Withdrawn as u8];
        bytes.extend(key.0.0);
        self.append(&[bytes])
    }

    /// Records that all objects behind the records up to a mark are on the disk.
    pub fn durable(&mut self, upto: &Mark, boot: &str) -> io::Result<()> {
        let mut bytes = vec![Tag::Durable as u8];
        bytes.extend(upto.length.to_le_bytes());
        bytes.extend(boot.as_bytes());
        self.append(&[bytes])
    }

    /// Records that a run ended, whether everything is on the disk or not.
    pub fn ended(&mut self, boot: &str) -> io::Result<()> {
        self.append(&[ended(boot)])
    }

    fn append(&mut self, entries: &[Vec<u8>]) -> io::Result<()> {
        self.journal.append(entries, &mut self.known)?;
        self.read = true;
        Ok(())
    }
}
