//! Digests of bytes, files and folders.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use blake3::hazmat::{self, ChainingValue, HasherExt, Mode};
use rustix::fs::{AtFlags, FileType};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Files above this size are read and hashed by several threads, in blocks of this size.
const BLOCK: u64 = 1 << 20;

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

/// A hasher for digests, which are uniformly distributed already: it takes their first bytes.
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

    // The length prefix is the same for all digests.
    fn write_usize(&mut self, _: usize) {}
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What hashing a file found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHash {
    /// The digest of the bytes.
    pub digest: Digest,
    /// Some process has the file open for writing, or mapped: it may change without a new modification time.
    pub has_writer: bool,
}

/// Hashes a regular file of `size` bytes.
///
/// # Errors
/// When it cannot be read, or became shorter meanwhile.
pub fn hash_file(path: &Path, size: u64) -> std::io::Result<FileHash> {
    let file = File::open(path)?;
    let has_writer = crate::writers::has_writer(&file);
    let digest = if size > BLOCK { hash_large(&file, size) } else { hash_small(&file, size) };
    digest.map(|digest| FileHash { digest, has_writer })
}

fn hash_small(mut file: &File, size: u64) -> std::io::Result<Digest> {
    BUFFER.with_borrow_mut(|buffer| {
        // One byte more than the file is expected to have, so that the same read finds its end.
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

/// Files are read and not mapped: if another process truncates a mapped file, reading it ends this process with a signal.
fn hash_large(file: &File, size: u64) -> std::io::Result<Digest> {
    let left = hazmat::left_subtree_len(size);
    let (left, right) = rayon::join(|| subtree(file, 0, left), || subtree(file, left, size - left));
    let hash = hazmat::merge_subtrees_root(&left?, &right?, Mode::Hash);
    Ok(Digest(*hash.as_bytes()))
}

/// The chaining value of a part of a file that is a subtree of its hash.
fn subtree(file: &File, from: u64, size: u64) -> std::io::Result<ChainingValue> {
    if size > BLOCK {
        let left = hazmat::left_subtree_len(size);
        let (left, right) =
            rayon::join(|| subtree(file, from, left), || subtree(file, from + left, size - left));
        return Ok(hazmat::merge_subtrees_non_root(&left?, &right?, Mode::Hash));
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(size as usize, 0);
        file.read_exact_at(buffer, from).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                std::io::Error::new(e.kind(), "it became shorter while it was read")
            }
            _ => e,
        })?;
        Ok(blake3::Hasher::new().set_input_offset(from).update(buffer).finalize_non_root())
    })
}

/// One file of a folder, or an empty folder below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The path below the folder, with `/`; that of an empty folder ends in `/`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What `stat` reports of it; all zeros for an empty folder.
    pub stat: Stat,
    /// The file has other names too (hard links).
    pub is_linked: bool,
}

impl Leaf {
    /// Whether it is a file, and not an empty folder.
    pub fn is_file(&self) -> bool {
        !self.name.ends_with('/')
    }
}

/// What `stat` reports of a file. Equal values mean that the bytes are the same, as long as clocks do not go back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// Last change of the bytes, in nanoseconds since 1970.
    pub mtime: i64,
    /// Last change of bytes or name or rights, in nanoseconds since 1970. Programs cannot set it.
    pub ctime: i64,
    /// The inode number.
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

/// Identifies a file among all that were ever at its path. Inode numbers are used again; with the time of birth they are unique.
pub fn file_number(metadata: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let born = metadata.created().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    metadata.ino().rotate_left(40) ^ born.map_or(0, |t| t.as_nanos() as u64)
}

/// An open folder: paths below it are resolved from its descriptor, without walking to it each time.
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

    /// What `stat` reports of a file, and whether it is a folder.
    ///
    /// # Errors
    /// When it does not exist, or is neither a file nor a folder.
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

/// All regular files below a folder, and the empty folders below it, sorted by name. Links are followed.
///
/// # Errors
/// When something below it cannot be read, or is neither file nor folder.
pub fn leaves(root: &Path) -> std::io::Result<Vec<Leaf>> {
    use std::os::unix::fs::MetadataExt;
    let mut out = Vec::new();
    // A folder is empty if the next entry is not below it.
    let mut folder: Option<(usize, Leaf)> = None;
    for entry in walkdir::WalkDir::new(root).follow_links(true) {
        let entry = entry.map_err(own)?;
        if let Some((depth, empty)) = folder.take()
            && entry.depth() <= depth
        {
            out.push(empty);
        }
        let kind = entry.file_type();
        if !kind.is_dir() && !kind.is_file() {
            let text = format!("{} is neither a file nor a folder", entry.path().display());
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
        }
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let Some(name) = below.to_str() else {
            let text = format!("the name of {} is not UTF-8", entry.path().display());
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
        };
        let path = entry.path().to_owned();
        if kind.is_dir() {
            if entry.depth() > 0 {
                let empty = Leaf { name: format!("{name}/"), path, stat: Stat::default(), is_linked: false };
                folder = Some((entry.depth(), empty));
            }
            continue;
        }
        let metadata = entry.metadata().map_err(own)?;
        out.push(Leaf {
            name: name.to_owned(),
            path,
            stat: Stat::from(&metadata),
            is_linked: metadata.nlink() > 1,
        });
    }
    out.extend(folder.map(|(_, empty)| empty));
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(out)
}

/// The I/O error behind an error of a walk, with its error number.
fn own(e: walkdir::Error) -> std::io::Error {
    let text = e.to_string();
    e.into_io_error().unwrap_or_else(|| std::io::Error::other(text))
}

/// The digest of a folder: of the names, execute bits and digests of its files, in order of name. An empty folder counts as a name
/// that ends in `/`, without a digest.
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
    fn a_file_of_any_size_has_the_digest_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let block = BLOCK as usize;
        for size in [
            0,
            1,
            block - 1,
            block,
            block + 1,
            2 * block,
            2 * block + 1,
            3 * block,
            5 * block + 1024,
            7 * block + 77,
        ] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            let found = hash_file(&path, size as u64).unwrap();
            assert_eq!(found.digest.0, *blake3::hash(&bytes).as_bytes(), "{size}");
            assert!(!found.has_writer);
        }
        // A file that has grown by up to a block since its size was read is read to its end.
        std::fs::write(&path, "grown").unwrap();
        assert_eq!(hash_file(&path, 0).unwrap().digest.0, *blake3::hash(b"grown").as_bytes());
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error_and_no_signal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![1; 3 * BLOCK as usize]).unwrap();
        let e = hash_file(&path, 9 * BLOCK).unwrap_err();
        assert!(e.to_string().contains("shorter"), "{e}");
    }

    #[test]
    fn empty_folders_are_leaves_and_folders_with_something_are_not() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["a/b", "a/c/d", "z"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("a/c/f"), "x").unwrap();
        let names: Vec<String> = leaves(dir.path()).unwrap().into_iter().map(|l| l.name).collect();
        assert_eq!(names, ["a/b/", "a/c/d/", "a/c/f", "z/"]);
        assert!(leaves(&dir.path().join("z")).unwrap().is_empty());
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
