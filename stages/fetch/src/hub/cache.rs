//! The on-disk cache of Python's `huggingface_hub`: `blobs/`, named by digest, and `snapshots/COMMIT/` with links to them. Neither
//! program fetches again what the other has cached.

use std::fs::File;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo};
use lfs_stage::{IoContext, Result};

use super::api::{Entry, repo};
use crate::digest::{Hashes, Pin, of_text};
use crate::downloads::{Lock, moved};
use crate::settings::Settings;
use crate::source::HubAddress;

/// The cached state of a file.
pub(super) struct Held {
    /// The path of its bytes, with their SHA-256 digest.
    pub file: Option<(PathBuf, String)>,
    /// Warnings for the user.
    pub told: Vec<String>,
}

/// The cache of one repository.
pub(super) struct HubCache {
    cache: Cache,
    repo: CacheRepo,
    folder: String,
}

impl HubCache {
    pub fn new(settings: &Settings, address: &HubAddress) -> Result<Self> {
        let cache = Cache::new(settings.hub_cache()?);
        let repo = repo(address);
        Ok(Self { folder: repo.folder_name(), repo: cache.repo(repo), cache })
    }

    /// The root of the whole cache.
    pub fn root(&self) -> &Path {
        self.cache.path()
    }

    fn own(&self) -> PathBuf {
        self.root().join(&self.folder)
    }

    fn blob(&self, pin: &Pin) -> PathBuf {
        self.own().join("blobs").join(pin.text())
    }

    fn pointer(&self, commit: &str, entry: &Entry) -> PathBuf {
        self.repo.pointer_path(commit).join(&entry.path)
    }

    /// The path of a partial blob. Python's `huggingface_hub` used the same name before each of its processes chose a name of its
    /// own, and it resumes from such a file in the same way.
    pub fn part(&self, pin: &Pin) -> PathBuf {
        self.own().join("blobs").join(format!("{}.incomplete", pin.text()))
    }

    /// The lock that Python uses for the same blob.
    pub async fn lock(&self, pin: &Pin) -> Result<Lock> {
        Lock::take(&self.root().join(".locks").join(&self.folder).join(format!("{}.lock", pin.text()))).await
    }

    /// The commit that a branch or tag named when it was last requested.
    pub fn reference(&self, revision: &str) -> Option<String> {
        let name = revision.split('/').all(|p| !p.is_empty() && p != "." && p != "..").then_some(revision)?;
        let text = std::fs::read_to_string(self.own().join("refs").join(name)).ok()?;
        Some(text.trim().to_owned()).filter(|c| matches!(Pin::of_tag(c), Some(Pin::Git(_))))
    }

    /// The file, if its bytes are present. Damaged files are removed.
    ///
    /// # Errors
    /// If an entry cannot be read, removed or linked.
    pub fn held(&self, commit: &str, entry: &Entry) -> Result<Held> {
        let (pointer, blob) = (self.pointer(commit, entry), self.blob(&entry.pin));
        let mut told = Vec::new();
        for path in [&pointer, &blob] {
            if !path.is_file() {
                continue;
            }
            let mut hashes = Hashes::new(Some(&entry.pin), Some(entry.size));
            File::open(path).and_then(|f| hashes.read(f)).doing("read", path)?;
            let found = hashes.finish();
            if found.is(&entry.pin) {
                if path == &blob {
                    self.link(commit, entry)?;
                }
                return Ok(Held { file: Some((path.clone(), found.sha256)), told });
            }
            told.push(format!(
                "{} was damaged, or not what its name says: it is removed and fetched again",
                path.display()
            ));
            let target = std::fs::canonicalize(path).doing("read", path)?;
            std::fs::remove_file(path).doing("remove", path)?;
            // The target of a link outside the cache is not removed.
            if target != *path && std::fs::canonicalize(self.own()).is_ok_and(|own| target.starts_with(own)) {
                std::fs::remove_file(&target).doing("remove", &target)?;
            }
        }
        Ok(Held { file: None, told })
    }

    /// Turns a complete part into a blob, and links the commit's file to it.
    pub fn keep(&self, part: &Path, commit: &str, entry: &Entry) -> Result<PathBuf> {
        let blob = self.blob(&entry.pin);
        moved(part, &blob)?;
        self.link(commit, entry)?;
        Ok(blob)
    }

    fn link(&self, commit: &str, entry: &Entry) -> Result<()> {
        let pointer = self.pointer(commit, entry);
        if let Some(folder) = pointer.parent() {
            std::fs::create_dir_all(folder).doing("create", folder)?;
        }
        let up = "../".repeat(entry.path.split('/').count() + 1);
        let to = format!("{up}blobs/{}", entry.pin.text());
        // The link is created under another name and renamed, so that other processes never find it missing.
        let new = pointer.with_file_name(format!(".{}.{}", &of_text(&entry.path)[..24], std::process::id()));
        let _ = std::fs::remove_file(&new);
        std::os::unix::fs::symlink(&to, &new).doing("create", &new)?;
        std::fs::rename(&new, &pointer).doing("create", &pointer)
    }
}
