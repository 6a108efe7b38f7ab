//! The cache: objects (bytes, named by their digest) and records (key -> outputs).
//!
//! ```text
//! objects/ab/cdef..   a file or a folder, never changed once it is there
//! records             journal: key -> outputs, fingerprint, provenance
//! memo/<manifest>     journal: file -> what `stat` reports of it, digest
//! locks               an empty file; a lock on one byte of it is the lock of a key
//! scratch/<run>/      where running nodes write; removed when the run ends
//! remote/<store>      journal: what a remote store is known to hold
//! runs/<run>/         events and logs of a run
//! damaged/            corrupt objects that were set aside
//! trash/              what is being removed
//! runs.sqlite         the run database
//! runs.quiet          no-op runs, until the database is opened for something else
//! ```
//!
//! A result is written in `scratch`, hashed, renamed into `objects`, and only then recorded: at any instant the
//! cache is consistent. After the machine itself stopped, results that may not have reached the disk are hashed again
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
use crate::key::Key;
use memo::Memo;
use records::Records;

/// An opened cache.
pub struct Cache {
    root: PathBuf,
    records: Mutex<Records>,
    memo: Mutex<Memo>,
    setting_aside: Mutex<()>,
    boot: String,
}

/// The lock of a key: the process that holds it may compute the result.
pub struct KeyLock(#[allow(dead_code, reason = "held for its drop")] locks::Held);

/// Prevents garbage collection while it lives.
pub struct NoCollection(#[allow(dead_code, reason = "held for its drop")] locks::Held);

impl Cache {
    /// Opens a cache, creating it if there is none. `manifest` chooses the memo.
    ///
    /// # Errors
    /// When it cannot be created or read.
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
        let cache = Self {
            root,
            records: Mutex::new(records),
            memo: Mutex::new(memo),
            setting_aside: Mutex::new(()),
            boot,
        };
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
            "the machine was restarted: verifying results written shortly before"
        );
        for key in unsynced {
            let Some(record) = self.record(&key) else { continue };
            let whole = self.has_all(&record, Look::AtBytes)?;
            match self.is_spent(&key) {
                // Only the note of a superseded step is needed; what is corrupt of its objects is set aside.
                true if !whole => {
                    for stored in record.outputs.values() {
                        self.set_aside(stored)?;
                    }
                }
                false if !whole => self.withdraw(&key)?,
                _ => {}
            }
        }
        self.make_durable()
    }

    /// Whether all objects of a record are present and intact.
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

    /// Reads the records, if they have not been read yet, so that the next lookup need not wait for it.
    pub fn read_records(&self) {
        self.records().load();
    }

    /// The current end of the records.
    pub fn records_mark(&self) -> RecordsMark {
        self.records().mark()
    }

    /// Whether no result has been withdrawn since a mark.
    pub fn nothing_withdrawn_since(&self, mark: &RecordsMark) -> bool {
        self.records().nothing_withdrawn_since(mark)
    }

    /// The record of a key.
    pub fn record(&self, key: &Key) -> Option<Record> {
        self.records().get(key)
    }

    /// The record of a key, including what other processes have written meanwhile.
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

    /// The digests of all outputs of nodes.
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
        // What is written during the sync may not be included in it.
        let upto = self.records().mark();
        let folder = File::open(&self.root).at("open", &self.root)?;
        rustix::fs::syncfs(&folder).map_err(std::io::Error::from).at("sync", &self.root)?;
        // A collection may have replaced the records with a shorter file.
        if !self.records().mark().is_of_the_file_of(&upto) {
            return self.end_run();
        }
        self.records().durable(&upto, &self.boot).at("write", &self.root.join("records"))
    }

    /// Pins the results that a run relies on: they are not collected while it runs.
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

    /// Notes that these steps are superseded: only their notes are needed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn spend(&self, keys: &[Key]) -> Result<()> {
        self.records().spend(keys, &self.boot).at("write", &self.root.join("records"))
    }

    /// Whether a step is superseded, so that only its note is needed.
    pub fn is_spent(&self, key: &Key) -> bool {
        self.records().is_spent(key)
    }

    /// While this is held, nothing is collected. It must be held from storing an object until a record names it.
    ///
    /// # Errors
    /// When locks cannot be created.
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

    /// Records that a run ended; until the machine is restarted, the next run need not check its results.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_run(&self) -> Result<()> {
        self.records().ended(&self.boot).at("write", &self.root.join("records"))
    }

    /// Writes the new entries of the memo.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush_memo(&self) -> Result<()> {
        self.memo().flush().at("write", &self.root.join("memo"))
    }

    /// Takes the lock of a key, waiting for the process that holds it. `give_up` is asked now and then; `waiting` is called
    /// once, when there is a wait.
    ///
    /// # Errors
    /// When locks cannot be created, or the wait was given up.
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

/// The identifier of this boot of the machine.
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
