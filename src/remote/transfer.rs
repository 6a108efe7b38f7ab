//! Looking, sending, fetching: whole results between a cache and a store.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::value::RawValue;

use super::helper::Helper;
use super::layout::{self, FULL, Listed, Listing, Pack, SMALL};
use super::protocol::{Job, Outcome};
use crate::cache::{Cache, Look, Mirror, Record, Scratch, Stored, remove};
use crate::digest::{Digest, FileHash, hash_file};
use crate::fault::{At, Fault, Result};
use crate::fingerprint::Key;

/// So many bytes are under way before their results are put in place.
const BATCH: u64 = 512 << 20;

/// A result by its node's name and its key.
pub type Wanted = (String, Key);

/// A store, looked at from a cache.
pub struct Remote<'a> {
    cache: &'a Cache,
    helper: Helper,
    mirror: Mirror,
    url: String,
}

/// What was moved.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moved {
    /// Results that were brought to the other side.
    pub results: usize,
    /// Results that were there before.
    pub there: usize,
    /// The bytes of what they consist of.
    pub bytes: u64,
    /// Nodes whose result is there with other bytes: it does not come out the same every time.
    pub different: Vec<String>,
    /// Nodes whose result could not be moved, and why.
    pub failed: BTreeMap<String, String>,
}

impl<'a> Remote<'a> {
    /// The store of an address.
    ///
    /// # Errors
    /// When there can be no such store.
    pub fn open(url: &str, cache: &'a Cache) -> Result<Self> {
        Ok(Self { cache, helper: Helper::start(url)?, mirror: cache.mirror(url)?, url: url.to_owned() })
    }

    /// What is known of it.
    pub fn mirror(&mut self) -> &mut Mirror {
        &mut self.mirror
    }

    /// Asks which of these results it holds; what is learnt is remembered. Gives how many it holds.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn look(&mut self, keys: &[Key]) -> Result<usize> {
        let jobs = keys.iter().map(|k| Job::Read { name: layout::record(k) }).collect();
        let outcomes = self.ask(jobs, &mut |_| {})?;
        self.some_right(&outcomes)?;
        let mut found = 0;
        for (key, outcome) in keys.iter().zip(outcomes) {
            match outcome {
                Outcome::Text(text) => match layout::read_record(key, &text) {
                    Some((print, record)) => {
                        found += 1;
                        self.learn(key, &print, &record)?;
                    }
                    // Whoever sends the result next writes over it.
                    None => self.mirror.forget(key)?,
                },
                _ => self.mirror.forget(key)?,
            }
        }
        Ok(found)
    }

    /// Remembers that it holds a result.
    fn learn(&mut self, key: &Key, print: &RawValue, record: &Record) -> Result<()> {
        match self.mirror.record(key).as_ref() == Some(record) {
            true => Ok(()),
            false => self.mirror.put(key, print, record),
        }
    }

    /// A store that refuses every question is none to go on with.
    fn some_right(&self, outcomes: &[Outcome]) -> Result<()> {
        let refusal = |o: &Outcome| if let Outcome::Refused(why) = o { Some(why.clone()) } else { None };
        let all: Option<Vec<String>> = outcomes.iter().map(refusal).collect();
        match all.as_deref() {
            Some([why, ..]) => Err(self.fault(why).with_help(
                "the key must have the rights to read, to write and to list (s3:GetObject, s3:PutObject, s3:ListBucket)",
            )),
            _ => Ok(()),
        }
    }

    fn fault(&self, why: &str) -> Fault {
        Fault::machine(format!("the remote store `{}` failed: {why}", self.url))
    }

    /// Brings these results, which it is known to hold, into the cache.
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
                bytes += record.outputs.values().map(|s| s.bytes).sum::<u64>();
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
        }
        self.cache.make_durable()?;
        self.cache.flush_memo()?;
        Ok(out)
    }

    /// Brings objects into the cache. Gives those that could not be had, and why.
    fn bring(
        &mut self,
        objects: &HashMap<Digest, Stored>,
        scratch: &Scratch,
        moved: &mut dyn FnMut(u64),
    ) -> Result<HashMap<Digest, String>> {
        let mut wrong = HashMap::new();
        let folders: Vec<&Stored> = objects.values().filter(|s| s.folder).collect();
        let jobs = folders.iter().map(|s| Job::Read { name: layout::folder(&s.digest) }).collect();
        let outcomes = self.ask(jobs, &mut |_| {})?;
        let mut lists: Vec<(&Stored, Listing)> = Vec::new();
        for (stored, outcome) in folders.into_iter().zip(outcomes) {
            let read = match &outcome {
                Outcome::Text(text) => Listing::read(stored, text).ok_or(Outcome::Damaged),
                other => Err(other.clone()),
            };
            match read {
                Ok(list) => lists.push((stored, list)),
                Err(outcome) => drop(wrong.insert(stored.digest, complaint(&outcome))),
            }
        }
        let mut blobs: HashSet<Digest> = objects.values().filter(|s| !s.folder).map(|s| s.digest).collect();
        for (_, list) in &lists {
            blobs.extend(list.large().map(|f| f.digest));
            blobs.extend(list.packs.iter().map(|p| p.digest));
        }
        let places: HashMap<Digest, PathBuf> = blobs.into_iter().map(|d| (d, scratch.path())).collect();
        let (digests, jobs): (Vec<Digest>, Vec<Job>) = places
            .iter()
            .map(|(digest, to)| {
                (*digest, Job::Fetch { name: layout::blob(digest), digest: *digest, to: to.clone() })
            })
            .unzip();
        let outcomes = self.ask(jobs, moved)?;
        // A disk that is full is full for all.
        if let Some(Outcome::Here(why)) = outcomes.iter().find(|o| matches!(o, Outcome::Here(_))) {
            return Err(Fault::machine(why.clone()).with_help("what has arrived before is kept"));
        }
        let missing: HashMap<Digest, String> = digests
            .into_iter()
            .zip(outcomes)
            .filter(|(_, outcome)| *outcome != Outcome::Done)
            .map(|(digest, outcome)| (digest, complaint(&outcome)))
            .collect();
        for (stored, list) in lists {
            let parts = list.large().map(|f| &f.digest).chain(list.packs.iter().map(|p| &p.digest));
            if let Some(why) = parts.filter_map(|d| missing.get(d)).next() {
                wrong.insert(stored.digest, why.clone());
                continue;
            }
            let folder = scratch.folder()?;
            unpack(&list, &folder, &places)?;
            self.keep(stored, &folder, &mut wrong)?;
        }
        // These move away: a folder may have held one of them too.
        for stored in objects.values().filter(|s| !s.folder) {
            match (missing.get(&stored.digest), places.get(&stored.digest)) {
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

    /// Puts what arrived into the cache, if it is what it should be.
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

    /// Brings these results, which the cache must have, into the store. `again`: also over what is there.
    ///
    /// # Errors
    /// When it does not answer, or the cache cannot be read. What has been sent is kept.
    pub fn push(&mut self, wanted: &[Wanted], again: bool, moved: &mut dyn FnMut(u64)) -> Result<Moved> {
        let scratch = self.scratch()?;
        let cache = self.cache;
        // Nothing that is being sent may be collected.
        let _no_collection = cache.no_collection()?;
        let mut out = Moved::default();
        let jobs = wanted.iter().map(|(_, key)| Job::Read { name: layout::record(key) }).collect();
        let outcomes = self.ask(jobs, &mut |_| {})?;
        self.some_right(&outcomes)?;
        let mut to_send = Vec::new();
        for ((node, key), outcome) in wanted.iter().zip(outcomes) {
            let Some(record) = self.cache.record(key) else { continue };
            let there = match &outcome {
                Outcome::Text(text) => layout::read_record(key, text),
                _ => None,
            };
            if let Some((print, there)) = &there {
                if layout::outputs(there) != layout::outputs(&record) {
                    out.different.push(node.clone());
                }
                if !again {
                    out.there += 1;
                    self.learn(key, print, there)?;
                    continue;
                }
            }
            // A text that is no record of this key is written over.
            let over = again || outcome != Outcome::Missing;
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
            let jobs: Result<Vec<Job>> = records
                .iter()
                .map(|(_, key, print, record, over)| {
                    let text = layout::record_text(print.clone(), record);
                    let text = text.map_err(|e| Fault::machine(e.to_string()))?;
                    Ok(Job::Write { name: layout::record(key), text, over: *over })
                })
                .collect();
            let outcomes = self.ask(jobs?, &mut |_| {})?;
            for ((node, key, print, record, _), outcome) in records.into_iter().zip(outcomes) {
                match outcome {
                    // There now, and not before: somebody else sent it meanwhile.
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

    /// Sends objects. Gives those that could not be sent, and why.
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
        let mut lists: Vec<(&Stored, Listing)> = Vec::new();
        let folders: Vec<&Stored> = objects.values().filter(|s| s.folder).collect();
        let jobs = folders.iter().map(|s| Job::Read { name: layout::folder(&s.digest) }).collect();
        let there = self.ask(jobs, &mut |_| {})?;
        for (stored, outcome) in folders.into_iter().zip(there) {
            let known = matches!(&outcome, Outcome::Text(text) if Listing::read(stored, text).is_some());
            if known && !again {
                moved(stored.bytes);
                continue;
            }
            match pack(self.cache, stored, scratch)? {
                Some(Packed { list, packs, large }) => {
                    packed.extend(packs.values().cloned());
                    blobs.extend(packs);
                    blobs.extend(large);
                    lists.push((stored, list));
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
        for (stored, list) in lists {
            let mut parts = list.large().map(|f| f.digest).chain(list.packs.iter().map(|p| p.digest));
            if let Some(why) = parts.find_map(|d| unsent.get(&d)) {
                wrong.insert(stored.digest, why.clone());
                continue;
            }
            let text = list.text().map_err(|e| Fault::machine(e.to_string()))?;
            // What was there in its place was no list of this folder.
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

    /// Has jobs done. A store that does not answer ends all.
    fn ask(&mut self, jobs: Vec<Job>, moved: &mut dyn FnMut(u64)) -> Result<Vec<Outcome>> {
        if jobs.is_empty() {
            return Ok(vec![]);
        }
        let outcomes = self.helper.ask(jobs, moved)?;
        let failed = outcomes.iter().find_map(|o| match o {
            Outcome::Failed(why) => Some(why),
            _ => None,
        });
        match failed {
            None => Ok(outcomes),
            Some(why) => Err(self.fault(why)
                .with_help("nothing local depends on it; when it answers again, repeat the command: what has been moved is kept")),
        }
    }

    fn scratch(&self) -> Result<Scratch> {
        // Two machines may share a cache, and their numbers of processes may be the same.
        let now = jiff::Timestamp::now().as_nanosecond();
        self.cache.scratch(&format!("remote-{now}-{}", std::process::id()))
    }
}

const DAMAGED_HERE: &str =
    "the bytes here are not what they were: `lfs-pipe cache verify --repair`, and run again";

fn complaint(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Missing => "a part of it is gone from the store".to_owned(),
        Outcome::Refused(why) => format!("the store does not give a part of it: {why}"),
        _ => "a part of it in the store is damaged".to_owned(),
    }
}

/// Why something could not be sent.
fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Here(why) | Outcome::Refused(why) | Outcome::Failed(why) => why.clone(),
        _ => DAMAGED_HERE.to_owned(),
    }
}

/// A folder, ready for the road.
struct Packed {
    list: Listing,
    /// Packs, and where they lie.
    packs: HashMap<Digest, PathBuf>,
    /// Large files, and where they lie.
    large: HashMap<Digest, PathBuf>,
}

/// Packs a folder of the cache. `None` when its bytes are not what they were.
fn pack(cache: &Cache, stored: &Stored, scratch: &Scratch) -> Result<Option<Packed>> {
    let folder = cache.object(&stored.digest);
    let Ok(leaves) = crate::digest::leaves(&folder) else { return Ok(None) };
    let (mut list, mut packs, mut large) =
        (Listing { files: vec![], folders: vec![], packs: vec![] }, HashMap::new(), HashMap::new());
    let mut open: Option<Packing> = None;
    for leaf in leaves {
        if !leaf.is_file() {
            list.folders.push(leaf.name);
            continue;
        }
        let bytes = leaf.stat.size;
        let digest = if bytes < SMALL {
            let mut content = Vec::with_capacity(bytes as usize);
            if File::open(&leaf.path).and_then(|mut f| f.read_to_end(&mut content)).is_err() {
                return Ok(None);
            }
            if open.as_ref().is_none_or(|p| p.bytes >= FULL) {
                close(open.take(), &mut list, &mut packs)?;
            }
            let packing = match &mut open {
                Some(packing) => packing,
                none => none.insert(Packing::new(scratch.path())?),
            };
            packing.add(&content)?;
            Digest(*blake3::hash(&content).as_bytes())
        } else {
            let Ok(FileHash { digest, .. }) = hash_file(&leaf.path, bytes) else { return Ok(None) };
            large.insert(digest, leaf.path.clone());
            digest
        };
        list.files.push(Listed { name: leaf.name, digest, bytes, executable: leaf.stat.executable });
    }
    close(open, &mut list, &mut packs)?;
    let text = list.text().map_err(|e| Fault::machine(e.to_string()))?;
    Ok(Listing::read(stored, &text).map(|list| Packed { list, packs, large }))
}

/// A pack that is being written.
struct Packing {
    path: PathBuf,
    file: std::io::BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
    files: usize,
}

impl Packing {
    fn new(path: PathBuf) -> Result<Self> {
        let file = File::create_new(&path).at("create", &path)?;
        let file = std::io::BufWriter::with_capacity(1 << 20, file);
        Ok(Self { path, file, hasher: blake3::Hasher::new(), bytes: 0, files: 0 })
    }

    fn add(&mut self, content: &[u8]) -> Result<()> {
        self.hasher.update(content);
        self.file.write_all(content).at("write", &self.path)?;
        self.bytes += content.len() as u64;
        self.files += 1;
        Ok(())
    }
}

fn close(packing: Option<Packing>, list: &mut Listing, packs: &mut HashMap<Digest, PathBuf>) -> Result<()> {
    let Some(mut packing) = packing else { return Ok(()) };
    packing.file.flush().at("write", &packing.path)?;
    let digest = Digest(*packing.hasher.finalize().as_bytes());
    list.packs.push(Pack { digest, files: packing.files });
    packs.insert(digest, packing.path);
    Ok(())
}

/// Makes a folder of what arrived.
fn unpack(list: &Listing, folder: &Path, places: &HashMap<Digest, PathBuf>) -> Result<()> {
    let mut packs = list.packs.iter();
    let mut open: Option<(usize, File)> = None;
    for name in &list.folders {
        let empty = folder.join(name);
        std::fs::create_dir_all(&empty).at("create", &empty)?;
    }
    for file in &list.files {
        let to = folder.join(&file.name);
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).at("create", parent)?;
        }
        if file.bytes < SMALL {
            while open.as_ref().is_none_or(|(left, _)| *left == 0) {
                let Some(pack) = packs.next() else { return Ok(()) };
                let Some(place) = places.get(&pack.digest) else { return Ok(()) };
                open = Some((pack.files, File::open(place).at("read", place)?));
            }
            let Some((left, from)) = &mut open else { return Ok(()) };
            *left -= 1;
            // Too few bytes make another folder than was asked for, which is noticed.
            let mut content = Vec::with_capacity(file.bytes as usize);
            from.take(file.bytes).read_to_end(&mut content).at("read", &to)?;
            std::fs::write(&to, content).at("write", &to)?;
        } else if let Some(place) = places.get(&file.digest) {
            // Copied, since another folder may hold it too.
            reflink_copy::reflink_or_copy(place, &to).at("write", &to)?;
        }
        if file.executable {
            std::fs::set_permissions(&to, PermissionsExt::from_mode(0o755)).at("protect", &to)?;
        }
    }
    Ok(())
}
