//! Key -> what came out, with where it came from.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::journal::Journal;
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
    /// All before it is on the disk; then the number of the machine's start.
    Durable = b'D',
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

/// All records of a cache.
pub(super) struct Records {
    journal: Journal,
    known: HashMap<Key, Range<usize>>,
    nodes: Vec<Key>,
    seen: usize,
    /// Results from here on may not have reached the disk before the machine stopped.
    doubtful_from: usize,
}

impl Records {
    pub fn open(path: &Path, boot: &str) -> io::Result<Self> {
        let journal = Journal::open(path)?;
        let mut records =
            Self { journal, known: HashMap::new(), nodes: vec![], seen: 0, doubtful_from: usize::MAX };
        let (mut durable, mut last_boot) = (0, None);
        for place in records.journal.entries() {
            let bytes = records.journal.get(place);
            if bytes.first() == Some(&(Tag::Durable as u8)) {
                durable = place.end;
                last_boot = bytes.get(1..).map(<[u8]>::to_vec);
            }
        }
        records.take_in();
        // The kernel still has what was written since this start of the machine, on the disk or not.
        if last_boot.as_deref() != Some(boot.as_bytes()) {
            records.doubtful_from = durable;
        }
        Ok(records)
    }

    fn take_in(&mut self) {
        for place in &self.journal.entries()[self.seen..] {
            let bytes = self.journal.get(place);
            let Some(key) = bytes.get(1..TAG_AND_KEY).and_then(|k| k.try_into().ok()).map(Digest) else {
                continue;
            };
            match bytes[0] {
                t if t == Tag::Node as u8 || t == Tag::Step as u8 => {
                    self.known.insert(key, place.clone());
                    if t == Tag::Node as u8 {
                        self.nodes.push(key);
                    }
                }
                t if t == Tag::Withdrawn as u8 => {
                    self.known.remove(&key);
                }
                _ => {}
            }
        }
        self.seen = self.journal.entries().len();
    }

    pub fn refresh(&mut self) -> io::Result<()> {
        self.journal.refresh()?;
        self.take_in();
        Ok(())
    }

    /// The record of a key.
    pub fn get(&self, key: &Key) -> Option<Record> {
        let bytes = self.journal.get(self.known.get(key)?).get(TAG_AND_KEY..)?;
        let line: LineOwned<'_> = serde_json::from_slice(bytes).ok()?;
        Some(line.record)
    }

    /// Results that were written before the machine last stopped, and perhaps never reached the disk.
    pub fn doubtful(&self) -> Vec<Key> {
        self.known
            .iter()
            .filter(|(_, place)| place.start >= self.doubtful_from)
            .map(|(key, _)| *key)
            .collect()
    }

    /// The fingerprint of a key, as it was written.
    pub fn fingerprint(&self, key: &Key) -> Option<&str> {
        let bytes = self.journal.get(self.known.get(key)?).get(TAG_AND_KEY..)?;
        let line: LineOwned<'_> = serde_json::from_slice(bytes).ok()?;
        Some(line.fingerprint.get())
    }

    /// The keys of all nodes' results, latest first.
    pub fn node_keys(&self) -> impl Iterator<Item = &Key> {
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
        self.append(bytes)
    }

    pub fn withdraw(&mut self, key: &Key) -> io::Result<()> {
        let mut bytes = vec![Tag::Withdrawn as u8];
        bytes.extend(key.0);
        self.append(bytes)
    }

    /// Says that all objects behind the records so far are on the disk.
    pub fn durable(&mut self, boot: &str) -> io::Result<()> {
        let mut bytes = vec![Tag::Durable as u8];
        bytes.extend(boot.as_bytes());
        self.append(bytes)?;
        self.journal.sync()
    }

    fn append(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.journal.append(&[bytes])?;
        self.take_in();
        Ok(())
    }
}
