//! What runs put into an output folder: a journal in that folder, independent of the cache that they used.
//!
//! Before something is put in its place, what `stat` reports of it is noted. If it is still the same later, a run put it there, and
//! replacing it loses no one's work.

use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::Copied;
use super::journal::{Entry, Journal, Reader};
use crate::digest::Digest;

/// The folder below the output folder in which copies are made, and in which the journal is.
pub const PLACING: &str = ".lfs-pipe";

/// The journal of an output folder.
pub struct Placed {
    file: PathBuf,
    open: Mutex<Option<Open>>,
}

struct Open {
    journal: Journal,
    known: Known,
}

/// Path below the output folder -> everything that was put there.
#[derive(Default)]
struct Known(HashMap<Vec<u8>, Vec<Note>>);

/// Something that was put somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Note {
    /// What `stat` reported of it.
    written: Digest,
    /// The object of which it is a copy.
    object: Digest,
}

/// The number of notes that are kept for each path when the journal is rewritten: two runs at once may each have put something.
const LATEST: usize = 4;

/// A journal with this many more entries than places is rewritten.
const SPARE: usize = 4096;

const DIGEST: usize = 32;

/// The content of an entry: two digests and a path.
fn read(payload: &[u8]) -> Option<(Note, &[u8])> {
    let (written, rest) = payload.split_first_chunk::<DIGEST>()?;
    let (object, path) = rest.split_first_chunk::<DIGEST>()?;
    Some((Note { written: Digest(*written), object: Digest(*object) }, path))
}

impl Reader for Known {
    fn anew(&mut self) {
        self.0.clear();
    }

    fn entry(&mut self, entry: &Entry<'_>) {
        let payload = if entry.is_sound() { entry.payload } else { &[] };
        if let Some((note, path)) = read(payload) {
            self.0.entry(path.to_vec()).or_default().push(note);
        }
    }
}

impl Placed {
    /// The journal in this file; it is created with the first note.
    pub fn at(file: PathBuf) -> Self {
        Self { file, open: Mutex::default() }
    }

    /// Notes that a copy of an object is about to be put at a path below the output folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, path: &Path, made: &Copied, object: &Digest) -> io::Result<()> {
        let mut payload = made.written().0.to_vec();
        payload.extend(object.0);
        payload.extend(path.as_os_str().as_bytes());
        self.with(true, |open| {
            open.journal.append(&[payload], &mut open.known)?;
            open.shorten()
        })
        .map(drop)
    }

    /// The object of which a run put a copy at a path below the output folder, if what lies there now is that copy according to its
    /// stat.
    pub fn object_at(&self, path: &Path, there: &Copied) -> Option<Digest> {
        let notes = |open: &Open| {
            let all = open.known.0.get(path.as_os_str().as_bytes())?;
            all.iter().rev().find(|note| note.written == there.written()).map(|note| note.object)
        };
        let found = self.with(false, |open| {
            // Another run may have just put it there.
            Ok(match notes(open) {
                Some(object) => Some(object),
                None => open.journal.refresh(&mut open.known).ok().and_then(|()| notes(open)),
            })
        });
        found.ok().flatten().flatten()
    }

    /// The objects of which copies were ever put at a path, the latest first.
    pub fn objects(&self, path: &Path) -> Vec<Digest> {
        let all = self.with(false, |open| {
            let notes = open.known.0.get(path.as_os_str().as_bytes());
            let mut all: Vec<Digest> = notes.into_iter().flatten().rev().map(|note| note.object).collect();
            all.dedup();
            Ok(all)
        });
        all.ok().flatten().unwrap_or_default()
    }

    /// All paths at which something was ever put, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        let all = self.with(false, |open| {
            open.journal.refresh(&mut open.known)?;
            Ok(open.known.0.keys().map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(path))).collect())
        });
        let mut all: Vec<PathBuf> = all.ok().flatten().unwrap_or_default();
        all.sort();
        all
    }

    /// `None` if there is no journal and `make` is not set.
    fn with<T>(&self, make: bool, act: impl FnOnce(&mut Open) -> io::Result<T>) -> io::Result<Option<T>> {
        let mut open = self.open.lock();
        if open.is_none() {
            if !make && !self.file.exists() {
                return Ok(None);
            }
            let (mut journal, mut known) = (Journal::open(&self.file)?, Known::default());
            journal.refresh(&mut known)?;
            *open = Some(Open { journal, known });
        }
        open.as_mut().map(act).transpose()
    }
}

impl Open {
    fn shorten(&mut self) -> io::Result<()> {
        let entries: usize = self.known.0.values().map(Vec::len).sum();
        if entries <= 4 * self.known.0.len() + SPARE {
            return Ok(());
        }
        let latest: HashMap<Vec<u8>, Vec<Note>> = std::mem::take(&mut self.known.0)
            .into_iter()
            .map(|(path, all)| (path, all[all.len().saturating_sub(LATEST)..].to_vec()))
            .collect();
        let stays = |payload: &[u8]| {
            let (note, path) = read(payload)?;
            latest.get(path)?.contains(&note).then(|| payload.to_vec())
        };
        self.journal.rewrite(&stays, &mut self.known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_somewhere_is_known_there_until_a_process_writes_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let (file, one) = (dir.path().join("placed"), dir.path().join("one"));
        std::fs::write(&one, "x").unwrap();
        let (placed, object) = (Placed::at(file.clone()), Digest::derive("t", b"x"));
        let at =
            |placed: &Placed, path: &str| placed.object_at(Path::new(path), &Copied::look(&one).unwrap());
        assert!(at(&placed, "a").is_none() && !file.exists(), "nothing is made by asking");
        placed.note(Path::new("a"), &Copied::look(&one).unwrap(), &object).unwrap();
        let another = Placed::at(file);
        assert_eq!((at(&another, "a"), at(&another, "b")), (Some(object), None));
        assert_eq!(another.objects(Path::new("a")), [object]);
        // Another name for the same file is not new content; another size is.
        std::fs::hard_link(&one, dir.path().join("two")).unwrap();
        assert_eq!(at(&another, "a"), Some(object));
        std::fs::write(&one, "mine").unwrap();
        assert_eq!(at(&another, "a"), None);
    }

    #[test]
    fn the_journal_stays_short_and_keeps_the_latest() {
        let dir = tempfile::tempdir().unwrap();
        let (file, one) = (dir.path().join("placed"), dir.path().join("one"));
        let (placed, object) = (Placed::at(file.clone()), Digest::default());
        for n in 0..2 * SPARE {
            std::fs::write(&one, vec![0; n % 7 + n / 7]).unwrap();
            placed.note(Path::new("a"), &Copied::look(&one).unwrap(), &object).unwrap();
        }
        assert!(std::fs::metadata(&file).unwrap().len() < (SPARE as u64 + 100) * 96);
        assert!(Placed::at(file).object_at(Path::new("a"), &Copied::look(&one).unwrap()).is_some());
        assert_eq!(placed.paths(), [Path::new("a")]);
    }
}
