//! Folders for running nodes, and files of others that a node left in one.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::folder::{self, is_name_of_run};
use super::{Cache, locks, remove};
use crate::digest::{Digest, Stat};
use crate::fault::{At, Fault, Result};

/// A folder for the running nodes of one run. Dropping it removes it; if the process dies, the next run does.
pub struct Scratch {
    path: PathBuf,
    next: std::sync::atomic::AtomicU64,
    /// Empty folders that can be used again: creating and removing one for each small node would
    /// cost more than the node.
    empty: Mutex<Vec<PathBuf>>,
    _alive: locks::Held,
}

/// A folder of [`Scratch`] for one attempt of a node; empty at first, and given back when dropped.
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

    /// A process may still write in it: it is not used again.
    pub fn spoil(&mut self) {
        self.spoilt = true;
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let empty = std::fs::read_dir(&self.path).is_ok_and(|mut d| d.next().is_none());
        if empty && !self.spoilt {
            let path = std::mem::take(&mut self.path);
            self.scratch.empty.lock().push(path);
        } else {
            remove(&self.path);
        }
    }
}

impl Scratch {
    /// A new empty folder.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn folder(&self) -> Result<PathBuf> {
        let path = self.path();
        std::fs::create_dir(&path).at("create", &path)?;
        Ok(path)
    }

    /// A new path that does not exist yet.
    pub fn path(&self) -> PathBuf {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.path.join(number.to_string())
    }

    /// An empty folder for one attempt of a node.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn room(&self) -> Result<Room<'_>> {
        let used = self.empty.lock().pop();
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
    /// A scratch folder for this run. Those of runs that died are removed; a user's files in them are put back first.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn scratch(&self, run: &str) -> Result<Scratch> {
        Scratch::new_with(&self.root.join("scratch"), run, &|dead| {
            for path in self.put_back(dead) {
                tracing::warn!("{} had been moved away by a killed run: restored", path.display());
            }
        })
    }

    /// Whether a run of this cache is active.
    pub fn is_running(&self, run: &str) -> bool {
        is_alive(&self.root.join("scratch").join(run))
    }

    /// Puts back files in a folder of a node that were a user's when they were last checked: a command moved them. Returns where they
    /// are again.
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
            // Inode numbers are used again: size and time must match, too. A file that still exists at its path was not moved away.
            let is_it = (stat.size, stat.mtime) == (then.size, then.mtime);
            if !is_it || path.symlink_metadata().is_ok() || path.starts_with(&self.root) {
                continue;
            }
            let moved =
                path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| move_file(now, &path));
            match moved {
                Ok(()) => out.push(path),
                Err(e) => {
                    tracing::warn!("{} is in {} and cannot be restored: {e}", path.display(), now.display())
                }
            }
        }
        out.sort();
        out
    }

    /// Keeps a node's folder for inspection. Returns its new path.
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
}

impl Scratch {
    /// A folder below `base` for a run. Those of runs that died are removed.
    ///
    /// When it cannot be created.
    /// When it cannot be made.
    pub fn new(base: &Path, run: &str) -> Result<Self> {
        Self::new_with(base, run, &|_| {})
    }

    /// The same; `last_look` is called with each folder that is about to be removed.
    fn new_with(base: &Path, run: &str, last_look: &dyn Fn(&Path)) -> Result<Self> {
        std::fs::create_dir_all(base).at("create", base)?;
        // A folder that is being created looks like one whose run died.
        let lock = base.join("lock");
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&lock);
        let file = file.at("create", &lock)?;
        let _making = locks::whole_file(&file).at("lock", &lock)?;
        for entry in std::fs::read_dir(base).at("list", base)?.flatten() {
            let alive = entry.path().join("alive");
            let dead = match File::options().read(true).write(true).open(&alive) {
                Ok(file) => matches!(locks::try_file(file), Ok(Some(_))),
                // After any other error it is left to a later run.
                Err(e) => e.kind() == std::io::ErrorKind::NotFound && entry.path().is_dir(),
            };
            // A folder with another name was made by no run.
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

/// Whether an active run has a folder below `base`.
pub fn is_in_use(base: &Path) -> bool {
    std::fs::read_dir(base).into_iter().flatten().flatten().any(|folder| is_alive(&folder.path()))
}

/// Whether the run with this folder is active.
fn is_alive(folder: &Path) -> bool {
    let file = File::options().read(true).write(true).open(folder.join("alive"));
    file.is_ok_and(|file| locks::is_held(&file))
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
