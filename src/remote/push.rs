//! Sending results from a cache to a store.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::value::RawValue;

use super::layout::{self, Listing};
use super::pack::{Packed, pack};
use super::transfer::{BATCH, DAMAGED_HERE, Held, Moved, Remote, Wanted, told};
use crate::cache::{Scratch, Stored, remove};
use crate::digest::Digest;
use crate::fault::{Fault, Result};
use crate::fingerprint::Key;
use lfs_core::messages::{Job, MOST_TEXT, Outcome};

impl Remote<'_> {
    /// Sends these results, which the cache must have, to the store. `again`: also replaces what is there.
    ///
    /// # Errors
    /// When it does not answer, or the cache cannot be read. What has been sent is kept.
    pub fn push(&mut self, wanted: &[Wanted], again: bool, moved: &mut dyn FnMut(u64)) -> Result<Moved> {
        let scratch = self.scratch()?;
        let cache = self.cache;
        // Nothing that is being sent may be collected.
        let _no_collection = cache.no_collection()?;
        let mut out = Moved::default();
        let keys: Vec<Key> = wanted.iter().map(|(_, key)| *key).collect();
        let held = self.records(&keys)?;
        let mut to_send = Vec::new();
        for ((node, key), held) in wanted.iter().zip(held) {
            let Some(record) = self.cache.record(key) else { continue };
            if let Held::Record(print, there) = &held {
                if layout::outputs(there) != layout::outputs(&record) {
                    out.different.push(node.clone());
                }
                if !again {
                    out.there += 1;
                    self.learn(key, print, there)?;
                    continue;
                }
            }
            // Something that is not a record of this key is replaced.
            let over = again || !matches!(held, Held::Nothing);
            to_send.push((node.clone(), *key, record, over));
        }
        let mut sent: HashMap<Digest, Option<String>> = HashMap::new();
        to_send.reverse();
        while !to_send.is_empty() {
            let mut batch = Vec::new();
            let mut bytes = 0;
            while bytes < BATCH
                && let Some(one) = to_send.pop()
            {
                bytes += one.2.outputs.values().map(|s| s.bytes).sum::<u64>();
                batch.push(one);
            }
            let objects: HashMap<Digest, Stored> = batch
                .iter()
                .flat_map(|(_, _, record, _)| record.outputs.values())
                .filter(|s| !sent.contains_key(&s.digest))
                .map(|s| (s.digest, s.clone()))
                .collect();
            let mut wrong = self.send(&objects, &scratch, again, moved)?;
            for (digest, stored) in &objects {
                let why = wrong.remove(digest);
                out.bytes += if why.is_none() { stored.bytes } else { 0 };
                sent.insert(*digest, why);
            }
            let mut records = Vec::new();
            for (node, key, record, over) in batch {
                let why = record.outputs.values().find_map(|s| sent.get(&s.digest)?.clone());
                let print = self.cache.fingerprint::<Box<RawValue>>(&key);
                match (why, print) {
                    (Some(why), _) => drop(out.failed.insert(node, why)),
                    (None, None) => drop(out.failed.insert(node, "its record cannot be read".to_owned())),
                    (None, Some(print)) => records.push((node, key, print, record, over)),
                }
            }
            let (mut jobs, mut of) = (Vec::new(), Vec::new());
            for (node, key, print, record, over) in records {
                let text = layout::record_text(print.clone(), &record);
                let text = text.map_err(|e| Fault::machine(e.to_string()))?;
                if text.len() as u64 > MOST_TEXT {
                    out.failed.insert(node, too_large("its record"));
                    continue;
                }
                jobs.push(Job::Write { name: layout::record(&key), text, over });
                of.push((node, key, print, record));
            }
            let outcomes = self.ask(jobs, &mut |_| {})?;
            for ((node, key, print, record), outcome) in of.into_iter().zip(outcomes) {
                match outcome {
                    // It exists now, and did not before: another machine has sent it meanwhile.
                    Outcome::Done | Outcome::There => {
                        self.learn(&key, &print, &record)?;
                        out.results += 1;
                    }
                    other => drop(out.failed.insert(node, told(&other))),
                }
            }
        }
        Ok(out)
    }

    /// Sends objects. Returns those that could not be sent, and why.
    fn send(
        &mut self,
        objects: &HashMap<Digest, Stored>,
        scratch: &Scratch,
        again: bool,
        moved: &mut dyn FnMut(u64),
    ) -> Result<HashMap<Digest, String>> {
        let mut wrong = HashMap::new();
        let mut blobs: HashMap<Digest, PathBuf> = HashMap::new();
        let mut packed: Vec<PathBuf> = Vec::new();
        let mut lists: Vec<(&Stored, Listing, String)> = Vec::new();
        let folders: Vec<&Stored> = objects.values().filter(|s| s.folder).collect();
        let there = self.lists(&folders)?;
        self.still_up()?;
        for (stored, answered) in there {
            let known = answered.is_ok();
            if known && !again {
                moved(stored.bytes);
                continue;
            }
            match pack(self.cache, stored, scratch)? {
                Some(Packed { list, packs, large }) => {
                    let text = list.text().map_err(|e| Fault::machine(e.to_string()))?;
                    if text.len() as u64 > MOST_TEXT {
                        packed.extend(packs.into_values());
                        wrong.insert(stored.digest, too_large("the list of its files"));
                        continue;
                    }
                    packed.extend(packs.values().cloned());
                    blobs.extend(packs);
                    blobs.extend(large);
                    lists.push((stored, list, text));
                }
                None => drop(wrong.insert(stored.digest, DAMAGED_HERE.to_owned())),
            }
        }
        for stored in objects.values().filter(|s| !s.folder) {
            blobs.insert(stored.digest, self.cache.object(&stored.digest));
        }
        let (digests, jobs): (Vec<Digest>, Vec<Job>) = blobs
            .iter()
            .map(|(digest, from)| {
                let (name, from) = (layout::blob(digest), from.clone());
                (*digest, Job::Send { name, digest: *digest, from, over: again })
            })
            .unzip();
        let outcomes = self.ask(jobs, moved)?;
        for path in packed {
            remove(&path);
        }
        let unsent: HashMap<Digest, String> = digests
            .into_iter()
            .zip(outcomes)
            .filter(|(_, outcome)| !matches!(outcome, Outcome::Done | Outcome::There))
            .map(|(digest, outcome)| (digest, told(&outcome)))
            .collect();
        for stored in objects.values() {
            if let Some(why) = unsent.get(&stored.digest) {
                wrong.insert(stored.digest, why.clone());
            }
        }
        let (mut jobs, mut of) = (Vec::new(), Vec::new());
        for (stored, list, text) in lists {
            if let Some(why) = list.blobs().find_map(|(digest, _)| unsent.get(&digest)) {
                wrong.insert(stored.digest, why.clone());
                continue;
            }
            // What was there under this name was not a list of this folder.
            jobs.push(Job::Write { name: layout::folder(&stored.digest), text, over: true });
            of.push(stored.digest);
        }
        for (digest, outcome) in of.into_iter().zip(self.ask(jobs, &mut |_| {})?) {
            if !matches!(outcome, Outcome::Done | Outcome::There) {
                wrong.insert(digest, told(&outcome));
            }
        }
        Ok(wrong)
    }
}

fn too_large(what: &str) -> String {
    format!("{what} has more than {}, and a store takes no larger one", crate::show::bytes(MOST_TEXT))
}
