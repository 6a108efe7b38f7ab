//! Objects: files and folders that are named by their digest, and never change.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::memo::{has_coarse_times, has_coarse_young_times, too_young};
use super::{Cache, Stored, remove};
use crate::digest::{Digest, FileHash, Leaf, Root, Stat, fold, hash_file, leaves};
use crate::fault::{At, Fault, Result};

/// How closely to check bytes whose digest should be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A file whose stat is unchanged is trusted.
    AtStat,
    /// Every byte is hashed.
    AtBytes,
}

/// Why something cannot become an object.
#[derive(Debug)]
pub enum Refused {
    /// It is not there.
    Missing,
    /// It is or holds a symbolic link.
    Link(PathBuf),
    /// It cannot be read, or holds something that is neither file nor folder, or a name that is not UTF-8.
    Unreadable(std::io::Error),
    /// A process still writes to it.
    Busy(PathBuf),
    /// The cache or the machine failed.
    Fault(Fault),
}

/// Whose files are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// A user's: empty folders do not count, since few tools preserve them.
    User,
    /// A stage's output: empty folders count.
    Stage,
}

/// How often an output that is still written to is hashed again before it is refused.
const BUSY_TRIES: u32 = 5;
/// The pause before each retry: a process that ends closes its files a moment later.
const BUSY_PAUSE: Duration = Duration::from_millis(40);

/// The digests of the files of a file or folder.
struct Digests {
    /// In the order of the leaves; all zeros for an empty folder.
    each: Vec<Digest>,
    stored: Stored,
    /// A file that some process has open for writing.
    written_to: Option<PathBuf>,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A file or folder, hashed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hashed {
    /// Its digest and its size, as an object.
    pub stored: Stored,
    /// What `stat` reported when it was hashed.
    signature: Digest,
    /// The same without the ctime.
    written: Digest,
    /// Its times are racy, or a process writes to it: it may have changed meanwhile.
    young: bool,
}

/// What `stat` reported of a copy of an object before it was moved into place.
pub struct Copied(Vec<Leaf>);

impl Copied {
    /// Reads what `stat` reports of a copy.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look(path: &Path) -> std::io::Result<Self> {
        Ok(Self(look(path)?.0))
    }

    /// Whether these are the same files, unchanged, and as large as the object's. (Their ctime is that of the move.)
    fn is(&self, now: &[Leaf], stored: &Stored) -> bool {
        written(&self.0) == written(now) && now.iter().map(|l| l.stat.size).sum::<u64>() == stored.bytes
    }

    /// Its files, by their paths below it; a single file has an empty path.
    pub fn leaves(&self) -> &[Leaf] {
        &self.0
    }

    /// Whether its times are of whole seconds, so that they do not show a second write within one.
    pub fn has_coarse_times(&self) -> bool {
        self.0.iter().any(|leaf| leaf.is_file() && has_coarse_times(&leaf.stat))
    }

    /// A digest that changes when a process writes to it, but not when it is moved.
    pub(super) fn written(&self) -> Digest {
        written(&self.0)
    }
}

/// What `stat` reported of a file or folder.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Seen(Digest);

impl Seen {
    /// Whether `stat` reports the same of what is there now.
    pub fn is_still_at(&self, root: &Root, path: &Path) -> bool {
        let now = match root.stat(path) {
            Ok((stat, false)) => signature_of([("", &stat)].into_iter()),
            Ok((_, true)) => match leaves(&root.path().join(path)) {
                Ok(found) => signature(&found),
                Err(_) => return false,
            },
            Err(_) => return false,
        };
        now == self.0
    }
}

impl Hashed {
    /// What `stat` reported of it; `None` while the times are uncertain.
    pub fn seen(&self) -> Option<Seen> {
        (!self.young).then_some(Seen(self.signature))
    }

    /// Whether `stat` reports the same of what lies at a path. False while the times are uncertain.
    pub fn is_still_at(&self, root: &Root, path: &Path) -> bool {
        self.seen().is_some_and(|seen| seen.is_still_at(root, path))
    }

    /// An object of whose copy nothing is certain.
    pub fn in_doubt(stored: &Stored) -> Self {
        let none = Digest::default();
        Self { stored: stored.clone(), signature: none, written: none, young: true }
    }
}

impl Cache {
    /// The path of an object.
    pub fn object(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join("objects").join(&name[..2]).join(&name[2..])
    }

    /// Hashes a file or folder of the user's; files whose stat has not changed since they were last hashed are not read.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn hash(&self, path: &Path) -> std::io::Result<Hashed> {
        self.hash_of(path, Whose::User)
    }

    /// The same for what a stage wrote.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn hash_output(&self, path: &Path) -> std::io::Result<Hashed> {
        self.hash_of(path, Whose::Stage)
    }

    fn hash_of(&self, path: &Path, whose: Whose) -> std::io::Result<Hashed> {
        let since = SystemTime::now();
        let (found, folder) = look(path)?;
        let Digests { each, stored, written_to } = self.digests(&found, folder, Look::AtStat, whose)?;
        let may_change = |leaf: &Leaf| too_young(&leaf.stat, since);
        let young = written_to.is_some() || found.iter().any(may_change);
        let mut memo = self.memo();
        for (leaf, digest) in found.iter().zip(&each).filter(|(leaf, _)| leaf.is_file()) {
            match !may_change(leaf) && written_to.is_none() {
                true => memo.put(&leaf.path, leaf.stat, *digest),
                false => memo.saw(&leaf.path, leaf.stat),
            }
        }
        Ok(Hashed { stored, signature: signature(&found), written: written(&found), young })
    }

    /// Whether a file or folder has not changed since it was hashed.
    ///
    /// # Errors
    /// When something cannot be read any more.
    pub fn unchanged(&self, path: &Path, before: &Hashed) -> std::io::Result<bool> {
        let (found, folder) = look(path)?;
        if signature(&found) == before.signature && !before.young {
            return Ok(true);
        }
        // Equal bytes are not enough: they may have been changed and restored meanwhile.
        if written(&found) != before.written {
            return Ok(false);
        }
        // Empty folders have been compared already.
        let now = |whose| -> std::io::Result<Digest> {
            Ok(self.digests(&found, folder, Look::AtBytes, whose)?.stored.digest)
        };
        Ok(now(Whose::User)? == before.stored.digest || folder && now(Whose::Stage)? == before.stored.digest)
    }

    fn digests(&self, found: &[Leaf], folder: bool, how: Look, whose: Whose) -> std::io::Result<Digests> {
        let mut known: Vec<Option<Digest>> =
            found.iter().map(|leaf| (!leaf.is_file()).then(Digest::default)).collect();
        if how == Look::AtStat {
            let mut memo = self.memo();
            for (leaf, digest) in found.iter().zip(&mut known).filter(|(leaf, _)| leaf.is_file()) {
                *digest = memo.get(&leaf.path, &leaf.stat);
            }
        }
        let missing: Vec<usize> = (0..found.len()).filter(|i| known[*i].is_none()).collect();
        let hash = |i: &usize| hash_file(&found[*i].path, found[*i].stat.size);
        let fresh: Vec<std::io::Result<FileHash>> = if missing.len() < 16 {
            missing.iter().map(hash).collect()
        } else {
            missing.par_iter().map(hash).collect()
        };
        let mut written_to = None;
        for (i, hash) in missing.into_iter().zip(fresh) {
            let hash = hash?;
            known[i] = Some(hash.digest);
            if hash.has_writer {
                written_to.get_or_insert_with(|| found[i].path.clone());
            }
        }
        let each: Vec<Digest> = known.into_iter().flatten().collect();
        let counts = |leaf: &Leaf| leaf.is_file() || whose == Whose::Stage;
        let digest = match each.as_slice() {
            [only] if !folder => *only,
            all => {
                let counted = found.iter().zip(all).filter(|(leaf, _)| counts(leaf));
                fold(counted.map(|(leaf, d)| (leaf.name.as_str(), leaf.stat.executable, *d)))
            }
        };
        let bytes = found.iter().map(|l| l.stat.size).sum();
        let files = found.iter().filter(|l| l.is_file()).count() as u64;
        let executable = !folder && found.first().is_some_and(|leaf| leaf.stat.executable);
        Ok(Digests { each, stored: Stored { digest, bytes, files, folder, executable }, written_to })
    }

    /// Hashes what a stage wrote and moves it into the cache.
    ///
    /// # Errors
    /// When it is not a plain file or folder, a process still writes to it, or the cache cannot be written.
    pub fn store(&self, from: &Path) -> Result<Stored, Refused> {
        let mut tries = 0;
        loop {
            match self.try_store(from) {
                Err(Refused::Busy(_)) if tries < BUSY_TRIES => {
                    tries += 1;
                    std::thread::sleep(BUSY_PAUSE);
                }
                other => return other,
            }
        }
    }

    fn try_store(&self, from: &Path) -> Result<Stored, Refused> {
        let metadata = match std::fs::symlink_metadata(from) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Refused::Missing),
            other => other.map_err(Refused::Unreadable)?,
        };
        let folder = metadata.is_dir();
        let link = if folder { open_folders(from)? } else { metadata.is_symlink().then(|| from.to_owned()) };
        if let Some(link) = link {
            return Err(Refused::Link(link));
        }
        let (mut found, _) = look(from).map_err(Refused::Unreadable)?;
        let linked: Vec<&Leaf> = found.iter().filter(|leaf| leaf.is_linked).collect();
        if !linked.is_empty() {
            // A file with other names belongs to someone else too, such as an input that a command linked. It keeps its rights, and later
            // changes to it must not reach the object.
            linked.into_iter().try_for_each(|leaf| separate(leaf).at("write", &leaf.path))?;
            (found, _) = look(from).map_err(Refused::Unreadable)?;
        }
        // Objects are read-only, for everyone.
        for leaf in found.iter().filter(|leaf| leaf.is_file()) {
            let mode = if leaf.stat.executable { 0o555 } else { 0o444 };
            let changed = std::fs::set_permissions(&leaf.path, PermissionsExt::from_mode(mode));
            changed.map_err(Refused::Unreadable)?;
        }
        let digests =
            self.digests(&found, folder, Look::AtBytes, Whose::Stage).map_err(Refused::Unreadable)?;
        if let Some(path) = digests.written_to {
            return Err(Refused::Busy(path));
        }
        let stored = digests.stored;
        let to = self.object(&stored.digest);
        if to.symlink_metadata().is_ok() {
            if self.verify(&stored, Look::AtStat)? {
                remove(from);
                self.make_executable(&stored)?;
                return Ok(stored);
            }
            self.set_aside(&stored)?;
        }
        let moved = match (std::fs::rename(from, &to), to.parent()) {
            (Err(e), Some(parent)) if e.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(parent).at("create", parent)?;
                std::fs::rename(from, &to)
            }
            (moved, _) => moved,
        };
        if let Err(e) = moved {
            // Another process may have just stored the same folder.
            if !(folder && self.verify(&stored, Look::AtStat)?) {
                return Err(e).at("store", &to)?;
            }
            remove(from);
            return Ok(stored);
        }
        let (moved, _) = look(&to).at("read", &to)?;
        if written_but_for_rights(&moved) != written_but_for_rights(&found) {
            // A process wrote to it while it was hashed: the new content is tried again.
            let back = std::fs::rename(&to, from);
            back.at("move", &to)?;
            return Err(Refused::Busy(from.to_owned()));
        }
        // No other process has access to these files: their times are trusted even if they are recent.
        let mut memo = self.memo();
        for (leaf, digest) in moved.iter().zip(&digests.each).filter(|(leaf, _)| leaf.is_file()) {
            memo.put(&leaf.path, leaf.stat, *digest);
        }
        Ok(stored)
    }

    /// Executable outputs and others share one file as their object. Each output has its own execute bit where it is placed; the
    /// object itself is executable if one of them is.
    fn make_executable(&self, stored: &Stored) -> Result<()> {
        let path = self.object(&stored.digest);
        if !stored.executable || stored.folder {
            return Ok(());
        }
        let metadata = std::fs::metadata(&path).at("read", &path)?;
        if metadata.permissions().mode() & 0o100 == 0 {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o555)).at("protect", &path)?;
            let metadata = std::fs::metadata(&path).at("read", &path)?;
            self.memo().put(&path, Stat::from(&metadata), stored.digest);
        }
        Ok(())
    }

    /// Whether an object is present and its bytes match its digest.
    ///
    /// # Errors
    /// When that is undetermined: access was denied, or memory or file descriptors ran out. The object may be intact.
    pub fn verify(&self, stored: &Stored, how: Look) -> Result<bool> {
        let path = self.object(&stored.digest);
        match self.is_whole(&path, stored, how) {
            Ok(whole) => Ok(whole),
            Err(e) if says_nothing(&e) => Err(e).at("read", &path),
            Err(_) => Ok(false),
        }
    }

    fn is_whole(&self, path: &Path, stored: &Stored, how: Look) -> std::io::Result<bool> {
        let (found, folder) = look(path)?;
        let size: u64 = found.iter().map(|l| l.stat.size).sum();
        let files = found.iter().filter(|l| l.is_file()).count() as u64;
        if folder != stored.folder || files != stored.files || size != stored.bytes {
            return Ok(false);
        }
        let Digests { each, stored: now, written_to } = self.digests(&found, folder, how, Whose::Stage)?;
        if now.digest != stored.digest {
            return Ok(false);
        }
        if written_to.is_none() {
            let mut memo = self.memo();
            for (leaf, digest) in found.iter().zip(each).filter(|(leaf, _)| leaf.is_file()) {
                memo.put(&leaf.path, leaf.stat, digest);
            }
        }
        Ok(true)
    }

    /// Moves a corrupt object out of service; it is kept in `damaged` for inspection.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn set_aside(&self, stored: &Stored) -> Result<()> {
        let (digest, from) = (&stored.digest, self.object(&stored.digest));
        // Two nodes may have the same output: one of them may have just stored the object again.
        let _one_at_a_time = self.setting_aside.lock();
        if from.symlink_metadata().is_err() || self.verify(stored, Look::AtBytes)? {
            return Ok(());
        }
        let folder = self.root.join("damaged");
        std::fs::create_dir_all(&folder).at("create", &folder)?;
        let to = (0..)
            .map(|n| folder.join(format!("{}-{n}", digest.short())))
            .find(|p| p.symlink_metadata().is_err());
        match to {
            Some(to) => match std::fs::rename(&from, &to) {
                // Another run has set it aside.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
                other => other.at("set aside", &from),
            },
            None => Ok(()),
        }
    }

    /// What lies at `path` outside of the cache, if it is this object.
    pub fn is_at(&self, path: &Path, stored: &Stored) -> Option<Hashed> {
        match std::fs::symlink_metadata(path) {
            // A file of another length need not be read.
            Ok(m) if m.is_file() && !stored.folder && m.len() == stored.bytes => {}
            Ok(m) if m.is_dir() && stored.folder => {}
            _ => return None,
        }
        let is_it = |now: &Hashed| {
            now.stored.is_same_as(stored) && (stored.folder || now.stored.executable == stored.executable)
        };
        self.hash_output(path).ok().filter(is_it)
    }

    /// Remembers that what was just put at `path` is a copy or link of an object. The object's own entry is renewed, since a new link
    /// changes its times. `None` when the copy has changed since it was made.
    pub fn remember_copy(
        &self,
        path: &Path,
        stored: &Stored,
        made: &Copied,
    ) -> std::io::Result<Option<Hashed>> {
        let object = self.object(&stored.digest);
        let (there, folder) = match look(&object) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let here = match look(path) {
            Ok((here, is_folder)) if is_folder == folder && made.is(&here, stored) => here,
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => return Ok(None),
        };
        // Only this process has had access to the copy; but another one may write to it before its second is over.
        let since = SystemTime::now();
        let young = here.iter().any(|leaf| has_coarse_young_times(&leaf.stat, since));
        let mut memo = self.memo();
        // The digest of each file is known from the time when the object was verified; only a file whose
        // inode the copy shares has new times.
        for (leaf, copy) in there.iter().zip(&here).filter(|(leaf, _)| leaf.is_file()) {
            let digest = if folder { memo.last(&leaf.path) } else { Some(stored.digest) };
            if let Some(digest) = digest {
                if leaf.stat.inode == copy.stat.inode {
                    memo.put(&leaf.path, leaf.stat, digest);
                }
                if !young {
                    memo.put(&copy.path, copy.stat, digest);
                }
            }
        }
        let (signature, written) = (signature(&here), written(&here));
        Ok(Some(Hashed { stored: stored.clone(), signature, written, young }))
    }
}

/// Whether an error is due to this process, and does not show that the object is missing or corrupt.
fn says_nothing(e: &std::io::Error) -> bool {
    let own = [Errno::ACCESS, Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::PERM];
    Errno::from_io_error(e).is_some_and(|code| own.contains(&code))
}

/// The files of a file or folder, and whether it is a folder.
fn look(path: &Path) -> std::io::Result<(Vec<Leaf>, bool)> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Ok((leaves(path)?, true));
    }
    Ok((vec![only(path, &metadata)?], false))
}

fn only(path: &Path, metadata: &std::fs::Metadata) -> std::io::Result<Leaf> {
    use std::os::unix::fs::MetadataExt;
    if !metadata.is_file() {
        let text = format!("{} is neither a file nor a folder", path.display());
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
    }
    let (stat, is_linked) = (Stat::from(metadata), metadata.nlink() > 1);
    Ok(Leaf { name: String::new(), path: path.to_owned(), stat, is_linked })
}

fn signature(found: &[Leaf]) -> Digest {
    signature_of(found.iter().map(|leaf| (leaf.name.as_str(), &leaf.stat)))
}

/// A digest that changes when a process writes to a file: without the ctime.
fn written(found: &[Leaf]) -> Digest {
    let without = |leaf: &Leaf| Leaf { stat: Stat { ctime: 0, ..leaf.stat }, ..leaf.clone() };
    signature(&found.iter().map(without).collect::<Vec<_>>())
}

/// The same without execute bits.
fn written_but_for_rights(found: &[Leaf]) -> Digest {
    let without = |leaf: &Leaf| Leaf { stat: Stat { executable: false, ..leaf.stat }, ..leaf.clone() };
    written(&found.iter().map(without).collect::<Vec<_>>())
}

fn signature_of<'a>(found: impl Iterator<Item = (&'a str, &'a Stat)>) -> Digest {
    let mut bytes = Vec::with_capacity(64);
    for (name, stat) in found {
        bytes.extend(name.as_bytes());
        bytes.extend([0, u8::from(stat.executable)]);
        for n in [stat.size, stat.mtime as u64, stat.ctime as u64, stat.inode] {
            bytes.extend(n.to_le_bytes());
        }
    }
    Digest(*blake3::hash(&bytes).as_bytes())
}

/// The first link in a folder, if there is one. Folders below it that their owner cannot use are opened to the owner, so that their
/// content can be moved, and removed one day.
fn open_folders(path: &Path) -> Result<Option<PathBuf>, Refused> {
    const OWNER: u32 = 0o700;
    let open = |path: &Path| -> std::io::Result<()> {
        let mode = std::fs::symlink_metadata(path)?.permissions().mode();
        if mode & OWNER != OWNER {
            std::fs::set_permissions(path, PermissionsExt::from_mode((mode & 0o777) | OWNER))?;
        }
        Ok(())
    };
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        open(&folder).map_err(Refused::Unreadable)?;
        for entry in std::fs::read_dir(&folder).map_err(Refused::Unreadable)? {
            let entry = entry.map_err(Refused::Unreadable)?;
            let kind = entry.file_type().map_err(Refused::Unreadable)?;
            if kind.is_symlink() {
                return Ok(Some(entry.path()));
            }
            if kind.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(None)
}

/// Replaces one name of a file with a copy of it.
fn separate(leaf: &Leaf) -> std::io::Result<()> {
    let folder = leaf.path.parent().unwrap_or(Path::new("."));
    let copy = tempfile::Builder::new().prefix(".lfs-pipe-").make_in(folder, |path| {
        // The path must not exist yet for a reflink.
        reflink_copy::reflink(&leaf.path, path).or_else(|_| std::fs::copy(&leaf.path, path).map(drop))
    })?;
    let mode = if leaf.stat.executable { 0o755 } else { 0o644 };
    std::fs::set_permissions(copy.path(), PermissionsExt::from_mode(mode))?;
    copy.persist(&leaf.path).map_err(|e| e.error)?;
    Ok(())
}
