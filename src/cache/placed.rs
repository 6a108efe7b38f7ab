//! What runs put into an output folder: a journal in that folder, whichever cache they used.
//!
//! Before something gets its place, it is noted what the file system says of it. What lies there later and is still that was put
//! there by a run, and no work of anybody else is lost with it.

use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::Copied;
use super::journal::{Entry, Journal, Reader};
use crate::digest::Digest;

/// The journal of an output folder.
pub struct Placed {
    file: PathBuf,
    open: Mutex<Option<Open>>,
}

struct Open {
    journal: Journal,
    known: Known,
}

/// Path below the output folder -> what was ever put there.
#[derive(Default)]
struct Known(HashMap<Vec<u8>, Vec<Digest>>);

/// Of what was put to one place so much is kept when the journal is written anew: two runs at once may each have put something.
const LATEST: usize = 4;

/// A journal with so many more entries than places is written anew.
const SPARE: usize = 4096;

const DIGEST: usize = 32;

impl Reader for Known {
    fn anew(&mut self) {
        self.0.clear();
    }

    fn entry(&mut self, entry: &Entry<'_>) {
        let payload = if entry.is_sound() { entry.payload } else { &[] };
        if let Some((digest, path)) = payload.split_first_chunk::<DIGEST>() {
            self.0.entry(path.to_vec()).or_default().push(Digest(*digest));
        }
    }
}

impl Placed {
    /// The journal in this file; it is made when there is something to note.
    pub fn at(file: PathBuf) -> Self {
        Self { file, open: Mutex::default() }
    }

    /// Notes what is about to be put at a path below the output folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, path: &Path, made: &Copied) -> io::Result<()> {
        let mut payload = made.written().0.to_vec();
        payload.extend(path.as_os_str().as_bytes());
        self.with(true, |open| {
            open.journal.append(&[payload], &mut open.known)?;
            open.shorten()
        })
        .map(drop)
    }

    /// Whether what lies at a path below the output folder is what a run put there.
    pub fn is(&self, path: &Path, there: &Copied) -> bool {
        let path = path.as_os_str().as_bytes();
        let is_known = |open: &Open| open.known.0.get(path).is_some_and(|all| all.contains(&there.written()));
        let found = self.with(false, |open| {
            // Another run may have put it there a moment ago.
            Ok(is_known(open) || open.journal.refresh(&mut open.known).is_ok() && is_known(open))
        });
        found.ok().flatten().unwrap_or(false)
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

    /// `None` where there is no journal and none is to be made.
    fn with<T>(&self, make: bool, act: impl FnOnce(&mut Open) -> io::Result<T>) -> io::Result<Option<T>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
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
        let latest: HashMap<Vec<u8>, Vec<Digest>> = std::mem::take(&mut self.known.0)
            .into_iter()
            .map(|(path, all)| (path, all[all.len().saturating_sub(LATEST)..].to_vec()))
            .collect();
        let stays = |payload: &[u8]| {
            let (digest, path) = payload.split_first_chunk::<DIGEST>()?;
            latest.get(path)?.contains(&Digest(*digest)).then(|| payload.to_vec())
        };
        self.journal.rewrite(&stays, &mut self.known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_somewhere_is_known_there_until_somebody_writes_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let (file, one) = (dir.path().join("placed"), dir.path().join("one"));
        std::fs::write(&one, "x").unwrap();
        let placed = Placed::at(file.clone());
        assert!(
            !placed.is(Path::new("a"), &Copied::look(&one).unwrap()) && !file.exists(),
            "nothing is made by asking"
        );
        placed.note(Path::new("a"), &Copied::look(&one).unwrap()).unwrap();
        let another = Placed::at(file);
        assert!(another.is(Path::new("a"), &Copied::look(&one).unwrap()));
        assert!(!another.is(Path::new("b"), &Copied::look(&one).unwrap()));
        // A new name of the same file is no new content; another size is.
        std::fs::hard_link(&one, dir.path().join("two")).unwrap();
        assert!(another.is(Path::new("a"), &Copied::look(&one).unwrap()));
        std::fs::write(&one, "mine").unwrap();
        assert!(!another.is(Path::new("a"), &Copied::look(&one).unwrap()));
    }

    #[test]
    fn the_journal_stays_short_and_keeps_the_latest() {
        let dir = tempfile::tempdir().unwrap();
        let (file, one) = (dir.path().join("placed"), dir.path().join("one"));
        let placed = Placed::at(file.clone());
        for n in 0..2 * SPARE {
            std::fs::write(&one, vec![0; n % 7 + n / 7]).unwrap();
            placed.note(Path::new("a"), &Copied::look(&one).unwrap()).unwrap();
        }
        assert!(std::fs::metadata(&file).unwrap().len() < (SPARE as u64 + 100) * 64);
        assert!(Placed::at(file).is(Path::new("a"), &Copied::look(&one).unwrap()));
        assert_eq!(placed.paths(), [Path::new("a")]);
    }
}
