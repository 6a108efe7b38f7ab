//! Garbage collection: removes results that nothing keeps, while pipelines may be running.
//!
//! The caller decides what is kept (runs, a lock file). What running pipelines have written or found since they began is kept,
//! too: the records say so. While the decision is made and the objects are moved to the trash, no run can look up a result; that
//! takes moments. Then the objects are removed.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::PathBuf;

use super::folder::is_made_by_a_cache;
use super::records::FETCHED;
use super::{Cache, Record, locks, remove};
use crate::digest::Digest;
use crate::fault::{At, Result};
use crate::key::Key;

/// What a collection removed, or would remove.
#[derive(Debug, Default, Clone, Copy, serde::Serialize)]
pub struct Collected {
    /// Records of nodes and steps.
    pub records: usize,
    /// Objects.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Records that stay.
    #[serde(rename = "kept-records")]
    pub kept_records: usize,
    /// The bytes of objects that stay.
    #[serde(rename = "kept-bytes")]
    pub kept_bytes: u64,
}

impl Cache {
    /// Removes every record that is not spared and was not made in one of these runs, and every object that no remaining record names.
    ///
    /// # Errors
    /// When something cannot be read or moved.
    pub fn collect(&self, spared: &HashSet<Key>, runs: &HashSet<String>, dry: bool) -> Result<Collected> {
        let lock = self.collecting()?;
        let records = self.root.join("records");
        self.records().refresh().at("read", &records)?;
        let running = self.running()?;
        let all = self.all_records()?;
        let kept = self.kept(&all, spared, runs, &running)?;
        let mut out =
            Collected { kept_records: kept.len(), records: all.len() - kept.len(), ..Collected::default() };
        // A running pipeline may be about to continue from a step that another process marked as superseded.
        let used = self.records().pinned(&running).at("read", &records)?;
        let in_use = |key: &Key, record: &Record| used.contains(key) || running.contains(&record.made.run);
        let needed: HashSet<Digest> = all
            .iter()
            .filter(|(key, _, r)| kept.contains(key) && (!self.is_spent(key) || in_use(key, r)))
            .flat_map(|(_, _, record)| record.outputs.values().map(|s| s.digest))
            .collect();
        let mut doomed: Vec<PathBuf> = Vec::new();
        for (digest, path) in self.objects()? {
            let bytes = size(&path);
            if needed.contains(&digest) {
                out.kept_bytes += bytes;
            } else {
                out.objects += 1;
                out.bytes += bytes;
                doomed.push(path);
            }
        }
        if dry {
            return Ok(out);
        }
        // Records first: a record without its object would be a lost result.
        self.records().keep(&kept, &running).at("write", &records)?;
        self.records().ended(&self.boot).at("write", &records)?;
        self.move_to_trash(&doomed)?;
        drop(lock);
        self.empty_trash();
        self.make_durable()?;
        Ok(out)
    }

    /// The runs that made results, the one that wrote last first.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn runs_of_results(&self) -> Result<Vec<String>> {
        self.records().runs().at("read", &self.root.join("records"))
    }

    /// Removes the objects of superseded steps, unless another run is active: it may be about to continue from one.
    ///
    /// # Errors
    /// When something cannot be read or moved.
    pub fn remove_spent(&self, run: &str) -> Result<()> {
        let (path, file) = self.collecting_file();
        // A process stores results, which may take hours, or collects.
        let Some(lock) = locks::try_file(file.at("create", &path)?).at("lock", &path)? else { return Ok(()) };
        self.records().refresh().at("read", &self.root.join("records"))?;
        if self.running()?.iter().any(|other| other != run) {
            return Ok(());
        }
        let needed = self.needed()?.into_iter();
        let needed: HashSet<Digest> =
            needed.flat_map(|(_, record)| record.outputs.into_values().map(|s| s.digest)).collect();
        let all = self.all_records()?;
        let spent = all.into_iter().filter(|(key, ..)| self.is_spent(key));
        let spent: HashSet<Digest> =
            spent.flat_map(|(_, _, record)| record.outputs.into_values().map(|s| s.digest)).collect();
        let doomed: Vec<PathBuf> = spent.difference(&needed).map(|digest| self.object(digest)).collect();
        self.move_to_trash(&doomed)?;
        drop(lock);
        self.empty_trash();
        Ok(())
    }

    /// The file whose lock says that a process stores results (shared) or collects (exclusive).
    pub(super) fn collecting_file(&self) -> (PathBuf, std::io::Result<File>) {
        let path = self.root.join("scratch").join("collecting");
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        (path, file)
    }

    /// While this is held, no run can look up a result.
    fn collecting(&self) -> Result<locks::Held> {
        let (path, file) = self.collecting_file();
        locks::own_file(file.at("create", &path)?).at("lock", &path)
    }

    /// Removes what is in the trash.
    fn empty_trash(&self) {
        let trash = self.root.join("trash");
        for entry in std::fs::read_dir(&trash).into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_made_by_a_cache("trash", &entry.file_name().to_string_lossy(), is_folder) {
                remove(&entry.path());
            }
        }
        let _ = std::fs::remove_dir(&trash);
    }

    /// Moves objects to the trash, to be removed later. Missing ones are skipped.
    fn move_to_trash(&self, objects: &[PathBuf]) -> Result<()> {
        let trash = self.root.join("trash");
        std::fs::create_dir_all(&trash).at("create", &trash)?;
        let folder = tempfile::tempdir_in(&trash).at("create", &trash)?.keep();
        for (i, path) in objects.iter().enumerate() {
            match std::fs::rename(path, folder.join(i.to_string())) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                other => other.at("move aside", path)?,
            }
        }
        Ok(())
    }

    /// The keys that stay: those that are spared, those of running pipelines, and the steps of all of them.
    fn kept(
        &self,
        all: &[(Key, bool, Record)],
        spared: &HashSet<Key>,
        runs: &HashSet<String>,
        running: &[String],
    ) -> Result<HashSet<Key>> {
        let mut kept = spared.clone();
        let with_fetched: Vec<String> = running.iter().cloned().chain([FETCHED.to_owned()]).collect();
        let pinned = self.records().pinned(&with_fetched);
        kept.extend(pinned.at("read", &self.root.join("records"))?);
        let stays = |run: &String| running.contains(run) || runs.contains(run);
        kept.extend(all.iter().filter(|(_, _, r)| stays(&r.made.run)).map(|(key, ..)| *key));
        let known: HashMap<Key, &Record> = all.iter().map(|(key, _, record)| (*key, record)).collect();
        kept.retain(|key| known.contains_key(key));
        // A step belongs to the run of the node that computed it.
        let made = |record: &Record| (record.made.node.clone(), record.made.run.clone());
        let nodes: HashSet<(String, String)> =
            kept.iter().filter_map(|k| known.get(k)).map(|r| made(r)).collect();
        kept.extend(
            all.iter().filter(|(_, step, r)| *step && nodes.contains(&made(r))).map(|(key, ..)| *key),
        );
        Ok(kept)
    }

    /// The active runs.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn running(&self) -> Result<Vec<String>> {
        let base = self.root.join("scratch");
        let mut out = Vec::new();
        for entry in std::fs::read_dir(&base).at("list", &base)?.flatten() {
            let Ok(file) = File::options().read(true).write(true).open(entry.path().join("alive")) else {
                continue;
            };
            if locks::is_held(&file) {
                out.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(out)
    }

    /// All objects, with their paths.
    pub(super) fn objects(&self) -> Result<Vec<(Digest, PathBuf)>> {
        let base = self.root.join("objects");
        let mut out = Vec::new();
        for folder in std::fs::read_dir(&base).at("list", &base)?.flatten() {
            let path = folder.path();
            for entry in std::fs::read_dir(&path).at("list", &path)?.flatten() {
                let name = format!(
                    "{}{}",
                    folder.file_name().to_string_lossy(),
                    entry.file_name().to_string_lossy()
                );
                // A file with another name is not an object.
                if let Ok(digest) = name.parse() {
                    out.push((digest, entry.path()));
                }
            }
        }
        out.sort();
        Ok(out)
    }
}

/// The bytes of the files of a file or folder.
pub(super) fn size(path: &std::path::Path) -> u64 {
    let files = walkdir::WalkDir::new(path).into_iter().flatten();
    files.filter_map(|e| e.metadata().ok()).filter(std::fs::Metadata::is_file).map(|m| m.len()).sum()
}
