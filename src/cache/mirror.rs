//! What a remote store is known to hold: its records, whose objects are not here.
//!
//! It answers without a request, and may be out of date: a process that fetches the objects finds out.

use std::path::Path;

use serde_json::value::RawValue;

use super::Cache;
use super::records::{Record, Records};
use crate::digest::Digest;
use crate::fault::{At, Result};
use crate::key::Key;

/// Records of a remote store.
pub struct Mirror {
    records: Records,
    path: std::path::PathBuf,
}

impl Cache {
    /// What is known of the store at an address.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn mirror(&self, url: &str) -> Result<Mirror> {
        let folder = self.root.join("remote");
        std::fs::create_dir_all(&folder).at("create", &folder)?;
        let name = Digest::derive("lfs-pipe 2026 remote", url.as_bytes()).to_string();
        Mirror::open(&folder.join(&name[..16]))
    }
}

impl Mirror {
    fn open(path: &Path) -> Result<Self> {
        Ok(Self { records: Records::open(path).at("open", path)?, path: path.to_owned() })
    }

    /// The record of a key.
    pub fn record(&mut self, key: &Key) -> Option<Record> {
        self.records.get(key)
    }

    /// The record of a key with its fingerprint as written.
    pub fn with_fingerprint(&mut self, key: &Key) -> Option<(Box<RawValue>, Record)> {
        let record = self.records.get(key)?;
        let text = self.records.fingerprint(key)?.to_owned();
        Some((RawValue::from_string(text).ok()?, record))
    }

    /// Remembers that the store holds a result.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&mut self, key: &Key, fingerprint: &RawValue, record: &Record) -> Result<()> {
        self.records.put(false, key, &fingerprint, record).at("write", &self.path)
    }

    /// Remembers that the store does not hold a result.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn forget(&mut self, key: &Key) -> Result<()> {
        if self.records.get(key).is_none() {
            return Ok(());
        }
        self.records.withdraw(key).at("write", &self.path)
    }
}
