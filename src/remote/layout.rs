//! The names and texts of a store.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cache::{Record, Stored};
use crate::digest::{Digest, fold};
use crate::fingerprint::{Fingerprint, Key};

fn name(kind: &str, digest: &Digest) -> String {
    let digits = digest.to_string();
    format!("{kind}/{}/{}", &digits[..2], &digits[2..])
}

/// The name of a blob.
pub(super) fn blob(digest: &Digest) -> String {
    name("blobs", digest)
}

/// The name of a folder's list.
pub(super) fn folder(digest: &Digest) -> String {
    name("folders", digest)
}

/// The name of the record of a key.
pub(super) fn record(key: &Key) -> String {
    name("records", &key.0)
}

/// A record in transfer.
#[derive(Serialize, Deserialize)]
struct Sent {
    fingerprint: Box<RawValue>,
    record: Record,
}

/// A text, preceded by its digest.
fn sealed(text: &str) -> String {
    format!("{}\n{text}", Digest(*blake3::hash(text.as_bytes()).as_bytes()))
}

/// The text after its digest, if they match.
fn unsealed(text: &str) -> Option<&str> {
    let (digest, text) = text.split_once('\n')?;
    (digest.parse().ok() == Some(Digest(*blake3::hash(text.as_bytes()).as_bytes()))).then_some(text)
}

/// The text of a record.
pub(super) fn record_text(fingerprint: Box<RawValue>, record: &Record) -> serde_json::Result<String> {
    Ok(sealed(&serde_json::to_string(&Sent { fingerprint, record: record.clone() })?))
}

/// The record in a text, if it is one of this key.
pub(super) fn read_record(key: &Key, text: &str) -> Option<(Box<RawValue>, Record)> {
    let sent: Sent = serde_json::from_str(unsealed(text)?).ok()?;
    let fingerprint: Fingerprint = serde_json::from_str(sent.fingerprint.get()).ok()?;
    (fingerprint.key().ok()? == *key).then_some((sent.fingerprint, sent.record))
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Listing {
    /// In the order of their names.
    pub files: Vec<Listed>,
    /// Empty folders, with `/` at the end of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// Blobs of the files of less than [`SMALL`] bytes, concatenated in the same order.
    pub packs: Vec<Pack>,
}

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub name: String,
    pub digest: Digest,
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// Several small files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pack {
    pub digest: Digest,
    pub files: usize,
}

/// Files of fewer bytes are sent together: a store takes as long for a small file as for a megabyte.
pub(super) const SMALL: u64 = 1 << 20;

/// A pack of this many bytes takes no further file.
pub(super) const FULL: u64 = 32 << 20;

impl Listing {
    /// The files that have a blob of their own.
    pub fn large(&self) -> impl Iterator<Item = &Listed> {
        self.files.iter().filter(|f| f.bytes >= SMALL)
    }

    /// The files that are in packs.
    pub fn small(&self) -> impl Iterator<Item = &Listed> {
        self.files.iter().filter(|f| f.bytes < SMALL)
    }

    /// The packs, and how many bytes each has.
    pub fn packs(&self) -> impl Iterator<Item = (&Pack, u64)> {
        let mut small = self.small();
        self.packs.iter().map(move |p| (p, small.by_ref().take(p.files).map(|f| f.bytes).sum()))
    }

    /// The blobs that it consists of, and how many bytes each has.
    pub fn blobs(&self) -> impl Iterator<Item = (Digest, u64)> {
        self.large().map(|f| (f.digest, f.bytes)).chain(self.packs().map(|(p, bytes)| (p.digest, bytes)))
    }

    /// The text.
    pub fn text(&self) -> serde_json::Result<String> {
        Ok(sealed(&serde_json::to_string(self)?))
    }

    /// The list in a text, if it is of this folder.
    pub fn read(stored: &Stored, text: &str) -> Option<Self> {
        let listing: Self = serde_json::from_str(unsealed(text)?).ok()?;
        let files = listing.files.iter().map(|f| (f.name.as_str(), f.executable, f.digest));
        let folders = listing.folders.iter().map(|name| (name.as_str(), false, Digest::default()));
        let mut leaves: Vec<_> = files.chain(folders).collect();
        leaves.sort_unstable_by_key(|(name, ..)| *name);
        let small = listing.small().count();
        let bytes = listing.files.iter().try_fold(0_u64, |sum, f| sum.checked_add(f.bytes));
        let packed = listing.packs.iter().try_fold(0_usize, |sum, p| sum.checked_add(p.files));
        let whole = fold(leaves.into_iter()) == stored.digest
            && bytes == Some(stored.bytes)
            && packed == Some(small)
            && listing.files.iter().all(|f| is_below(&f.name) && !f.name.ends_with('/'))
            && listing.folders.iter().all(|name| is_below(name) && name.ends_with('/'));
        whole.then_some(listing)
    }
}

/// Whether a name stays in the folder. A process that can write to a store must not be able to write elsewhere here.
fn is_below(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|c| matches!(c, Component::Normal(_)))
}

/// The outputs of a record, to compare two records.
pub(super) fn outputs(record: &Record) -> BTreeMap<&str, Digest> {
    record.outputs.iter().map(|(name, stored)| (name.as_str(), stored.digest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(name: &str) -> (Stored, Listing) {
        let digest = Digest::derive("t", b"a");
        let files = vec![Listed { name: name.to_owned(), digest, bytes: 3, executable: false }];
        let packs = vec![Pack { digest, files: 1 }];
        let whole = fold([(name, false, digest)].into_iter());
        (
            Stored { digest: whole, bytes: 3, files: 1, folder: true, executable: false },
            Listing { files, folders: vec![], packs },
        )
    }

    #[test]
    fn a_list_is_trusted_only_if_it_is_the_folders() {
        let (stored, list) = listing("a/b.txt");
        let text = list.text().unwrap();
        assert_eq!(Listing::read(&stored, &text), Some(list.clone()));
        assert_eq!(Listing::read(&stored, &text.replace("b.txt", "c.txt")), None);
        let mut other = list;
        other.files[0].executable = true;
        assert_eq!(Listing::read(&stored, &other.text().unwrap()), None);
    }

    #[test]
    fn no_list_leads_out_of_its_folder() {
        for name in ["../a", "/etc/a", "a/../../b", "", "."] {
            let (stored, list) = listing(name);
            assert_eq!(Listing::read(&stored, &list.text().unwrap()), None, "{name}");
        }
    }
}
