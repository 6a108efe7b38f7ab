//! Key -> what came out, with where it came from.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::journal::{Journal, scan};
use crate::digest::Digest;
use crate::fingerprint::Key;

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

/// What a node's run left, beside its fingerprint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Outputs by name.
    pub outputs: BTreeMap<String, Stored>,
    /// Figures of the result.
    pub metrics: BTreeMap<String, f64>,
    /// What a reader of the result must know.
    pub warnings: Vec<String>,
    /// What is to be known of a step without its bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<serde_json::Value>,
    /// How it came about. Not part of what the result depends on.
    pub made: Made,
}

/// How a result came about.
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
    /// The most memory that it held, in bytes, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// Which program did the work.
    pub worker: String,
}

/// What an entry of the journal is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Tag {
    /// A node's result: key, then `{"fingerprint":..., "record":...}`.
    Node = b'N',
    /// A step's result, in the same form.
    Step = b'S',
    /// A key whose result is not to be used any more.
    Withdrawn = b'X',
    /// All up to a place is on the disk: the place, then the number of the machine's start.
    Durable = b'D',
    /// A run ended; then the number of the machine's start.
    Ended = b'E',
    /// Results that a run found known and relies on: the digest of the run's name, then their keys.
    Used = b'U',
    /// The key of a step of which only the note is needed any more.
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

fn run_digest(run: &str) -> Digest {
    Digest::derive("lfs-pipe 2026 run", run.as_bytes())
}

/// The digest behind the tag of an entry.
fn key_of(entry: &[u8]) -> Option<Digest> {
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

/// The number of the machine's start in an entry that has one.
fn boot_of(entry: &[u8]) -> Option<&[u8]> {
    match Tag::of(*entry.first()?)? {
        Tag::Durable => entry.get(9..),
        Tag::Ended => entry.get(1..),
        _ => None,
    }
}

/// How far the records went at some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    file: u64,
    length: u64,
}

/// All records of a cache. They are read when one is asked for first.
pub(super) struct Records {
    journal: Journal,
    read: bool,
    known: HashMap<Key, Range<usize>>,
    nodes: Vec<Key>,
    /// Steps of which only the note is needed any more.
    spent: HashSet<Key>,
    seen: usize,
    replaced: usize,
    /// Where everything before is on the disk.
    durable: u64,
    last_boot: Option<Vec<u8>>,
}

impl Records {
    pub fn open(path: &Path) -> io::Result<Self> {
        let journal = Journal::open(path)?;
        let known = HashMap::new();
        Ok(Self {
            journal,
            read: false,
            known,
            nodes: vec![],
            spent: HashSet::new(),
            seen: 0,
            replaced: 0,
            durable: 0,
            last_boot: None,
        })
    }

    /// Whether the last that was written is the end of a run since this start of the machine.
    pub fn is_settled(&self, boot: &str) -> io::Result<bool> {
        let (_, length) = self.journal.mark()?;
        let tail = self.journal.from(length.saturating_sub(4096))?;
        let mut entries = Vec::new();
        scan(&tail, 0, &mut entries);
        let last = entries.last().and_then(|e| tail.get(e.clone())).unwrap_or_default();
        Ok(length == 0 || boot_of(last) == Some(boot.as_bytes()))
    }

    pub fn mark(&self) -> Mark {
        self.journal.mark().map_or_else(|_| Mark::default(), |(file, length)| Mark { file, length })
    }

    /// Whether what was known at a mark is known now.
    pub fn nothing_withdrawn_since(&self, mark: &Mark) -> bool {
        let now = self.mark();
        if now == *mark {
            return true;
        }
        if now.file != mark.file || now.length < mark.length {
            return false;
        }
        let Ok(bytes) = self.journal.from(mark.length) else { return false };
        let mut entries = Vec::new();
        scan(&bytes, 0, &mut entries);
        entries.iter().all(|e| bytes.get(e.start) != Some(&(Tag::Withdrawn as u8)))
    }

    fn take_in(&mut self) {
        if self.journal.replaced() != self.replaced {
            self.replaced = self.journal.replaced();
            self.known.clear();
            self.nodes.clear();
            self.spent.clear();
            (self.seen, self.durable) = (0, 0);
        }
        for place in &self.journal.entries()[self.seen..] {
            let bytes = self.journal.peek(place);
            let key = key_of(bytes);
            match (bytes.first().copied().and_then(Tag::of), key) {
                (Some(tag @ (Tag::Node | Tag::Step)), Some(key)) => {
                    self.known.insert(key, place.clone());
                    self.spent.remove(&key);
                    if tag == Tag::Node {
                        self.nodes.push(key);
                    }
                }
                (Some(Tag::Spent), Some(key)) if self.journal.get(place).is_some() => {
                    self.spent.insert(key);
                }
                (Some(Tag::Withdrawn), Some(key)) if self.journal.get(place).is_some() => {
                    self.known.remove(&key);
                }
                (Some(tag @ (Tag::Durable | Tag::Ended)), _) if self.journal.get(place).is_some() => {
                    self.last_boot = boot_of(bytes).map(<[u8]>::to_vec);
                    if let (Tag::Durable, Some(upto)) = (tag, bytes.get(1..9).and_then(|b| b.try_into().ok()))
                    {
                        self.durable = u64::from_le_bytes(upto);
                    }
                }
                _ => {}
            }
        }
        self.seen = self.journal.entries().len();
    }

    /// Reads the file, if it was not read yet.
    fn load(&mut self) {
        if !self.read
            && let Err(e) = self.refresh()
        {
            tracing::warn!("the records cannot be read: {e}");
        }
    }

    pub fn refresh(&mut self) -> io::Result<()> {
        self.journal.refresh()?;
        self.read = true;
        self.take_in();
        Ok(())
    }

    /// The record of a key.
    pub fn get(&mut self, key: &Key) -> Option<Record> {
        self.load();
        let bytes = self.journal.get(self.known.get(key)?)?.get(TAG_AND_KEY..)?;
        let line: LineOwned<'_> = serde_json::from_slice(bytes).ok()?;
        Some(line.record)
    }

    /// Results that were written before the machine last stopped, and perhaps never reached the disk.
    pub fn doubtful(&mut self, boot: &str) -> Vec<Key> {
        self.load();
        // The kernel still has what was written since this start of the machine, on the disk or not.
        if self.last_boot.as_deref() == Some(boot.as_bytes()) {
            return vec![];
        }
        let after = |(_, place): &(&Key, &Range<usize>)| place.start as u64 >= self.durable;
        self.known.iter().filter(after).map(|(key, _)| *key).collect()
    }

    /// The fingerprint of a key, as it was written.
    pub fn fingerprint(&mut self, key: &Key) -> Option<&str> {
        self.load();
        let bytes = self.journal.get(self.known.get(key)?)?.get(TAG_AND_KEY..)?;
        let line: LineOwned<'_> = serde_json::from_slice(bytes).ok()?;
        Some(line.fingerprint.get())
    }

    /// The keys of all nodes' results, latest first.
    pub fn node_keys(&mut self) -> impl Iterator<Item = &Key> {
        self.load();
        self.nodes.iter().rev().filter(|k| self.known.contains_key(*k))
    }

    pub fn put<F: Serialize>(
        &mut self,
        step: bool,
        key: &Key,
        fingerprint: &F,
        record: &Record,
    ) -> io::Result<()> {
        let mut bytes = vec![if step { Tag::Step } else { Tag::Node } as u8];
        bytes.extend(key.0);
        serde_json::to_writer(&mut bytes, &Line { fingerprint, record })?;
        self.append(&[bytes])
    }

    /// Notes that a run relies on results. It leaves the file as settled as it was.
    pub fn used(&mut self, run: &str, keys: &[Key], boot: &str) -> io::Result<()> {
        let mut bytes = vec![Tag::Used as u8];
        bytes.extend(run_digest(run).0);
        bytes.extend(keys.iter().flat_map(|k| k.0));
        self.append(&[bytes, ended(boot)])
    }

    /// Notes that only the notes of these steps are needed any more. It leaves the file as settled as it was.
    pub fn spend(&mut self, keys: &[Key], boot: &str) -> io::Result<()> {
        let entry = |key: &Key| std::iter::once(Tag::Spent as u8).chain(key.0).collect();
        let entries: Vec<Vec<u8>> = keys.iter().map(entry).chain([ended(boot)]).collect();
        self.append(&entries)
    }

    /// Whether only the note of a step is needed any more.
    pub fn is_spent(&mut self, key: &Key) -> bool {
        self.load();
        self.spent.contains(key)
    }

    /// Every record, with its key, and whether it is of a step.
    pub fn all(&mut self) -> Vec<(Key, bool, Record)> {
        self.load();
        let step = |key: &Key| {
            let entry = self.known.get(key).map(|place| self.journal.peek(place));
            entry.and_then(|e| e.first()) == Some(&(Tag::Step as u8))
        };
        let keys: Vec<(Key, bool)> = self.known.keys().map(|k| (*k, step(k))).collect();
        keys.into_iter().filter_map(|(k, step)| Some((k, step, self.get(&k)?))).collect()
    }

    /// The keys that these runs rely on.
    pub fn relied_on(&mut self, runs: &[String]) -> HashSet<Key> {
        self.load();
        let runs: HashSet<Digest> = runs.iter().map(|r| run_digest(r)).collect();
        let entries = self.journal.entries().iter().filter_map(|e| self.journal.get(e));
        let of_runs = entries
            .filter(|b| Tag::of(b[0]) == Some(Tag::Used) && key_of(b).is_some_and(|run| runs.contains(&run)));
        of_runs
            .flat_map(|b| b[TAG_AND_KEY..].chunks_exact(32).filter_map(|k| k.try_into().ok().map(Digest)))
            .collect()
    }

    /// Leaves out every record but these, and what others than these runs rely on.
    pub fn keep(&mut self, kept: &HashSet<Key>, runs: &[String]) -> io::Result<()> {
        let runs: HashSet<Digest> = runs.iter().map(|r| run_digest(r)).collect();
        self.journal.rewrite(&|bytes| {
            let key = key_of(bytes)?;
            let stays = match Tag::of(*bytes.first()?)? {
                Tag::Node | Tag::Step | Tag::Spent => kept.contains(&key),
                Tag::Used => runs.contains(&key),
                _ => false,
            };
            stays.then(|| bytes.to_vec())
        })?;
        self.take_in();
        Ok(())
    }

    pub fn withdraw(&mut self, key: &Key) -> io::Result<()> {
        let mut bytes = vec![Tag::Withdrawn as u8];
        bytes.extend(key.0);
        self.append(&[bytes])
    }

    /// Says that all objects behind the records up to a mark are on the disk.
    pub fn durable(&mut self, upto: &Mark, boot: &str) -> io::Result<()> {
        let mut bytes = vec![Tag::Durable as u8];
        bytes.extend(upto.length.to_le_bytes());
        bytes.extend(boot.as_bytes());
        self.append(&[bytes])
    }

    /// Says that a run ended, whether all is on the disk or not.
    pub fn ended(&mut self, boot: &str) -> io::Result<()> {
        self.append(&[ended(boot)])
    }

    fn append(&mut self, entries: &[Vec<u8>]) -> io::Result<()> {
        self.journal.append(entries)?;
        self.read = true;
        self.take_in();
        Ok(())
    }
}
