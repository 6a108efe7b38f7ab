//! Objects: bytes that are named by their digest, and never change.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::memo::too_young;
use super::{Cache, Stored, remove};
use crate::digest::{Digest, Leaf, Root, Stat, fold, hash_file, leaves};
use crate::fault::{At, Fault, Result};

/// How closely to look at bytes that ought to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A file that the file system says is as it was is believed.
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
    /// The cache or the machine failed.
    Fault(Fault),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A file or folder, hashed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hashed {
    /// What it would be called in the cache.
    pub stored: Stored,
    /// What the file system said when it was hashed.
    signature: Digest,
    /// The same without the time of the last change of rights and links.
    written: Digest,
    /// The times of the youngest file leave doubt whether it changed meanwhile.
    young: bool,
}

/// What the file system said of a copy of an object before it got its place.
pub struct Copied(Vec<Leaf>);

impl Copied {
    /// Looks at a copy.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look(path: &Path) -> std::io::Result<Self> {
        Ok(Self(look(path)?.0))
    }

    /// Whether these are the same files, unchanged, and as large as the object's. (Their ctime is that of the move.)
    fn is(&self, now: &[Leaf], stored: &Stored) -> bool {
        let same = |(a, b): (&Leaf, &Leaf)| {
            a.name == b.name
                && (a.stat.size, a.stat.mtime, a.stat.inode) == (b.stat.size, b.stat.mtime, b.stat.inode)
        };
        self.0.len() == now.len()
            && self.0.iter().zip(now).all(same)
            && now.iter().map(|l| l.stat.size).sum::<u64>() == stored.bytes
    }
}

/// What the file system said of a file or folder.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Seen(Digest);

impl Seen {
    /// Whether it says the same of what lies there now.
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
    /// What the file system said of it; `None` while there is doubt.
    pub fn seen(&self) -> Option<Seen> {
        (!self.young).then_some(Seen(self.signature))
    }

    /// Whether the file system says of what lies at a path what it said of this. False while there is doubt.
    pub fn is_still_at(&self, root: &Root, path: &Path) -> bool {
        self.seen().is_some_and(|seen| seen.is_still_at(root, path))
    }

    /// An object, of whose copy nothing is certain.
    pub fn in_doubt(stored: &Stored) -> Self {
        let none = Digest::default();
        Self { stored: stored.clone(), signature: none, written: none, young: true }
    }
}

impl Cache {
    /// Where an object lies.
    pub fn object(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join("objects").join(&name[..2]).join(&name[2..])
    }

    /// Hashes a file or folder; files that are as they were when last hashed are not read.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn hash(&self, path: &Path) -> std::io::Result<Hashed> {
        let since = SystemTime::now();
        let (found, folder) = look(path)?;
        let (digests, stored) = self.digests(&found, folder, Look::AtStat)?;
        let young = found.iter().any(|leaf| too_young(&leaf.stat, since));
        let mut memo = self.memo();
        for (leaf, digest) in found.iter().zip(&digests) {
            if !too_young(&leaf.stat, since) {
                memo.put(&leaf.path, leaf.stat, *digest);
            }
        }
        Ok(Hashed { stored, signature: signature(&found), written: written(&found), young })
    }

    /// Whether a file or folder is still what it was when it was hashed.
    ///
    /// # Errors
    /// When something cannot be read any more.
    pub fn unchanged(&self, path: &Path, before: &Hashed) -> std::io::Result<bool> {
        let (found, folder) = look(path)?;
        if signature(&found) == before.signature && !before.young {
            return Ok(true);
        }
        // Bytes that are as they were may have been others meanwhile: written to, and put back.
        if written(&found) != before.written {
            return Ok(false);
        }
        Ok(self.digests(&found, folder, Look::AtBytes)?.1.digest == before.stored.digest)
    }

    fn digests(&self, found: &[Leaf], folder: bool, how: Look) -> std::io::Result<(Vec<Digest>, Stored)> {
        let mut known: Vec<Option<Digest>> = vec![None; found.len()];
        if how == Look::AtStat {
            let mut memo = self.memo();
            for (leaf, digest) in found.iter().zip(&mut known) {
                *digest = memo.get(&leaf.path, &leaf.stat);
            }
        }
        let missing: Vec<usize> = (0..found.len()).filter(|i| known[*i].is_none()).collect();
        let hash = |i: &usize| hash_file(&found[*i].path, found[*i].stat.size);
        let fresh: Vec<std::io::Result<Digest>> = if missing.len() < 16 {
            missing.iter().map(hash).collect()
        } else {
            missing.par_iter().map(hash).collect()
        };
        for (i, digest) in missing.into_iter().zip(fresh) {
            known[i] = Some(digest?);
        }
        let digests: Vec<Digest> = known.into_iter().flatten().collect();
        let digest = match digests.as_slice() {
            [only] if !folder => *only,
            all => {
                fold(found.iter().zip(all).map(|(leaf, d)| (leaf.name.as_str(), leaf.stat.executable, *d)))
            }
        };
        let bytes = found.iter().map(|l| l.stat.size).sum();
        let executable = !folder && found.first().is_some_and(|leaf| leaf.stat.executable);
        Ok((digests, Stored { digest, bytes, files: found.len() as u64, folder, executable }))
    }

    /// Hashes what a stage wrote and moves it into the cache.
    ///
    /// # Errors
    /// When it is no plain file or folder, or the cache cannot be written.
    pub fn store(&self, from: &Path) -> Result<Stored, Refused> {
        let metadata = match std::fs::symlink_metadata(from) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Refused::Missing),
            other => other.at("read", from)?,
        };
        let folder = metadata.is_dir();
        let link = if folder { first_link(from) } else { metadata.is_symlink().then(|| from.to_owned()) };
        if let Some(link) = link {
            return Err(Refused::Link(link));
        }
        let found = match folder {
            true => leaves(from).at("read", from)?,
            false => vec![only(from, &metadata).at("read", from)?],
        };
        // Nobody may write to an object, and everybody may read it.
        for leaf in &found {
            let mode = if leaf.stat.executable { 0o555 } else { 0o444 };
            std::fs::set_permissions(&leaf.path, PermissionsExt::from_mode(mode))
                .at("protect", &leaf.path)?;
        }
        let (digests, stored) = self.digests(&found, folder, Look::AtBytes).at("read", from)?;
        let to = self.object(&stored.digest);
        if to.symlink_metadata().is_ok() {
            if self.verify(&stored, Look::AtStat)? {
                remove(from);
                return Ok(stored);
            }
            self.set_aside(&stored.digest)?;
        }
        let moved = match (std::fs::rename(from, &to), to.parent()) {
            (Err(e), Some(parent)) if e.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(parent).at("create", parent)?;
                std::fs::rename(from, &to)
            }
            (moved, _) => moved,
        };
        if let Err(e) = moved {
            // Another process may have stored the same folder a moment ago.
            if !(folder && self.verify(&stored, Look::AtStat)?) {
                return Err(e).at("store", &to)?;
            }
            remove(from);
            return Ok(stored);
        }
        // Nobody but this process has had these files in hand: their times need not be old to be believed.
        let (moved, _) = look(&to).at("read", &to)?;
        let mut memo = self.memo();
        for (leaf, digest) in moved.iter().zip(&digests) {
            memo.put(&leaf.path, leaf.stat, *digest);
        }
        Ok(stored)
    }

    /// Whether an object is there and its bytes are what its name says.
    ///
    /// # Errors
    /// When nobody can say: rights, memory or open files are wanting, and the object may be as it should.
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
        if folder != stored.folder || found.len() as u64 != stored.files || size != stored.bytes {
            return Ok(false);
        }
        let (digests, now) = self.digests(&found, folder, how)?;
        if now.digest != stored.digest {
            return Ok(false);
        }
        let mut memo = self.memo();
        for (leaf, digest) in found.iter().zip(digests) {
            memo.put(&leaf.path, leaf.stat, digest);
        }
        Ok(true)
    }

    /// Takes a damaged object out of service; it is kept for whoever wants to look at it.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn set_aside(&self, digest: &Digest) -> Result<()> {
        let from = self.object(digest);
        if from.symlink_metadata().is_err() {
            return Ok(());
        }
        let folder = self.root.join("damaged");
        std::fs::create_dir_all(&folder).at("create", &folder)?;
        let to = (0..)
            .map(|n| folder.join(format!("{}-{n}", digest.short())))
            .find(|p| p.symlink_metadata().is_err());
        match to {
            Some(to) => std::fs::rename(&from, &to).at("set aside", &from),
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
        self.hash(path).ok().filter(|now| now.stored.is_same_as(stored))
    }

    /// Remembers that what was just put at `path` is a copy or link of an object. The object's own entry is
    /// renewed, since a new link changes its times.
    /// `None` when it is not what it was when it was made.
    pub fn remember_copy(
        &self,
        path: &Path,
        stored: &Stored,
        made: &Copied,
    ) -> std::io::Result<Option<Hashed>> {
        let object = self.object(&stored.digest);
        let (there, folder) = look(&object)?;
        let here = match look(path) {
            Ok((here, is_folder)) if is_folder == folder && made.is(&here, stored) => here,
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => return Ok(None),
        };
        let mut memo = self.memo();
        // The digest of each file is known from the time when the object was verified; only a file whose
        // inode the copy shares has new times.
        for (leaf, copy) in there.iter().zip(&here) {
            let digest = if folder { memo.last(&leaf.path) } else { Some(stored.digest) };
            if let Some(digest) = digest {
                if leaf.stat.inode == copy.stat.inode {
                    memo.put(&leaf.path, leaf.stat, digest);
                }
                memo.put(&copy.path, copy.stat, digest);
            }
        }
        // Nobody but this process has had the copy in hand.
        let (signature, written) = (signature(&here), written(&here));
        Ok(Some(Hashed { stored: stored.clone(), signature, written, young: false }))
    }
}

/// Whether an error is one of this process, and not of what it looked at.
fn says_nothing(e: &std::io::Error) -> bool {
    use nix::libc::{EACCES, EMFILE, ENFILE, ENOMEM, EPERM};
    e.raw_os_error().is_some_and(|code| [EACCES, EMFILE, ENFILE, ENOMEM, EPERM].contains(&code))
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
    if !metadata.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "neither a file nor a folder"));
    }
    Ok(Leaf { name: String::new(), path: path.to_owned(), stat: Stat::from(metadata) })
}

fn signature(found: &[Leaf]) -> Digest {
    signature_of(found.iter().map(|leaf| (leaf.name.as_str(), &leaf.stat)))
}

/// What tells whether somebody wrote: not the time of the last change of rights and links.
fn written(found: &[Leaf]) -> Digest {
    let without = |leaf: &Leaf| Leaf { stat: Stat { ctime: 0, ..leaf.stat }, ..leaf.clone() };
    signature(&found.iter().map(without).collect::<Vec<_>>())
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

fn first_link(path: &Path) -> Option<PathBuf> {
    let mut all = walkdir::WalkDir::new(path).into_iter().flatten();
    all.find(|e| e.path_is_symlink()).map(walkdir::DirEntry::into_path)
}
