//! The cache: objects (bytes, named by their digest) and records (key -> outputs).
//!
//! ```text
//! objects/ab/cdef..   a file or a folder, never changed once it is there
//! records             journal: key -> outputs, fingerprint, provenance
//! memo/<manifest>     journal: file -> what the file system says of it, digest
//! locks               an empty file; a lock on one byte of it is the lock of a key
//! scratch/<run>/      where running nodes write; gone when the run is
//! remote/<store>      journal: what a store elsewhere is known to hold
//! runs/<run>/         events and logs of a run
//! damaged/            objects whose bytes are not what their name says
//! trash/              what is being removed
//! runs.sqlite         the run database
//! runs.quiet          runs with nothing to do, until the database is opened for something else
//! ```
//!
//! A result is written in `scratch`, hashed, renamed into `objects`, and only then recorded: at any instant the
//! cache is whole. After the machine itself stopped, results that may not have reached the disk are hashed again
//! before anything else happens.

mod collect;
mod folder;
mod inspect;
mod journal;
mod locks;
mod memo;
mod mirror;
mod objects;
mod placed;
mod records;
mod scratch;

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;

pub use collect::Collected;
pub use folder::{PARTS, claim, remove_all};
pub use inspect::{Damage, Stats};
pub use memo::too_young;
pub use mirror::Mirror;
pub use objects::{Copied, Hashed, Look, Refused, Seen};
pub use placed::{PLACING, Placed};
pub use records::{Made, Mark as RecordsMark, Record, Stored};
pub use scratch::{Room, Scratch, is_in_use};

use crate::digest::Digest;
use crate::fault::{At, Fault, Result};
use crate::fingerprint::Key;
use memo::Memo;
use records::Records;

/// An opened cache.
pub struct Cache {
    root: PathBuf,
    records: Mutex<Records>,
    memo: Mutex<Memo>,
    boot: String,
}

/// The lock of a key: who has it may compute the result.
pub struct KeyLock(#[allow(dead_code, reason = "held for its drop")] locks::Held);

/// Keeps collections away while it lives.
pub struct NoCollection(#[allow(dead_code, reason = "held for its drop")] locks::Held);

impl Cache {
    /// Opens a cache, making it if there is none. `manifest` chooses the memo.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn open(root: &Path, manifest: &Path) -> Result<Self> {
        folder::claim(root)?;
        for part in ["objects", "memo", "scratch", "runs"] {
            let path = root.join(part);
            std::fs::create_dir_all(&path).at("create", &path)?;
        }
        let root = root.canonicalize().at("open", root)?;
        let boot = boot();
        let path = root.join("records");
        let records = Records::open(&path).at("open", &path)?;
        let name = Digest::derive("lfs-pipe 2026 memo", manifest.as_os_str().as_encoded_bytes());
        let path = root.join("memo").join(&name.to_string()[..16]);
        let memo = Memo::at(path);
        let cache = Self { root, records: Mutex::new(records), memo: Mutex::new(memo), boot };
        cache.recover()?;
        Ok(cache)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// After the machine stopped without warning: results whose bytes did not reach the disk are withdrawn.
    fn recover(&self) -> Result<()> {
        if self.records().is_settled(&self.boot).at("read", &self.root.join("records"))? {
            return Ok(());
        }
        let unsynced = self.records().unsynced(&self.boot);
        if unsynced.is_empty() {
            return Ok(());
        }
        tracing::info!(
            results = unsynced.len(),
            "the machine was restarted: looking at results written shortly before"
        );
        for key in unsynced {
            let Some(record) = self.record(&key) else { continue };
            let whole = self.has_all(&record, Look::AtBytes)?;
            match self.is_spent(&key) {
                // Of these the note is enough; what is there of the rest is whole, or is not there.
                true if !whole => {
                    for stored in record.outputs.values() {
                        self.set_aside(&stored.digest)?;
                    }
                }
                false if !whole => self.withdraw(&key)?,
                _ => {}
            }
        }
        self.make_durable()
    }

    /// Whether all objects of a record are there and whole.
    ///
    /// # Errors
    /// As [`Cache::verify`].
    pub fn has_all(&self, record: &Record, how: Look) -> Result<bool> {
        for stored in record.outputs.values() {
            if !self.verify(stored, how)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the records, if they were not read yet: whoever asks for one next need not wait for it.
    pub fn read_records(&self) {
        self.records().load();
    }

    /// How far the records go now.
    pub fn records_mark(&self) -> RecordsMark {
        self.records().mark()
    }

    /// Whether every result that was known at a mark is still known.
    pub fn nothing_withdrawn_since(&self, mark: &RecordsMark) -> bool {
        self.records().nothing_withdrawn_since(mark)
    }

    /// The record of a key.
    pub fn record(&self, key: &Key) -> Option<Record> {
        self.records().get(key)
    }

    /// The record of a key, looking also at what other processes have written meanwhile.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn record_now(&self, key: &Key) -> Result<Option<Record>> {
        let mut records = self.records();
        records.refresh().at("read", &self.root.join("records"))?;
        Ok(records.get(key))
    }

    /// The fingerprint that was written beside a record.
    pub fn fingerprint<T: serde::de::DeserializeOwned>(&self, key: &Key) -> Option<T> {
        let mut records = self.records();
        serde_json::from_str(&records.fingerprint(key)?).ok()
    }

    /// The digests of all outputs of results.
    pub fn given(&self) -> HashSet<Digest> {
        let all = self.all_records().unwrap_or_default().into_iter();
        all.filter(|(_, step, _)| !step)
            .flat_map(|(_, _, r)| r.outputs.into_values().map(|s| s.digest))
            .collect()
    }

    /// The keys of all nodes' results, latest first.
    pub fn node_keys(&self) -> Vec<Key> {
        self.records().node_keys().copied().collect()
    }

    /// Records a node's result.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_node<F: Serialize>(&self, key: &Key, fingerprint: &F, record: &Record) -> Result<()> {
        self.records().put(false, key, fingerprint, record).at("write", &self.root.join("records"))
    }

    /// Records a step's result.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_step<F: Serialize>(&self, key: &Key, fingerprint: &F, record: &Record) -> Result<()> {
        self.records().put(true, key, fingerprint, record).at("write", &self.root.join("records"))
    }

    /// Forgets a result whose object is damaged or gone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn withdraw(&self, key: &Key) -> Result<()> {
        self.records().withdraw(key).at("write", &self.root.join("records"))
    }

    /// Waits until every object and record so far is on the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn make_durable(&self) -> Result<()> {
        // What is written while the disk is waited for may miss it.
        let upto = self.records().mark();
        let folder = File::open(&self.root).at("open", &self.root)?;
        rustix::fs::syncfs(&folder).map_err(std::io::Error::from).at("sync", &self.root)?;
        // A collection may have put shorter records in their place.
        if !self.records().mark().is_of_the_file_of(&upto) {
            return self.end_run();
        }
        self.records().durable(&upto, &self.boot).at("write", &self.root.join("records"))
    }

    /// Notes that a run relies on results that it found: they are not collected while it runs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn pin(&self, run: &str, keys: &[Key]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        // Where nothing can be written, nothing can be collected.
        let Some(_no_collection) = self.no_collection()? else { return Ok(()) };
        self.records().used(run, keys, &self.boot).at("write", &self.root.join("records"))
    }

    /// Notes that results were fetched: the next collection leaves them, although no run has used them yet.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn fetched(&self, keys: &[Key]) -> Result<()> {
        match keys.is_empty() {
            true => Ok(()),
            false => self
                .records()
                .used(records::FETCHED, keys, &self.boot)
                .at("write", &self.root.join("records")),
        }
    }

    /// Notes that only the notes of these steps are needed any more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn spend(&self, keys: &[Key]) -> Result<()> {
        self.records().spend(keys, &self.boot).at("write", &self.root.join("records"))
    }

    /// Whether only the note of a step is needed any more.
    pub fn is_spent(&self, key: &Key) -> bool {
        self.records().is_spent(key)
    }

    /// While this is held, nothing is collected. From storing an object until a record names it, it must be.
    ///
    /// # Errors
    /// When locks cannot be had.
    pub fn no_collection(&self) -> Result<Option<NoCollection>> {
        let (path, file) = self.collecting_file();
        match file {
            Ok(file) => Ok(Some(NoCollection(locks::shared_file(file).at("lock", &path)?))),
            // Where nothing can be written, nothing can be collected.
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Ok(None)
            }
            Err(e) => Err(e).at("open", &path),
        }
    }

    /// Says that a run ended; the next one of this start of the machine need not look at its results.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_run(&self) -> Result<()> {
        self.records().ended(&self.boot).at("write", &self.root.join("records"))
    }

    /// Writes what the memo has learnt.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush_memo(&self) -> Result<()> {
        self.memo().flush().at("write", &self.root.join("memo"))
    }

    /// Takes the lock of a key, waiting for whoever has it. `give_up` is asked now and then; `waiting` is called
    /// once, when there is a wait.
    ///
    /// # Errors
    /// When locks cannot be had, or the wait was given up.
    pub fn lock(&self, key: &Key, give_up: &dyn Fn() -> bool, waiting: &dyn Fn()) -> Result<KeyLock> {
        let path = self.root.join("locks");
        let mut said = false;
        loop {
            if let Some(held) = locks::try_key(&path, key).at("lock", &path)? {
                return Ok(KeyLock(held));
            }
            if give_up() {
                return Err(Fault::Interrupted);
            }
            if !std::mem::replace(&mut said, true) {
                waiting();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock()
    }

    fn memo(&self) -> MutexGuard<'_, Memo> {
        self.memo.lock()
    }
}

/// The number of this start of the machine.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Removes a file or folder; what cannot be removed now is removed by a later run.
pub fn remove(path: &Path) {
    let result = match path.symlink_metadata() {
        Ok(m) if m.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => return,
    };
    if let Err(e) = result {
        tracing::debug!(path = %path.display(), "cannot remove: {e}");
    }
}
