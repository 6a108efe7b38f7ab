//! A store, from the side of a cache: which results it holds, and requests to it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::helper::Helper;
use super::layout::{self, Listing};
use crate::cache::{Cache, Mirror, Record, Scratch, Stored};
use crate::fault::{Fault, Result};
use crate::fingerprint::Key;
use lfs_core::messages::{Job, Outcome};

/// Results are transferred and recorded in batches of this many bytes.
pub(super) const BATCH: u64 = 512 << 20;

/// How many texts of a store are held at once.
const AT_ONCE: usize = 64;
/// How many files the lists may name that are held at once.
const FILES_AT_ONCE: u64 = 500_000;

/// A result by its node's name and its key.
pub type Wanted = (String, Key);

/// A store, and what a cache knows of it.
pub struct Remote<'a> {
    pub(super) cache: &'a Cache,
    helper: Helper,
    pub(super) mirror: Mirror,
    url: String,
    /// Records in the store that cannot be used, and why.
    odd: BTreeMap<Key, String>,
    /// Why the store was given up.
    down: Option<String>,
}

/// What a store holds of a result.
pub(super) enum Held {
    Record(Box<RawValue>, Box<Record>),
    Nothing,
    /// Something that cannot be used, and why.
    Odd(String),
}

/// The list of a folder, or how the request for it ended.
pub(super) type Answered = std::result::Result<Listing, Outcome>;

/// What was moved.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moved {
    /// Results that were transferred.
    pub results: usize,
    /// Results that were there already.
    pub there: usize,
    /// The bytes of their objects.
    pub bytes: u64,
    /// Nodes whose result is there with other bytes: it is not deterministic.
    pub different: Vec<String>,
    /// Nodes whose result could not be moved, and why.
    pub failed: BTreeMap<String, String>,
}

impl<'a> Remote<'a> {
    /// The store at an address.
    ///
    /// # Errors
    /// When the address is not valid.
    pub fn open(url: &str, cache: &'a Cache) -> Result<Self> {
        Ok(Self {
            cache,
            helper: Helper::start(url)?,
            mirror: cache.mirror(url)?,
            url: url.to_owned(),
            odd: BTreeMap::new(),
            down: None,
        })
    }

    /// What is known of it.
    pub fn mirror(&mut self) -> &mut Mirror {
        &mut self.mirror
    }

    /// Why the record of a result in the store cannot be used, for results that were looked up.
    pub fn odd(&self, key: &Key) -> Option<&str> {
        self.odd.get(key).map(String::as_str)
    }

    /// Looks up these results in the store, and remembers the answers. Returns how many it holds.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn look(&mut self, keys: &[Key]) -> Result<usize> {
        let mut found = 0;
        for (key, held) in keys.iter().zip(self.records(keys)?) {
            match held {
                Held::Record(print, record) => {
                    found += 1;
                    self.learn(key, &print, &record)?;
                }
                Held::Nothing => self.mirror.forget(key)?,
                // The next push of this result replaces it.
                Held::Odd(why) => {
                    self.mirror.forget(key)?;
                    self.odd.insert(*key, why);
                }
            }
        }
        Ok(found)
    }

    /// Reads the records of these keys.
    pub(super) fn records(&mut self, keys: &[Key]) -> Result<Vec<Held>> {
        let mut all = Vec::with_capacity(keys.len());
        for keys in keys.chunks(AT_ONCE) {
            let jobs = keys.iter().map(|k| Job::Read { name: layout::record(k) }).collect();
            let outcomes = self.ask(jobs, &mut |_| {})?;
            self.some_right(&outcomes)?;
            all.extend(keys.iter().zip(outcomes).map(|(key, outcome)| match outcome {
                Outcome::Text(text) => match layout::read_record(key, &text) {
                    Some((print, record)) => Held::Record(print, Box::new(record)),
                    None => Held::Odd(DAMAGED_RECORD.to_owned()),
                },
                Outcome::Missing => Held::Nothing,
                Outcome::Damaged => Held::Odd(DAMAGED_RECORD.to_owned()),
                other => Held::Odd(format!("the store does not give its record: {}", told(&other))),
            }));
        }
        Ok(all)
    }

    /// Remembers that it holds a result.
    pub(super) fn learn(&mut self, key: &Key, print: &RawValue, record: &Record) -> Result<()> {
        match self.mirror.record(key).as_ref() == Some(record) {
            true => Ok(()),
            false => self.mirror.put(key, print, record),
        }
    }

    /// Fails if the store refuses every request.
    fn some_right(&self, outcomes: &[Outcome]) -> Result<()> {
        let refusal = |o: &Outcome| if let Outcome::Refused(why) = o { Some(why.clone()) } else { None };
        let all: Option<Vec<String>> = outcomes.iter().map(refusal).collect();
        match all.as_deref() {
            Some([why, ..]) => Err(self.fault(why).with_help(RIGHTS)),
            _ => Ok(()),
        }
    }

    fn fault(&self, why: &str) -> Fault {
        Fault::machine(format!("the remote store `{}` failed: {why}", self.url))
    }

    /// Has jobs done. An error if the store does not answer.
    pub(super) fn ask(&mut self, jobs: Vec<Job>, moved: &mut dyn FnMut(u64)) -> Result<Vec<Outcome>> {
        let outcomes = self.ask_some(jobs, moved)?;
        self.still_up()?;
        Ok(outcomes)
    }

    /// Has jobs done, as far as the store answers.
    pub(super) fn ask_some(&mut self, jobs: Vec<Job>, moved: &mut dyn FnMut(u64)) -> Result<Vec<Outcome>> {
        if jobs.is_empty() {
            return Ok(vec![]);
        }
        let outcomes = self.helper.ask(jobs, moved)?;
        let failed = outcomes.iter().find_map(|o| match o {
            Outcome::Failed(why) => Some(why),
            _ => None,
        });
        if let Some(why) = failed {
            self.down.get_or_insert_with(|| why.clone());
        }
        Ok(outcomes)
    }

    /// Reads the lists of these folders. A text that is not the list of its folder counts as damaged.
    pub(super) fn lists<'s>(&mut self, folders: &[&'s Stored]) -> Result<Vec<(&'s Stored, Answered)>> {
        let mut all = Vec::with_capacity(folders.len());
        let mut rest = folders;
        while !rest.is_empty() {
            let mut files = 0_u64;
            let more = |s: &&&Stored| {
                files = files.saturating_add(s.files);
                files <= FILES_AT_ONCE
            };
            let few = rest.iter().take(AT_ONCE).take_while(more).count().max(1);
            let (now, later) = rest.split_at(few);
            rest = later;
            let jobs = now.iter().map(|s| Job::Read { name: layout::folder(&s.digest) }).collect();
            let outcomes = self.ask_some(jobs, &mut |_| {})?;
            all.extend(now.iter().copied().zip(outcomes).map(|(stored, outcome)| match outcome {
                Outcome::Text(text) => (stored, Listing::read(stored, &text).ok_or(Outcome::Damaged)),
                other => (stored, Err(other)),
            }));
        }
        Ok(all)
    }

    /// An error once the store was given up.
    pub(super) fn still_up(&self) -> Result<()> {
        match &self.down {
            None => Ok(()),
            Some(why) => Err(self.fault(why).with_help(LATER)),
        }
    }

    pub(super) fn scratch(&self) -> Result<Scratch> {
        // Two machines may share a cache, and their process numbers may be the same.
        let now = jiff::Timestamp::now().as_nanosecond();
        self.cache.scratch(&format!("remote-{now}-{}", std::process::id()))
    }
}

const LATER: &str =
    "nothing local depends on it; when it answers again, repeat the command: what has been moved is kept";
const RIGHTS: &str =
    "the key must have the rights to read, to write and to list (s3:GetObject, s3:PutObject, s3:ListBucket)";
/// Why bytes of this cache cannot be sent.
pub(super) const DAMAGED_HERE: &str =
    "the object in the cache is corrupt: `lfs-pipe cache verify --repair`, and run again";
const DAMAGED_RECORD: &str = "its record in the store is damaged";

/// Why something could not be sent.
pub(super) fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Here(why) | Outcome::Refused(why) | Outcome::Broken(why) | Outcome::Failed(why) => {
            why.clone()
        }
        _ => DAMAGED_HERE.to_owned(),
    }
}
