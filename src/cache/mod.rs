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

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

pub use collect::Collected;
pub use folder::{PARTS, claim, remove_all};
pub use inspect::{Damage, Stats};
pub use memo::too_young;
pub use mirror::Mirror;
pub use objects::{Copied, Hashed, Look, Refused, Seen};
pub use placed::Placed;
pub use records::{Made, Mark as RecordsMark, Record, Stored};

use crate::digest::{Digest, Stat};
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

/// A folder for the running nodes of one run. Dropping it removes it; if the process dies, the next run does.
pub struct Scratch {
    path: PathBuf,
    next: std::sync::atomic::AtomicU64,
    /// Empty folders that were used and can be used again: making and removing one for each small node would
    /// cost more than the node.
    empty: Mutex<Vec<PathBuf>>,
    _alive: locks::Held,
}

/// A folder of [`Scratch`] for one try of a node; empty at first, and given back when dropped.
pub struct Room<'a> {
    scratch: &'a Scratch,
    path: PathBuf,
    spoilt: bool,
}

impl Room<'_> {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Somebody may still write in it: it is not used again.
    pub fn spoil(&mut self) {
        self.spoilt = true;
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let empty = std::fs::read_dir(&self.path).is_ok_and(|mut d| d.next().is_none());
        if empty && !self.spoilt {
            let path = std::mem::take(&mut self.path);
            self.scratch.empty.lock().unwrap_or_else(PoisonError::into_inner).push(path);
        } else {
            remove(&self.path);
        }
    }
}

impl Scratch {
    /// A new empty folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self) -> Result<PathBuf> {
        let path = self.path();
        std::fs::create_dir(&path).at("create", &path)?;
        Ok(path)
    }

    /// A new path at which nothing is.
    pub fn path(&self) -> PathBuf {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.path.join(number.to_string())
    }

    /// An empty folder for one try of a node.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn room(&self) -> Result<Room<'_>> {
        let used = self.empty.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let path = match used {
            Some(path) => path,
            None => self.folder()?,
        };
        Ok(Room { scratch: self, path, spoilt: false })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

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
        cache.settle_doubts()?;
        Ok(cache)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// After the machine stopped without warning: results whose bytes did not reach the disk are withdrawn.
    fn settle_doubts(&self) -> Result<()> {
        if self.records().is_settled(&self.boot).at("read", &self.root.join("records"))? {
            return Ok(());
        }
        let doubtful = self.records().doubtful(&self.boot);
        if doubtful.is_empty() {
            return Ok(());
        }
        tracing::info!(
            results = doubtful.len(),
            "the machine was restarted: looking at results written shortly before"
        );
        for key in doubtful {
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
        nix::unistd::syncfs(&folder).at("sync", &self.root)?;
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
    pub fn rely_on(&self, run: &str, keys: &[Key]) -> Result<()> {
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

    /// A scratch folder for this run. Those of runs that died are removed; what lies in them of a user's is put back first.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self, run: &str) -> Result<Scratch> {
        Scratch::new_with(&self.root.join("scratch"), run, &|dead| {
            for path in self.put_back(dead) {
                tracing::warn!("{} had been moved away by a run that died: it was put back", path.display());
            }
        })
    }

    /// Puts files back that lie in a folder of a node and were a user's when they were last looked at: a command moved them. Gives
    /// where they lie again.
    pub fn put_back(&self, room: &Path) -> Vec<PathBuf> {
        let files = walkdir::WalkDir::new(room).into_iter().flatten().filter(|e| e.file_type().is_file());
        let there: HashMap<u64, (PathBuf, Stat)> = files
            .filter_map(|e| Some((e.path().to_owned(), Stat::from(&e.metadata().ok()?))))
            .map(|(path, stat)| (stat.inode, (path, stat)))
            .collect();
        if there.is_empty() {
            return vec![];
        }
        let numbers = there.keys().copied().collect();
        let mut out = Vec::new();
        for (path, then) in self.memo().with_numbers(&numbers) {
            let Some((now, stat)) = there.get(&then.inode) else { continue };
            // Numbers come back: it is the same file if size and time are, too. One that is there has lost nothing.
            let is_it = (stat.size, stat.mtime) == (then.size, then.mtime);
            if !is_it || path.symlink_metadata().is_ok() || path.starts_with(&self.root) {
                continue;
            }
            let moved =
                path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| move_file(now, &path));
            match moved {
                Ok(()) => out.push(path),
                Err(e) => {
                    tracing::warn!("{} lies in {} and cannot be put back: {e}", path.display(), now.display())
                }
            }
        }
        out.sort();
        out
    }

    /// Keeps a node's folder for whoever wants to look at it. Gives where it lies.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn keep_aside(&self, room: &Path, node: &str) -> Result<PathBuf> {
        let folder = self.root.join("damaged");
        std::fs::create_dir_all(&folder).at("create", &folder)?;
        let name = Digest::derive("lfs-pipe 2026 kept aside", node.as_bytes()).short();
        let to = (0_u32..)
            .map(|n| folder.join(format!("{}{name}-{n}", folder::KEPT)))
            .find(|p| p.symlink_metadata().is_err());
        let to = to.unwrap_or_else(|| folder.join(folder::KEPT));
        std::fs::rename(room, &to).at("keep", room)?;
        Ok(to)
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memo(&self) -> MutexGuard<'_, Memo> {
        self.memo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scratch {
    /// A folder below `base` for a run. Those of runs that died are removed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(base: &Path, run: &str) -> Result<Self> {
        Self::new_with(base, run, &|_| {})
    }

    /// The same; `last_look` sees each folder that is about to be removed.
    fn new_with(base: &Path, run: &str, last_look: &dyn Fn(&Path)) -> Result<Self> {
        std::fs::create_dir_all(base).at("create", base)?;
        // A folder that is being made looks like one whose run died.
        let lock = base.join("lock");
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&lock);
        let file = file.at("create", &lock)?;
        let _making = locks::whole_file(&file).at("lock", &lock)?;
        for entry in std::fs::read_dir(base).at("list", base)?.flatten() {
            let alive = entry.path().join("alive");
            let dead = match File::options().read(true).write(true).open(&alive) {
                Ok(file) => matches!(locks::try_file(file), Ok(Some(_))),
                // Any other error leaves it to a later run.
                Err(e) => e.kind() == std::io::ErrorKind::NotFound && entry.path().is_dir(),
            };
            // What is called otherwise was made by no run.
            if dead && is_name_of_run(&entry.file_name().to_string_lossy()) {
                last_look(&entry.path());
                remove(&entry.path());
            }
        }
        let path = base.join(run);
        std::fs::create_dir(&path).at("create", &path)?;
        let alive = path.join("alive");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&alive)
            .at("create", &alive)?;
        let Some(held) = locks::try_file(file).at("lock", &alive)? else {
            return Err(Fault::machine(format!("{} is in use", alive.display())));
        };
        Ok(Scratch { path, next: 0.into(), empty: Mutex::default(), _alive: held })
    }
}

/// The number of this start of the machine.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Whether a folder below that of [`Scratch`] is called as runs are, or as transfers to and from a store.
fn is_name_of_run(name: &str) -> bool {
    let digits =
        |part: Option<&str>| part.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let mut parts = name.split(['-', '.']);
    match name.strip_prefix("remote-") {
        Some(rest) => rest.split('-').all(|part| digits(Some(part))),
        None => (0..3).all(|_| digits(parts.next())),
    }
}

/// Whether a run goes on that has a folder below `base`.
pub fn is_in_use(base: &Path) -> bool {
    let alive = |folder: std::fs::DirEntry| {
        let file = File::options().read(true).write(true).open(folder.path().join("alive"));
        file.is_ok_and(|file| locks::is_held(&file))
    };
    std::fs::read_dir(base).into_iter().flatten().flatten().any(alive)
}

/// Moves a file, also to another file system.
fn move_file(from: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::rename(from, to) {
        Err(e) if e.kind() == std::io::ErrorKind::CrossesDevices => {
            std::fs::copy(from, to)?;
            std::fs::remove_file(from)
        }
        other => other,
    }
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
