//! The stat cache: digests of files, by path and by what `stat` reports of them.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::journal::{self, Journal, Reader};
use crate::digest::{Digest, Stat};

/// File times come from a clock that ticks: a file that was modified less than this before it was checked may change again without a
/// new time (a racy time stamp).
const TICK: Duration = Duration::from_millis(20);

/// Path -> (what `stat` reported, digest).
pub(super) struct Memo {
    path: PathBuf,
    /// Read when it is useful.
    open: Option<Open>,
    /// What this process has added.
    learnt: HashMap<Vec<u8>, (Stat, Digest)>,
    /// What `stat` reported of files that were modified too recently (racy), whose digests are not kept.
    young: HashMap<Vec<u8>, Stat>,
    /// How many small files were looked up without reading the memo.
    unread: usize,
}

/// Hashing a few files of this size takes less time than reading the entries of thousands.
const SMALL: u64 = 64 << 10;
const FEW: usize = 200;

struct Open {
    journal: Journal,
    known: Known,
}

#[derive(Default)]
struct Known(HashMap<Vec<u8>, (Stat, Digest)>);

impl Reader for Known {
    fn anew(&mut self) {
        self.0.clear();
    }

    fn entry(&mut self, entry: &journal::Entry<'_>) {
        let mut bytes = if entry.is_sound() { entry.payload } else { &[] };
        while let Some((path, value, rest)) = read(bytes) {
            self.0.insert(path, value);
            bytes = rest;
        }
    }
}

impl Open {
    fn read(path: &Path) -> io::Result<Self> {
        let (mut journal, mut known) = (Journal::open(path)?, Known::default());
        journal.refresh(&mut known)?;
        Ok(Self { journal, known })
    }
}

impl Memo {
    pub fn at(path: PathBuf) -> Self {
        Self { path, open: None, learnt: HashMap::new(), young: HashMap::new(), unread: 0 }
    }

    fn known(&mut self) -> io::Result<&mut Open> {
        match &mut self.open {
            Some(open) => Ok(open),
            none => Ok(none.insert(Open::read(&self.path)?)),
        }
    }

    /// The digest of a file, if its stat is unchanged.
    pub fn get(&mut self, path: &Path, stat: &Stat) -> Option<Digest> {
        let path = path.as_os_str().as_bytes();
        if let Some((known, digest)) = self.learnt.get(path)
            && known == stat
        {
            return Some(*digest);
        }
        if self.open.is_none() && stat.size <= SMALL && self.unread < FEW {
            self.unread += 1;
            return None;
        }
        // A memo that cannot be read remembers nothing.
        let known = &self.known().ok()?.known.0;
        known.get(path).filter(|(known, _)| known == stat).map(|(_, digest)| *digest)
    }

    /// The digest that a file had when it was last checked.
    pub fn last(&mut self, path: &Path) -> Option<Digest> {
        let path = path.as_os_str().as_bytes();
        if let Some((_, digest)) = self.learnt.get(path) {
            return Some(*digest);
        }
        self.known().ok()?.known.0.get(path).map(|(_, digest)| *digest)
    }

    /// Which files had one of these inode numbers when they were last checked, with what `stat` reported then.
    pub fn with_numbers(&mut self, numbers: &HashSet<u64>) -> Vec<(PathBuf, Stat)> {
        // A memo that cannot be read remembers nothing.
        let _ = self.known();
        let known = self.open.iter().flat_map(|open| &open.known.0).chain(&self.learnt);
        let known = known.map(|(path, (stat, _))| (path, stat));
        let all = known.chain(&self.young).filter(|(_, stat)| numbers.contains(&stat.inode));
        all.map(|(path, stat)| (PathBuf::from(OsStr::from_bytes(path)), *stat)).collect()
    }

    /// Remembers that a file existed whose times are too recent to tell later whether it has changed.
    pub fn saw(&mut self, path: &Path, stat: Stat) {
        self.young.insert(path.as_os_str().as_bytes().to_vec(), stat);
    }

    /// Remembers a digest.
    pub fn put(&mut self, path: &Path, stat: Stat, digest: Digest) {
        self.learnt.insert(path.as_os_str().as_bytes().to_vec(), (stat, digest));
    }

    /// Writes what is new.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut learnt = std::mem::take(&mut self.learnt);
        if let Some(open) = &self.open {
            learnt.retain(|path, value| open.known.0.get(path) != Some(value));
        }
        // A few thousand of them are one entry of the journal, since each entry has a head and a checksum.
        let fresh: Vec<Vec<u8>> =
            learnt.iter().map(|(path, (stat, digest))| write(path, stat, digest)).collect();
        let payloads: Vec<Vec<u8>> = fresh.chunks(4096).map(|c| c.concat()).collect();
        match (payloads.is_empty(), &mut self.open) {
            (true, _) => {}
            (_, Some(open)) => {
                open.journal.append(&payloads, &mut open.known)?;
            }
            (_, None) => Journal::open(&self.path)?.append_blindly(&payloads)?,
        }
        Ok(())
    }
}

/// Some file systems keep times in whole seconds, or in steps of two seconds.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// Whether a file with these times, checked from `since` on, could have changed unnoticed (racy time stamps).
pub fn too_young(stat: &Stat, since: SystemTime) -> bool {
    let limit = |tick: Duration| {
        let limit = since.checked_sub(tick).and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        limit.map_or(i64::MIN, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
    };
    [stat.mtime, stat.ctime].into_iter().any(|time| match is_coarse(time) {
        true => time >= limit(COARSE_TICK + TICK),
        false => time >= limit(TICK),
    })
}

/// Whether a file may soon change without new times, even if its times are those that this process gave it a moment ago.
pub(super) fn has_coarse_young_times(stat: &Stat, since: SystemTime) -> bool {
    has_coarse_times(stat) && too_young(stat, since)
}

/// Whether the times of a file seem to be of whole seconds.
pub(super) fn has_coarse_times(stat: &Stat) -> bool {
    is_coarse(stat.mtime) || is_coarse(stat.ctime)
}

/// Whether a time seems to be of whole seconds.
fn is_coarse(time: i64) -> bool {
    time % 1_000_000_000 == 0
}

fn write(path: &[u8], stat: &Stat, digest: &Digest) -> Vec<u8> {
    let mut out = Vec::with_capacity(69 + path.len());
    for n in [stat.size, stat.mtime as u64, stat.ctime as u64, stat.inode] {
        out.extend(n.to_le_bytes());
    }
    out.push(u8::from(stat.executable));
    out.extend(digest.0);
    out.extend((path.len() as u32).to_le_bytes());
    out.extend(path);
    out
}

type Entry<'a> = (Vec<u8>, (Stat, Digest), &'a [u8]);

fn read(bytes: &[u8]) -> Option<Entry<'_>> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let stat = Stat {
        size: number(0)?,
        mtime: number(8)? as i64,
        ctime: number(16)? as i64,
        inode: number(24)?,
        executable: *bytes.get(32)? != 0,
    };
    let digest = Digest(bytes.get(33..65)?.try_into().ok()?);
    let length = u32::from_le_bytes(bytes.get(65..69)?.try_into().ok()?) as usize;
    let path = bytes.get(69..69 + length)?.to_vec();
    Some((path, (stat, digest), &bytes[69 + length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(mtime: i64) -> Stat {
        Stat { size: 2 * SMALL, mtime, ctime: 5, inode: 7, executable: true }
    }

    #[test]
    fn what_was_put_is_there_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memo");
        let mut memo = Memo::at(path.clone());
        let digest = Digest::derive("t", b"x");
        memo.put(Path::new("/a/b"), stat(1), digest);
        memo.put(Path::new("/a/c"), stat(2), digest);
        memo.flush().unwrap();
        let mut memo = Memo::at(path);
        assert_eq!(memo.get(Path::new("/a/b"), &stat(1)), Some(digest));
        assert_eq!(memo.get(Path::new("/a/b"), &stat(2)), None);
        assert_eq!(memo.get(Path::new("/a/c"), &stat(2)), Some(digest));
    }

    #[test]
    fn p3_a_file_changed_a_moment_ago_is_not_trusted() {
        let now = SystemTime::now();
        let ns = i64::try_from(now.duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        assert!(too_young(&Stat { ctime: 0, ..stat(ns) }, now));
        assert!(too_young(&Stat { ctime: ns + 1_000_000_000, ..stat(0) }, now));
        assert!(!too_young(&Stat { ctime: 1, ..stat(ns - 1_000_000_001) }, now));
    }

    #[test]
    fn p3_times_of_whole_seconds_are_young_for_longer() {
        let second = 1_000_000_000;
        let now = UNIX_EPOCH + Duration::from_millis(5_000_900);
        let whole = |seconds: i64| Stat { ctime: 1, ..stat(seconds * second) };
        assert!(too_young(&whole(5000), now) && too_young(&whole(4999), now));
        assert!(!too_young(&whole(4997), now));
        assert!(too_young(&Stat { ctime: 5000 * second, ..stat(1) }, now), "either time tells");
        assert!(has_coarse_young_times(&whole(5000), now) && !has_coarse_young_times(&whole(4000), now));
        assert!(!has_coarse_young_times(&stat(5000 * second + 1), now));
    }
}
