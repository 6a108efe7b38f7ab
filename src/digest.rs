//! Digests of bytes, files and folders.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{AtFlags, FileType};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Files from this size on are mapped and hashed by several threads.
const LARGE: u64 = 1 << 20;

/// A 256-bit blake3 digest.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes under a context: equal bytes under other contexts have other digests.
    pub fn derive(context: &str, bytes: &[u8]) -> Self {
        Self(blake3::derive_key(context, bytes))
    }

    /// The first twelve hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl FromStr for Digest {
    type Err = blake3::HexError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(s).map(|h| Self(*h.as_bytes()))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match s.is_human_readable() {
            true => s.collect_str(self),
            // At once, not byte by byte.
            false => s.serialize_bytes(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if !d.is_human_readable() {
            let bytes = <&[u8]>::deserialize(d)?;
            return bytes.try_into().map(Self).map_err(D::Error::custom);
        }
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// A place in a table for what is random already.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByItself;

impl BuildHasher for ByItself {
    type Hasher = First;

    fn build_hasher(&self) -> First {
        First(0)
    }
}

/// The first eight bytes of a digest.
#[derive(Debug)]
pub struct First(u64);

impl Hasher for First {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // The number of bytes, which is the same for all.
    fn write_usize(&mut self, _: usize) {}
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Hashes a regular file.
///
/// # Errors
/// When it cannot be read.
pub fn hash_file(path: &Path, size: u64) -> std::io::Result<Digest> {
    if size >= LARGE {
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap_rayon(path)?;
        return Ok(Digest(*hasher.finalize().as_bytes()));
    }
    BUFFER.with_borrow_mut(|buffer| {
        let mut file = File::open(path)?;
        // One byte more than the file is said to have: the end is found by the same read.
        buffer.resize(size as usize + 1, 0);
        let mut filled = 0;
        loop {
            match file.read(&mut buffer[filled..])? {
                0 => return Ok(Digest(*blake3::hash(&buffer[..filled]).as_bytes())),
                n => filled += n,
            }
            if filled == buffer.len() {
                buffer.resize(2 * filled, 0);
            }
        }
    })
}

/// One file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The path below the folder, with `/`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What the file system says of it.
    pub stat: Stat,
}

/// What the file system says of a file: equal values mean that the bytes are the same, as long as clocks go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// Last change of the bytes, in nanoseconds since 1970.
    pub mtime: i64,
    /// Last change of bytes or name or rights, in nanoseconds since 1970. Programs cannot set it.
    pub ctime: i64,
    /// The file's number.
    pub inode: u64,
    /// Whether its owner may execute it.
    pub executable: bool,
}

impl From<&std::fs::Metadata> for Stat {
    fn from(m: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            size: m.len(),
            mtime: m.mtime() * 1_000_000_000 + m.mtime_nsec(),
            ctime: m.ctime() * 1_000_000_000 + m.ctime_nsec(),
            inode: m.ino(),
            executable: m.mode() & 0o100 != 0,
        }
    }
}

/// What tells a file from all others that ever lie at its path. Numbers of files come back; with the time of birth
/// they do not.
pub fn file_number(metadata: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let born = metadata.created().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    metadata.ino().rotate_left(40) ^ born.map_or(0, |t| t.as_nanos() as u64)
}

/// An open folder: paths below it are found without walking to it each time.
pub struct Root {
    path: PathBuf,
    folder: OwnedFd,
}

impl Root {
    /// Opens a folder.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), folder: File::open(path)?.into() })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file system says of a file, and whether it is a folder.
    ///
    /// # Errors
    /// When it is not there, or neither a file nor a folder.
    pub fn stat(&self, path: &Path) -> std::io::Result<(Stat, bool)> {
        let below = path.strip_prefix(&self.path).unwrap_or(path);
        let stat = rustix::fs::statat(&self.folder, below, AtFlags::empty())?;
        let folder = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => return Err(std::io::ErrorKind::InvalidInput.into()),
        };
        // Nanoseconds are below 10^9, whatever the type.
        let time = |seconds: i64, nanoseconds: u64| seconds * 1_000_000_000 + nanoseconds as i64;
        let stat = Stat {
            size: stat.st_size.cast_unsigned(),
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            ctime: time(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
            executable: stat.st_mode & 0o100 != 0,
        };
        Ok((stat, folder))
    }
}

/// All regular files below a folder, sorted by name. Links are followed; a folder that holds nothing does not
/// count.
///
/// # Errors
/// When something below it cannot be read, or is neither file nor folder.
pub fn leaves(root: &Path) -> std::io::Result<Vec<Leaf>> {
    let mut out = Vec::new();
    for entry in walkdir::WalkDir::new(root).follow_links(true) {
        let entry = entry.map_err(own)?;
        let kind = entry.file_type();
        if kind.is_dir() {
            continue;
        }
        if !kind.is_file() {
            let text = format!("{} is neither a file nor a folder", entry.path().display());
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
        }
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let Some(name) = below.to_str() else {
            let text = format!("the name of {} is not UTF-8", entry.path().display());
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
        };
        let stat = Stat::from(&entry.metadata().map_err(own)?);
        out.push(Leaf { name: name.to_owned(), path: entry.path().to_owned(), stat });
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(out)
}

/// The error of the system behind one of a walk, with its number.
fn own(e: walkdir::Error) -> std::io::Error {
    let text = e.to_string();
    e.into_io_error().unwrap_or_else(|| std::io::Error::other(text))
}

/// The digest of a folder: of the names, execute bits and digests of its files, in order of name.
pub fn fold<'a>(leaves: impl Iterator<Item = (&'a str, bool, Digest)>) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("lfs-pipe 2026 folder v1");
    for (name, executable, digest) in leaves {
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        hasher.update(&[u8::from(executable)]).update(&digest.0);
    }
    Digest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_has_the_digest_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let bytes: Vec<u8> = (0..3 * LARGE as usize).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(hash_file(&path, bytes.len() as u64).unwrap().0, *blake3::hash(&bytes).as_bytes());
        assert_eq!(hash_file(&path, 0).unwrap().0, *blake3::hash(&bytes).as_bytes());
    }

    #[test]
    fn a_folders_digest_sees_names_bytes_and_execute_bits_and_no_order() {
        let (a, b) = (Digest::derive("t", b"a"), Digest::derive("t", b"b"));
        let base = fold([("x", false, a), ("y", false, b)].into_iter());
        assert_ne!(base, fold([("x", false, a), ("z", false, b)].into_iter()));
        assert_ne!(base, fold([("x", false, b), ("y", false, a)].into_iter()));
        assert_ne!(base, fold([("x", true, a), ("y", false, b)].into_iter()));
        // A name cannot run into the next entry.
        assert_ne!(fold([("ab", false, a)].into_iter()), fold([("a", false, a)].into_iter()));
    }

    #[test]
    fn a_digest_survives_json() {
        let digest = Digest::derive("t", b"x");
        let text = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("\"12\"").is_err());
    }
}
