//! For stages that process each row of a data set independently: running the work on several threads ([`Work`]), and keeping the
//! result of each row for reuse by a later run.
//!
//! Such a stage writes a file beside its result: one line a row, with a [`Digest`] of everything that the row's result depends on,
//! and the result of the row. When the stage runs again because some rows changed, it gets its earlier result
//! ([`lfs_stage::Context::earlier`]) and reuses the lines of unchanged rows. A line is reused only if its digest matches, so that
//! the output has the same bytes either way.
//!
//! ```text
//! {"source":"5f0c..","done":"cropped","row":0,..}
//! ```

mod work;

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{BufWriter, Write};
use std::marker::PhantomData;
use std::path::Path;

use lfs_faces::dataset::FaceRef;
use lfs_stage::{IoContext, Result};
use memmap2::Mmap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
pub use work::{Work, threads};

/// The name of the file of row results.
pub const FILE: &str = "rows.jsonl";

/// The first 16 bytes of a BLAKE3 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(u128);

impl Digest {
    /// The digest of a byte string.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts(&[bytes])
    }

    /// The digest of several byte strings and their lengths.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut first = [0; 16];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(u128::from_be_bytes(first))
    }

    /// The digest of a face: the image, and its landmarks bit for bit.
    pub fn of_face(face: &FaceRef<'_>) -> Self {
        let numbers = face.points.iter().flatten().flatten();
        let points: Vec<u8> = numbers.flat_map(|v| v.to_bits().to_le_bytes()).collect();
        Self::of_parts(&[face.image, &points])
    }

    /// Parses 32 hexadecimal digits.
    fn parse(digits: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(digits).ok().filter(|t| t.len() == DIGITS && !t.starts_with('+'))?;
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

const DIGITS: usize = 32;

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:032x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        Self::parse(text.as_bytes()).ok_or_else(|| serde::de::Error::custom("expected 32 hexadecimal digits"))
    }
}

/// A line. The digest is its first field, so that it can be found without parsing the others.
#[derive(Serialize)]
struct Line<'a, T> {
    source: Digest,
    #[serde(flatten)]
    made: &'a T,
}

const START: &[u8] = b"{\"source\":\"";

/// Writes the file.
pub struct Writer<T> {
    file: BufWriter<File>,
    of: PhantomData<fn(&T)>,
}

impl<T: Serialize> Writer<T> {
    /// Creates the file in `folder`, and the folder if it is missing.
    ///
    /// # Errors
    /// If either cannot be created.
    pub fn create(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).doing("create", folder)?;
        let path = folder.join(FILE);
        let file = BufWriter::with_capacity(1 << 18, File::create(&path).doing("create", &path)?);
        Ok(Self { file, of: PhantomData })
    }

    /// Appends the result of a row. `made` is a struct or an internally tagged enum: its fields follow the digest.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn push(&mut self, source: Digest, made: &T) -> Result<()> {
        serde_json::to_writer(&mut self.file, &Line { source, made }).doing("write", Path::new(FILE))?;
        self.file.write_all(b"\n").doing("write", Path::new(FILE))
    }

    /// Flushes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.file.flush().doing("write", Path::new(FILE))
    }
}

/// The row results of an earlier run.
pub struct Earlier<T> {
    file: Option<Mmap>,
    /// The offset of the line with a digest.
    lines: HashMap<u128, u64, BuildHasherDefault<OwnHash>>,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Earlier<T> {
    /// Indexes the lines of the file in `folder`. A missing file and malformed lines are ignored without an error: those rows are
    /// computed again.
    pub fn open(folder: &Path) -> Self {
        let mut earlier = Self { file: None, lines: HashMap::default(), of: PhantomData };
        let Ok(file) = File::open(folder.join(FILE)) else { return earlier };
        // SAFETY: the map is read only, and no process writes to a finished result; if the file is truncated meanwhile, the process
        // ends with a bus error, not with wrong data.
        #[allow(unsafe_code)]
        let Ok(map) = (unsafe { Mmap::map(&file) }) else { return earlier };
        let mut start = 0;
        while let Some(line) = map.get(start..).filter(|rest| !rest.is_empty()) {
            if let Some(digest) = line.strip_prefix(START).and_then(|l| Digest::parse(l.get(..DIGITS)?)) {
                earlier.lines.insert(digest.0, start as u64);
            }
            start += memchr::memchr(b'\n', line).map_or(line.len(), |end| end + 1);
        }
        earlier.file = Some(map);
        earlier
    }

    /// The earlier result of a row.
    pub fn get(&self, source: Digest) -> Option<T> {
        let start = usize::try_from(*self.lines.get(&source.0)?).ok()?;
        let rest = self.file.as_ref()?.get(start..)?;
        let line = &rest[..memchr::memchr(b'\n', rest)?];
        serde_json::from_slice(line).ok()
    }
}

/// Uses the digest itself as the hash: digests are uniformly distributed.
#[derive(Default)]
struct OwnHash(u64);

impl Hasher for OwnHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "done", rename_all = "kebab-case")]
    enum Made {
        Cropped { row: u32, residual: Option<f64> },
        Dropped { why: String },
    }

    fn file(folder: &Path, rows: &[(Digest, Made)]) {
        let mut writer = Writer::create(folder).unwrap();
        for (source, made) in rows {
            writer.push(*source, made).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn what_was_made_of_a_row_is_found_by_what_it_was_made_from() {
        let dir = tempfile::tempdir().unwrap();
        let cropped = Made::Cropped { row: 7, residual: Some(0.1 + 0.2) };
        let dropped = Made::Dropped { why: "it has no \"bytes\"\nat all".to_owned() };
        file(dir.path(), &[(Digest::of(b"a"), cropped.clone()), (Digest::of(b"b"), dropped.clone())]);
        let earlier = Earlier::open(dir.path());
        assert_eq!(earlier.get(Digest::of(b"a")), Some(cropped));
        assert_eq!(earlier.get(Digest::of(b"b")), Some(dropped));
        assert_eq!(earlier.get(Digest::of(b"c")), None);
        assert_eq!(Earlier::<Made>::open(&dir.path().join("elsewhere")).get(Digest::of(b"a")), None);
    }

    #[test]
    fn parts_with_the_same_concatenation_have_different_digests() {
        assert_ne!(Digest::of_parts(&[b"ab", b"c"]), Digest::of_parts(&[b"a", b"bc"]));
        assert_ne!(Digest::of_parts(&[b"ab", b""]), Digest::of_parts(&[b"ab"]));
    }

    proptest! {
        #[test]
        fn a_damaged_file_gives_nothing_or_what_was_written(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
            let dir = tempfile::tempdir().unwrap();
            let rows: Vec<_> = (0..20_u32).map(|k| (Digest::of(&k.to_le_bytes()), Made::Cropped { row: k, residual: None })).collect();
            file(dir.path(), &rows);
            let path = dir.path().join(FILE);
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len()).max(at + 1));
            std::fs::write(&path, &bytes).unwrap();
            let earlier = Earlier::<Made>::open(dir.path());
            for (source, made) in &rows {
                prop_assert!(earlier.get(*source).is_none_or(|found| found == *made));
            }
        }
    }
}
