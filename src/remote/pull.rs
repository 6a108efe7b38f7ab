//! Fetching results from a store into a cache.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::layout::{self, Listing};
use super::pack::{Places, unpack};
use super::transfer::{BATCH, Moved, Remote, Wanted};
use crate::cache::{Look, Scratch, Stored, remove};
use crate::digest::Digest;
use crate::fault::{At, Fault, Result};
use crate::show::bytes;
use lfs_core::messages::{Job, Outcome};

impl Remote<'_> {
    /// Fetches these results, which the store is known to hold, into the cache.
    ///
    /// # Errors
    /// When it does not answer, or the cache cannot be written. What has arrived is kept.
    pub fn pull(&mut self, wanted: &[Wanted], moved: &mut dyn FnMut(u64)) -> Result<Moved> {
        let scratch = self.scratch()?;
        // Nothing that arrives may be collected before its record is written.
        let _no_collection = self.cache.no_collection()?;
        let mut out = Moved::default();
        let mut open = wanted.to_vec();
        open.reverse();
        while !open.is_empty() {
            let mut batch = Vec::new();
            let mut bytes = 0;
            while bytes < BATCH
                && let Some((node, key)) = open.pop()
            {
                let Some((print, record)) = self.mirror.with_fingerprint(&key) else {
                    out.failed.insert(node, "it is not there".to_owned());
                    continue;
                };
                bytes = record.outputs.values().fold(bytes, |sum, s| sum.saturating_add(s.bytes));
                batch.push((node, key, print, record));
            }
            let mut objects: HashMap<Digest, Stored> = HashMap::new();
            for stored in batch.iter().flat_map(|(_, _, _, record)| record.outputs.values()) {
                if !objects.contains_key(&stored.digest) && !self.cache.verify(stored, Look::AtStat)? {
                    objects.insert(stored.digest, stored.clone());
                }
            }
            let wrong = self.bring(&objects, &scratch, moved)?;
            let mut fetched = Vec::with_capacity(batch.len());
            for (node, key, print, record) in batch {
                if let Some(why) = record.outputs.values().find_map(|s| wrong.get(&s.digest)) {
                    self.mirror.forget(&key)?;
                    out.failed.insert(node, why.clone());
                    continue;
                }
                self.cache.put_node(&key, &print, &record)?;
                fetched.push(key);
            }
            self.cache.fetched(&fetched)?;
            out.results += fetched.len();
            let arrived = objects.values().filter(|s| !wrong.contains_key(&s.digest));
            out.bytes += arrived.map(|s| s.bytes).sum::<u64>();
            if self.still_up().is_err() {
                break;
            }
        }
        self.cache.make_durable()?;
        self.cache.flush_memo()?;
        self.still_up()?;
        Ok(out)
    }

    /// Fetches objects into the cache. Returns those that could not be fetched, and why.
    fn bring(
        &mut self,
        objects: &HashMap<Digest, Stored>,
        scratch: &Scratch,
        moved: &mut dyn FnMut(u64),
    ) -> Result<HashMap<Digest, String>> {
        let free = free_space(self.cache.root());
        let (objects, too_large): (Vec<&Stored>, Vec<&Stored>) =
            objects.values().partition(|s| s.bytes <= free);
        let too_large = too_large
            .into_iter()
            .map(|s| (s.digest, format!("it has {}, and {} are free here", bytes(s.bytes), bytes(free))));
        let mut wrong: HashMap<Digest, String> = too_large.collect();
        let folders: Vec<&Stored> = objects.iter().copied().filter(|s| s.folder).collect();
        let mut lists: Vec<(&Stored, Listing)> = Vec::new();
        for (stored, answered) in self.lists(&folders)? {
            match answered {
                Ok(list) => lists.push((stored, list)),
                Err(outcome) => drop(wrong.insert(stored.digest, complaint(&outcome))),
            }
        }
        // Identified by size, too: a list that gives a blob a wrong size makes only its own folder fail.
        let mut blobs: HashSet<(Digest, u64)> =
            objects.iter().filter(|s| !s.folder).map(|s| (s.digest, s.bytes)).collect();
        blobs.extend(lists.iter().flat_map(|(_, list)| list.blobs()));
        let places: Places = blobs.into_iter().map(|blob| (blob, scratch.path())).collect();
        let (blobs, jobs): (Vec<(Digest, u64)>, Vec<Job>) = places
            .iter()
            .map(|(blob, to)| {
                let (digest, bytes) = *blob;
                (*blob, Job::Fetch { name: layout::blob(&digest), digest, bytes, to: to.clone() })
            })
            .unzip();
        let outcomes = self.ask_some(jobs, moved)?;
        // A full disk would fail every other object, too.
        if let Some(Outcome::Here(why)) = outcomes.iter().find(|o| matches!(o, Outcome::Here(_))) {
            return Err(Fault::machine(why.clone()).with_help("what has arrived before is kept"));
        }
        let missing: HashMap<(Digest, u64), String> = blobs
            .into_iter()
            .zip(outcomes)
            .filter(|(_, outcome)| *outcome != Outcome::Done)
            .map(|(blob, outcome)| (blob, complaint(&outcome)))
            .collect();
        for (stored, list) in lists {
            if let Some(why) = list.blobs().find_map(|blob| missing.get(&blob)) {
                wrong.insert(stored.digest, why.clone());
                continue;
            }
            let folder = scratch.folder()?;
            match unpack(&list, &folder, &places) {
                Ok(()) => self.keep(stored, &folder, &mut wrong)?,
                // A full disk would fail every other object, too; a file name that is not possible here concerns only this list.
                Err(e) if is_of_the_disk(e.kind()) => return Err(e).at("write", &folder),
                Err(e) => drop(wrong.insert(stored.digest, format!("its files cannot be written here: {e}"))),
            }
        }
        // These are moved, so they come last: a folder may have contained one of them, too.
        for stored in objects.iter().filter(|s| !s.folder) {
            let blob = (stored.digest, stored.bytes);
            match (missing.get(&blob), places.get(&blob)) {
                (None, Some(place)) => {
                    if stored.executable {
                        std::fs::set_permissions(place, PermissionsExt::from_mode(0o755))
                            .at("protect", place)?;
                    }
                    self.keep(stored, place, &mut wrong)?;
                }
                (why, _) => drop(wrong.insert(stored.digest, why.cloned().unwrap_or_default())),
            }
        }
        for place in places.values() {
            remove(place);
        }
        Ok(wrong)
    }

    /// Stores in the cache what was fetched, if it has the right digest.
    fn keep(&self, stored: &Stored, from: &Path, wrong: &mut HashMap<Digest, String>) -> Result<()> {
        use crate::cache::Refused;
        match self.cache.store(from) {
            Ok(now) if now.is_same_as(stored) => Ok(()),
            Err(Refused::Fault(fault)) => Err(fault),
            _ => {
                wrong.insert(stored.digest, complaint(&Outcome::Damaged));
                Ok(())
            }
        }
    }
}

/// How many bytes can be written there; no limit if that is unknown.
fn free_space(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn is_of_the_disk(kind: ErrorKind) -> bool {
    use ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied | FileTooLarge)
}

fn complaint(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Missing => "a part of it is missing in the store".to_owned(),
        Outcome::Refused(why) | Outcome::Broken(why) | Outcome::Failed(why) => {
            format!("the store does not give a part of it: {why}")
        }
        _ => "a part of it in the store is damaged".to_owned(),
    }
}
