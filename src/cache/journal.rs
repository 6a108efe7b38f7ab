//! An append-only file of entries, shared by processes.
//!
//! Each entry is written at once, behind a mark, its length (and the length with all bits flipped) and a checksum, so that a torn
//! or damaged entry is noticed and only that entry is lost. Payloads are compared with their checksum when they are read: most
//! never are, and none stay in memory. Writers hold a lock on the file for the time of one write; the lock vanishes with its
//! process.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::locks;
use crate::digest::file_number;

const MARK: [u8; 4] = *b"\xf5lg\n";
const HEAD: usize = 16;
/// No entry is larger: a greater length means damage.
const MOST: usize = 1 << 28;
/// This many bytes are read at once, and more if an entry is larger.
const PIECE: usize = 256 << 10;

/// Where the payload of an entry lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its first byte, in the file.
    pub at: u64,
    length: u32,
}

/// An entry that is being read.
pub(super) struct Entry<'a> {
    pub place: Place,
    pub payload: &'a [u8],
    said: [u8; 4],
}

impl Entry<'_> {
    /// Whether the payload matches its checksum.
    pub fn is_sound(&self) -> bool {
        check(self.payload) == self.said
    }
}

/// Keeps what a journal contains.
pub(super) trait Reader {
    /// The file was replaced by another one: all entries are forgotten.
    fn anew(&mut self);
    /// The next entry.
    fn entry(&mut self, entry: &Entry<'_>);
}

/// A journal, and how far it has been read.
pub(super) struct Journal {
    path: PathBuf,
    file: Arc<File>,
    /// The end of the last whole entry that was read.
    end: u64,
}

impl Journal {
    /// Opens a journal, creating it if there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: Arc::new(open(path)?), end: 0 })
    }

    /// Opens the file again if another one is at its path; says whether it did.
    fn follow(&mut self, reader: &mut dyn Reader) -> io::Result<bool> {
        match std::fs::metadata(&self.path) {
            Ok(now) if now.ino() == self.file.metadata()?.ino() => return Ok(false),
            Ok(_) => {}
            // It was removed: a new one is created.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        self.file = Arc::new(open(&self.path)?);
        self.end = 0;
        reader.anew();
        Ok(true)
    }

    /// The payload at a place; `None` when it is damaged.
    ///
    /// # Errors
    /// When the file cannot be read: then nothing is known of the entry.
    pub fn get(&self, place: Place) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; 4 + place.length as usize];
        self.read_at(&mut bytes, place.at.saturating_sub(4))?;
        let payload = bytes.split_off(4.min(bytes.len()));
        Ok((check(&payload)[..] == bytes).then_some(payload))
    }

    /// Fills a buffer from a place on; it is shortened if the file ends before.
    fn read_at(&self, bytes: &mut Vec<u8>, place: u64) -> io::Result<()> {
        let mut read = 0;
        while read < bytes.len() {
            match self.file.read_at(&mut bytes[read..], place + read as u64) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(read);
        Ok(())
    }

    /// The number that identifies the file, and its length.
    pub fn mark(&self) -> io::Result<(u64, u64)> {
        let metadata = self.file.metadata()?;
        Ok((file_number(&metadata), metadata.len()))
    }

    /// Passes on the entries from a place on; returns the end of the last one, and the length of the file.
    pub fn since(&self, place: u64, each: &mut dyn FnMut(&Entry<'_>)) -> io::Result<(u64, u64)> {
        let mut length = self.file.metadata()?.len();
        let (mut from, mut piece, mut bytes, mut end) = (place, PIECE, Vec::new(), place);
        while from < length {
            let size = usize::try_from(length - from).unwrap_or(usize::MAX).min(piece);
            bytes.resize(size, 0);
            self.read_at(&mut bytes, from)?;
            if bytes.len() < size {
                // Another process has just cut off a torn tail.
                length = from + bytes.len() as u64;
            }
            let is_last = from + bytes.len() as u64 == length;
            let through = scan(&bytes, from, is_last, &mut |entry| {
                each(&entry);
                end = entry.place.at + u64::from(entry.place.length);
            });
            match through {
                _ if is_last => break,
                // An entry larger than a piece.
                0 => piece *= 2,
                through => (from, piece) = (from + through as u64, PIECE),
            }
        }
        Ok((end, length))
    }

    /// Reads what was added since the last time, by this process or another.
    pub fn refresh(&mut self, reader: &mut dyn Reader) -> io::Result<()> {
        self.follow(reader)?;
        self.read_on(reader)?;
        Ok(())
    }

    /// The same for the file that is open; returns its length. A torn tail is read again the next time, since it may be overwritten.
    fn read_on(&mut self, reader: &mut dyn Reader) -> io::Result<u64> {
        let (end, length) = self.since(self.end, &mut |entry| reader.entry(entry))?;
        self.end = end;
        Ok(length)
    }

    /// Adds entries with one write. They are in the file when this returns, but not yet on the disk.
    pub fn append(&mut self, payloads: &[Vec<u8>], reader: &mut dyn Reader) -> io::Result<()> {
        if payloads.is_empty() {
            return Ok(());
        }
        let mut file = Arc::clone(&self.file);
        let mut lock = locks::whole_file(&file)?;
        // The file may have been replaced while this process waited for the lock.
        while self.follow(reader)? {
            drop(lock);
            file = Arc::clone(&self.file);
            lock = locks::whole_file(&file)?;
        }
        // A torn tail is overwritten: under the lock, no other process can be writing it.
        let length = self.read_on(reader)?;
        let text = framed(payloads);
        self.write(&text, self.end)?;
        let end = self.end + text.len() as u64;
        if length > end {
            self.file.set_len(end)?;
        }
        scan(&text, self.end, true, &mut |entry| reader.entry(&entry));
        self.end = end;
        drop(lock);
        Ok(())
    }

    /// Replaces this journal with one that has only these entries. Processes that write meanwhile write to the new one.
    pub fn rewrite(
        &mut self,
        keep: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
        reader: &mut dyn Reader,
    ) -> io::Result<()> {
        struct Kept<'a>(&'a dyn Fn(&[u8]) -> Option<Vec<u8>>, Vec<Vec<u8>>);
        impl Reader for Kept<'_> {
            fn anew(&mut self) {
                self.1.clear();
            }
            fn entry(&mut self, entry: &Entry<'_>) {
                self.1.extend(entry.is_sound().then(|| (self.0)(entry.payload)).flatten());
            }
        }
        let file = Arc::clone(&self.file);
        let lock = locks::whole_file(&file)?;
        let mut kept = Kept(keep, Vec::new());
        self.follow(&mut kept)?;
        self.end = 0;
        self.read_on(&mut kept)?;
        let temporary = tempfile::NamedTempFile::new_in(self.path.parent().unwrap_or(Path::new(".")))?;
        std::fs::write(temporary.path(), framed(&kept.1))?;
        std::fs::set_permissions(temporary.path(), self.file.metadata()?.permissions())?;
        temporary.as_file().sync_all()?;
        temporary.persist(&self.path).map_err(|e| e.error)?;
        drop(lock);
        self.refresh(reader)
    }

    /// Adds entries without reading those before, for what is only a hint: behind a torn tail, one may be lost.
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

/// Finds the entries in a piece of a file that begins at a place, and returns how far it read: the rest may continue in the next
/// piece, if this is not the last. After damage it searches for the next mark.
fn scan(bytes: &[u8], begins: u64, is_last: bool, each: &mut dyn FnMut(Entry<'_>)) -> usize {
    let mut at = 0;
    while at + HEAD <= bytes.len() {
        let head = &bytes[at..at + HEAD];
        match length(head) {
            Some(length) if at + HEAD + length <= bytes.len() => {
                let from = at + HEAD;
                let said = [head[12], head[13], head[14], head[15]];
                let place = Place { at: begins + from as u64, length: length as u32 };
                each(Entry { place, payload: &bytes[from..from + length], said });
                at = from + length;
            }
            Some(_) if !is_last => break,
            _ => match bytes[at + 1..].windows(MARK.len()).position(|w| w == MARK) {
                Some(skip) => at += 1 + skip,
                // The piece may end within a mark.
                None => return (bytes.len() + 1 - MARK.len()).max(at + 1),
            },
        }
    }
    at
}

/// The length of the entry with this head, if it is one.
fn length(head: &[u8]) -> Option<usize> {
    let number = |at: usize| Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let length = number(4)?;
    let sound = head[..4] == MARK && number(8)? == !length && length as usize <= MOST;
    sound.then_some(length as usize)
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

    #[derive(Default)]
    struct All(Vec<(Place, Option<Vec<u8>>)>);

    impl Reader for All {
        fn anew(&mut self) {
            self.0.clear();
        }
        fn entry(&mut self, entry: &Entry<'_>) {
            self.0.push((entry.place, entry.is_sound().then(|| entry.payload.to_vec())));
        }
    }

    fn all(path: &Path) -> Vec<Vec<u8>> {
        let (mut journal, mut all) = (Journal::open(path).unwrap(), All::default());
        journal.refresh(&mut all).unwrap();
        for (place, payload) in &all.0 {
            assert_eq!(&journal.get(*place).unwrap(), payload);
        }
        all.0.into_iter().filter_map(|(_, payload)| payload).collect()
    }

    fn append(path: &Path, payloads: &[Vec<u8>]) {
        Journal::open(path).unwrap().append(payloads, &mut All::default()).unwrap();
    }

    #[test]
    fn two_writers_see_each_others_entries() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let (mut a, mut b) = (Journal::open(&path).unwrap(), Journal::open(&path).unwrap());
        let (mut of_a, mut of_b) = (All::default(), All::default());
        a.append(&[b"one".to_vec()], &mut of_a).unwrap();
        b.append(&[b"two".to_vec(), b"three".to_vec()], &mut of_b).unwrap();
        a.append(&[b"four".to_vec()], &mut of_a).unwrap();
        assert_eq!(all(&path), [&b"one"[..], b"two", b"three", b"four"]);
        b.refresh(&mut of_b).unwrap();
        assert_eq!(of_a.0, of_b.0);
        // One process replaces the file with a shorter one: the other reads only the new one.
        a.rewrite(&|bytes| bytes.starts_with(b"t").then(|| bytes.to_vec()), &mut of_a).unwrap();
        b.append(&[b"five".to_vec()], &mut of_b).unwrap();
        let of_b: Vec<_> = of_b.0.into_iter().filter_map(|(_, payload)| payload).collect();
        assert_eq!(of_b, [&b"two"[..], b"three", b"five"]);
        assert_eq!(all(&path), of_b);
    }

    #[test]
    fn entries_across_the_ends_of_pieces_and_larger_than_one_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let sizes =
            [PIECE - HEAD - 10, 3, PIECE * 3 + 1, 0, PIECE - HEAD, 7, PIECE, 100_000, 100_000, 100_000];
        let entries: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, n)| vec![i as u8; *n]).collect();
        append(&path, &entries);
        assert_eq!(all(&path), entries);
        // A head that is damaged loses its entry, wherever the next mark lies.
        let whole = std::fs::read(&path).unwrap();
        let mut at = 0;
        for (lost, size) in sizes.iter().enumerate() {
            let mut bytes = whole.clone();
            bytes[at + 5] ^= 4;
            std::fs::write(&path, bytes).unwrap();
            let kept: Vec<_> =
                entries.iter().enumerate().filter(|(i, _)| *i != lost).map(|(_, e)| e.clone()).collect();
            assert!(all(&path) == kept, "{lost}");
            at += HEAD + size;
        }
    }

    proptest! {
        #[test]
        fn a_torn_tail_loses_only_itself(cut in 1_usize..20, sizes in prop::collection::vec(1_usize..40, 2..6)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("j");
            let entries: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, n)| vec![i as u8; *n]).collect();
            append(&path, &entries);
            let bytes = std::fs::read(&path).unwrap();
            let cut = cut.min(HEAD + entries[entries.len() - 1].len());
            std::fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
            let kept = &entries[..entries.len() - 1];
            prop_assert_eq!(&all(&path), kept);
            append(&path, &[b"next".to_vec()]);
            let now = all(&path);
            prop_assert_eq!(now.last().unwrap(), b"next");
            prop_assert_eq!(now.len(), kept.len() + 1);
        }

        #[test]
        fn a_flipped_bit_loses_one_entry(bit in 0_usize..8, place in 0_usize..4096) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("j");
            let entries: Vec<Vec<u8>> = (0..5).map(|i| vec![b'a' + i; 30]).collect();
            append(&path, &entries);
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
