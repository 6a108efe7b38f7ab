//! The folder of downloads: complete files by their SHA-256 digest, and partial files.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lfs_stage::{Failure, IoContext, Result};

use crate::digest::{Hashes, of_text};

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Downloads(PathBuf);

impl Downloads {
    /// The folder at this path.
    pub fn new(root: PathBuf) -> Self {
        Self(root)
    }

    fn file(&self, sha256: &str) -> PathBuf {
        self.0.join("sha256").join(sha256)
    }

    /// The path of a cached note about a source.
    pub fn note(&self, key: &str) -> PathBuf {
        self.0.join("notes").join(of_text(key))
    }

    /// The file with this digest, if it is present. A damaged file is removed.
    ///
    /// # Errors
    /// If it cannot be read or removed.
    pub fn held(&self, sha256: &str) -> Result<Option<Kept>> {
        let path = self.file(sha256);
        if !path.is_file() {
            return Ok(None);
        }
        let mut hashes = Hashes::new(None, None);
        let bytes = File::open(&path).and_then(|f| hashes.read(f)).doing("read", &path)?;
        if hashes.finish().sha256 == sha256 {
            return Ok(Some(Kept { path, bytes, sha256: sha256.to_owned() }));
        }
        std::fs::remove_file(&path).doing("remove", &path)?;
        Ok(None)
    }

    /// The path of a partial file, with the lock that protects it.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub async fn part(&self, key: &str) -> Result<(PathBuf, Lock)> {
        let path = self.0.join("parts").join(of_text(key));
        let lock = Lock::take(&path.with_extension("lock")).await?;
        Ok((path, lock))
    }

    /// Stores a complete file under its digest.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub fn keep(&self, part: &Path, sha256: &str) -> Result<Kept> {
        let path = self.file(sha256);
        moved(part, &path)?;
        let bytes = std::fs::metadata(&path).doing("read", &path)?.len();
        Ok(Kept { path, bytes, sha256: sha256.to_owned() })
    }
}

/// A complete file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub path: PathBuf,
    pub bytes: u64,
    pub sha256: String,
}

/// Moves a file that has been synced, and makes the new name durable, too.
pub(crate) fn moved(from: &Path, to: &Path) -> Result<()> {
    let Some(folder) = to.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder).doing("create", folder)?;
    std::fs::rename(from, to).doing("write", to)?;
    File::open(folder).and_then(|f| f.sync_all()).doing("write", folder)
}

/// A lock that is released when the process ends, at the latest. Python's `huggingface_hub` uses the same lock files.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock.
    ///
    /// # Errors
    /// If the lock file cannot be created.
    pub async fn take(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).doing("create", folder)?;
        }
        loop {
            let opened = File::options().read(true).write(true).create(true).truncate(false).open(path);
            let file = opened.doing("write", path)?;
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(TryLockError::Error(e)) => {
                    return Err(Failure::new(format!("cannot lock {}: {e}", path.display()))
                        .help("choose a folder on a disk with locks: HF_HUB_CACHE, LFS_DOWNLOADS"));
                }
            }
        }
    }
}
