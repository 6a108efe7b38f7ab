//! Checks of a whole cache: its size, and whether objects match their digests.

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;
use serde::Serialize;

use super::collect::size;
use super::{Cache, Look, Record, Stored};
use crate::digest::Digest;
use crate::fault::{At, Result};
use crate::key::Key;

/// What a cache holds.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stats {
    /// Objects.
    pub objects: usize,
    /// Their bytes.
    pub object_bytes: u64,
    /// Objects that no record names.
    pub loose_objects: usize,
    /// Their bytes.
    pub loose_bytes: u64,
    /// Results of nodes.
    pub nodes: usize,
    /// Results of steps.
    pub steps: usize,
    /// The bytes of the records.
    pub record_bytes: u64,
    /// The bytes of what is remembered of files, plans and stores elsewhere.
    pub memo_bytes: u64,
    /// The bytes of the logs.
    pub log_bytes: u64,
    /// The bytes of objects that were set aside.
    pub damaged_bytes: u64,
    /// Bytes by the stage that made them; what several made counts for each.
    pub stages: BTreeMap<String, u64>,
}

/// A corrupt or missing object.
#[derive(Debug, Clone, Serialize)]
pub struct Damage {
    /// The object.
    pub digest: Digest,
    /// Whether it is there at all.
    pub there: bool,
    /// The nodes whose results name it.
    pub nodes: Vec<String>,
    #[serde(skip)]
    stored: Stored,
    #[serde(skip)]
    keys: Vec<Key>,
}

impl Cache {
    /// What the cache holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        let mut named: HashSet<Digest> = HashSet::new();
        let mut stages: BTreeMap<String, BTreeMap<Digest, u64>> = BTreeMap::new();
        for (key, step, record) in self.all_records()? {
            *(if step { &mut stats.steps } else { &mut stats.nodes }) += 1;
            if self.is_spent(&key) {
                continue;
            }
            let stage = record.made.node.split('[').next().unwrap_or_default().to_owned();
            for stored in record.outputs.values() {
                named.insert(stored.digest);
                stages.entry(stage.clone()).or_default().insert(stored.digest, stored.bytes);
            }
        }
        stats.stages = stages.into_iter().map(|(stage, all)| (stage, all.values().sum())).collect();
        for (digest, path) in self.objects()? {
            let bytes = size(&path);
            stats.objects += 1;
            stats.object_bytes += bytes;
            if !named.contains(&digest) {
                stats.loose_objects += 1;
                stats.loose_bytes += bytes;
            }
        }
        stats.record_bytes = size(&self.root.join("records"));
        stats.memo_bytes = size(&self.root.join("memo")) + size(&self.root.join("remote"));
        stats.log_bytes = size(&self.root.join("runs"));
        stats.damaged_bytes = size(&self.root.join("damaged"));
        Ok(stats)
    }

    /// Hashes every object that a record names, and returns those that are corrupt or missing.
    /// `told` is called with the size of each object after it was checked.
    ///
    /// # Errors
    /// When the records or an object cannot be read.
    pub fn check(&self, told: &(dyn Fn(u64) + Sync)) -> Result<Vec<Damage>> {
        self.records().refresh().at("read", &self.root.join("records"))?;
        let mut all: HashMap<Digest, (Stored, Vec<(Key, String)>)> = HashMap::new();
        for (key, record) in self.needed()? {
            for stored in record.outputs.values() {
                let entry = all.entry(stored.digest).or_insert_with(|| (stored.clone(), vec![]));
                entry.1.push((key, record.made.node.clone()));
            }
        }
        let damage: Result<Vec<Option<Damage>>> = all
            .into_par_iter()
            .map(|(digest, (stored, named))| {
                let whole = self.verify(&stored, Look::AtBytes)?;
                told(stored.bytes);
                let (keys, mut nodes): (Vec<Key>, Vec<String>) = named.into_iter().unzip();
                nodes.sort();
                nodes.dedup();
                let there = self.object(&digest).symlink_metadata().is_ok();
                Ok((!whole).then_some(Damage { digest, stored, there, nodes, keys }))
            })
            .collect();
        let mut damage: Vec<Damage> = damage?.into_iter().flatten().collect();
        damage.sort_by_key(|d| d.digest);
        Ok(damage)
    }

    /// Sets corrupt objects aside, and withdraws the results that named them: the next run computes them again.
    ///
    /// # Errors
    /// When something cannot be moved or written.
    pub fn repair(&self, damage: &[Damage]) -> Result<()> {
        for one in damage {
            self.set_aside(&one.stored)?;
            for key in &one.keys {
                self.withdraw(key)?;
            }
        }
        Ok(())
    }

    /// Every record, with its key, and whether it is of a step.
    pub(super) fn all_records(&self) -> Result<Vec<(Key, bool, Record)>> {
        self.records().all().at("read", &self.root.join("records"))
    }

    /// The records whose objects are needed: all but those of superseded steps.
    pub(super) fn needed(&self) -> Result<Vec<(Key, Record)>> {
        let all = self.all_records()?.into_iter().map(|(key, _, record)| (key, record));
        Ok(all.filter(|(key, _)| !self.is_spent(key)).collect())
    }

    /// The total size of the objects that [`Cache::check`] is going to read, in bytes.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn bytes_to_check(&self) -> Result<u64> {
        let all: HashMap<Digest, u64> = self
            .needed()?
            .into_iter()
            .flat_map(|(_, record)| record.outputs.into_values().map(|s| (s.digest, s.bytes)))
            .collect();
        Ok(all.values().sum())
    }
}
