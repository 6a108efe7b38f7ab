//! An append-only file of entries, shared by processes.
//!
//! Each entry is written at once, behind a mark, its length (and the length with all bits turned) and a check
//! value, so that a torn or damaged entry is noticed and only that entry is lost. Bytes are held against their check
//! value when they are asked for: most never are. Writers hold a lock on the file for the time of one write; the
//! lock vanishes with its process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::locks;
use crate::digest::file_number;

const MARK: [u8; 4] = *b"\xf5lg\n";
const HEAD: usize = 16;
/// No entry is larger: a length above it is damage.
const MOST: usize = 1 << 28;

/// A journal: all of its bytes are held in memory, once they were asked for.
pub(super) struct Journal {
    path: PathBuf,
    file: Arc<File>,
    /// How often the file was replaced by another.
    replaced: usize,
    bytes: Vec<u8>,
    /// Up to where whole entries stand.
    end: usize,
    entries: Vec<Range<usize>>,
}

impl Journal {
    /// Opens a journal, making it if there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Arc::new(open(path)?);
        Ok(Self { path: path.to_owned(), file, replaced: 0, bytes: Vec::new(), end: 0, entries: Vec::new() })
    }

    /// How often the file was replaced by another: what was known of it before is of the other.
    pub fn replaced(&self) -> usize {
        self.replaced
    }

    /// Opens the file anew if another one lies at its path.
    fn follow(&mut self) -> io::Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(now) if now.ino() == self.file.metadata()?.ino() => return Ok(()),
            Ok(_) => {}
            // Removed by somebody: the next one is made.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        self.file = Arc::new(open(&self.path)?);
        self.replaced += 1;
        self.bytes.clear();
        self.entries.clear();
        self.end = 0;
        Ok(())
    }

    /// The payloads of all entries that were read so far.
    pub fn entries(&self) -> &[Range<usize>] {
        &self.entries
    }

    /// The payload at a place that `entries` gave; `None` when it is damaged.
    pub fn get(&self, place: &Range<usize>) -> Option<&[u8]> {
        let payload = self.bytes.get(place.clone())?;
        let said = self.bytes.get(place.start - 4..place.start)?;
        (check(payload) == said).then_some(payload)
    }

    /// The payload at a place, whether it is damaged or not.
    pub fn peek(&self, place: &Range<usize>) -> &[u8] {
        self.bytes.get(place.clone()).unwrap_or_default()
    }

    /// What tells the file from others, and its length.
    pub fn mark(&self) -> io::Result<(u64, u64)> {
        let metadata = self.file.metadata()?;
        Ok((file_number(&metadata), metadata.len()))
    }

    /// The bytes of the file from a place on.
    pub fn from(&self, place: u64) -> io::Result<Vec<u8>> {
        let length = self.file.metadata()?.len().saturating_sub(place);
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, place)?;
        Ok(bytes)
    }

    /// Reads what was added since the last time, by this process or another.
    pub fn refresh(&mut self) -> io::Result<()> {
        self.follow()?;
        self.read_on()
    }

    fn read_on(&mut self) -> io::Result<()> {
        // A torn tail may have been overwritten meanwhile: it is read again.
        self.bytes.truncate(self.end);
        let length = usize::try_from(self.file.metadata()?.len()).map_err(io::Error::other)?;
        if length > self.bytes.len() {
            let from = self.bytes.len() as u64;
            self.bytes.reserve_exact(length - self.bytes.len());
            // Nobody else reads at this file's place: appending is written at a place.
            let mut file = &*self.file;
            file.seek(SeekFrom::Start(from))?;
            file.take(length as u64 - from).read_to_end(&mut self.bytes)?;
        }
        self.end = scan(&self.bytes, self.end, &mut self.entries);
        Ok(())
    }

    /// Adds entries with one write. They are in the file when this returns, but not yet on the disk.
    pub fn append(&mut self, payloads: &[Vec<u8>]) -> io::Result<()> {
        if payloads.is_empty() {
            return Ok(());
        }
        self.follow()?;
        let mut file = Arc::clone(&self.file);
        let mut lock = locks::whole_file(&file)?;
        // While the lock was waited for, the file may have been replaced.
        loop {
            let before = self.replaced;
            self.follow()?;
            if self.replaced == before {
                break;
            }
            drop(lock);
            file = Arc::clone(&self.file);
            lock = locks::whole_file(&file)?;
        }
        self.read_on()?;
        // A torn tail is overwritten: nobody can be writing it now.
        let torn = self.bytes.len() - self.end;
        self.bytes.truncate(self.end);
        let text = framed(payloads);
        self.write(&text, self.end as u64)?;
        if torn > text.len() {
            self.file.set_len((self.end + text.len()) as u64)?;
        }
        self.bytes.extend(text);
        self.end = scan(&self.bytes, self.end, &mut self.entries);
        drop(lock);
        Ok(())
    }

    /// Puts a journal with these entries alone in place of this one. Who writes meanwhile writes to the new one.
    pub fn rewrite(&mut self, keep: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        let lock = locks::whole_file(&file)?;
        self.follow()?;
        self.read_on()?;
        let payloads: Vec<Vec<u8>> = self.entries.iter().filter_map(|place| keep(self.get(place)?)).collect();
        let temporary = tempfile::NamedTempFile::new_in(self.path.parent().unwrap_or(Path::new(".")))?;
        std::fs::write(temporary.path(), framed(&payloads))?;
        std::fs::set_permissions(temporary.path(), self.file.metadata()?.permissions())?;
        temporary.as_file().sync_all()?;
        temporary.persist(&self.path).map_err(|e| e.error)?;
        drop(lock);
        self.refresh()
    }

    /// Adds entries without looking at those before, for what is only a hint: behind a torn tail, one may be lost.
    pub fn append_blindly(&self, payloads: &[Vec<u8>]) -> io::Result<()> {
        let lock = locks::whole_file(&self.file)?;
        self.write(&framed(payloads), self.file.metadata()?.len())?;
        drop(lock);
        Ok(())
    }

    /// Writes all or nothing.
    fn write(&self, text: &[u8], at: u64) -> io::Result<()> {
        let written = self.file.write_all_at(text, at);
        if written.is_err() {
            let _ = self.file.set_len(at);
        }
        written
    }
}

fn open(path: &Path) -> io::Result<File> {
    match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path) {
        // A cache that may only be read can still be read.
        Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            File::open(path)
        }
        other => other,
    }
}

fn framed(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::new();
    for payload in payloads {
        let length = payload.len() as u32;
        text.extend(MARK);
        text.extend(length.to_le_bytes());
        text.extend((!length).to_le_bytes());
        text.extend(check(payload));
        text.extend(payload);
    }
    text
}

/// Finds entries from `end` on, and says where the last one ends. After damage it looks for the next mark.
pub(super) fn scan(bytes: &[u8], mut end: usize, entries: &mut Vec<Range<usize>>) -> usize {
    let mut at = end;
    while at + HEAD <= bytes.len() {
        match entry(&bytes[at..]) {
            Some(length) => {
                entries.push(at + HEAD..at + HEAD + length);
                at += HEAD + length;
                end = at;
            }
            None => match bytes[at + 1..].windows(MARK.len()).position(|w| w == MARK) {
                Some(skip) => at += 1 + skip,
                None => break,
            },
        }
    }
    end
}

/// The length of the entry that begins here, if all of it is here.
fn entry(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let length = number(4)?;
    let sound = bytes[..4] == MARK && number(8)? == !length && length as usize <= MOST;
    let length = length as usize;
    (sound && bytes.len() >= HEAD + length).then_some(length)
}

fn check(payload: &[u8]) -> [u8; 4] {
    let hash = blake3::hash(payload);
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(path: &Path) -> Vec<Vec<u8>> {
        let mut journal = Journal::open(path).unwrap();
        journal.refresh().unwrap();
        journal.entries().iter().filter_map(|e| journal.get(e)).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn two_writers_see_each_others_entries() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let (mut a, mut b) = (Journal::open(&path).unwrap(), Journal::open(&path).unwrap());
        a.append(&[b"one".to_vec()]).unwrap();
        b.append(&[b"two".to_vec(), b"three".to_vec()]).unwrap();
        a.append(&[b"four".to_vec()]).unwrap();
        assert_eq!(all(&path), [&b"one"[..], b"two", b"three", b"four"]);
        b.refresh().unwrap();
        assert_eq!(b.entries().len(), 4);
    }

    proptest! {
        #[test]
        fn a_torn_tail_loses_only_itself(cut in 1_usize..20, sizes in prop::collection::vec(1_usize..40, 2..6)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("j");
            let entries: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, n)| vec![i as u8; *n]).collect();
            Journal::open(&path).unwrap().append(&entries).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let cut = cut.min(HEAD + entries[entries.len() - 1].len());
            std::fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
            let kept = &entries[..entries.len() - 1];
            prop_assert_eq!(&all(&path), kept);
            Journal::open(&path).unwrap().append(&[b"next".to_vec()]).unwrap();
            let now = all(&path);
            prop_assert_eq!(now.last().unwrap(), b"next");
            prop_assert_eq!(now.len(), kept.len() + 1);
        }

        #[test]
        fn a_flipped_bit_loses_one_entry(bit in 0_usize..8, place in 0_usize..4096) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("j");
            let entries: Vec<Vec<u8>> = (0..5).map(|i| vec![b'a' + i; 30]).collect();
            Journal::open(&path).unwrap().append(&entries).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let at = place % bytes.len();
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, bytes).unwrap();
            let hit = at / (HEAD + 30);
            let left: Vec<Vec<u8>> = entries.iter().enumerate().filter(|(i, _)| *i != hit).map(|(_, e)| e.clone()).collect();
            prop_assert_eq!(all(&path), left);
        }
    }
}
