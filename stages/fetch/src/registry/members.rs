//! Members of a package file: a zip archive (wheels) or a compressed tar archive (npm, source packages). All names are checked
//! before a file is written, and the unpacked size is limited by the size of the archive.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use lfs_stage::{Failure, IoContext, Result};

use crate::digest::Hashes;
use crate::names;
use crate::place::Item;
use crate::source::Registry;

/// The unpacked size that is allowed for any archive, whatever its own size.
const FREE: u64 = if cfg!(test) { 1 << 20 } else { 1 << 30 };
/// The allowed ratio of sizes beyond that.
const RATIO: u64 = 100;
/// The maximum number of members.
const MOST: usize = 65_534;

enum Form {
    Zip,
    TarGz {
        /// Whether all names lie below one folder, which is stripped.
        inside: bool,
    },
}

/// A package file.
pub(super) struct Archive {
    path: PathBuf,
    form: Form,
    names: Vec<String>,
    budget: u64,
}

fn damaged(e: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("the archive is damaged: {e}"))
        .help("ask the package's makers; its bytes are those that the registry has")
}

impl Archive {
    /// Reads and checks the names.
    pub fn open(path: &Path, registry: Registry) -> Result<Self> {
        let mut file = File::open(path).doing("read", path)?;
        let size = file.metadata().doing("read", path)?.len();
        let mut start = Vec::new();
        (&mut file).take(4).read_to_end(&mut start).doing("read", path)?;
        let form = match start.as_slice() {
            [b'P', b'K', 3 | 5, 4 | 6] => Form::Zip,
            [0x1f, 0x8b, ..] => Form::TarGz { inside: registry == Registry::Npm },
            _ => return Err(damaged(&"it is neither a zip archive nor a compressed tar archive")),
        };
        let budget = FREE.saturating_add(size.saturating_mul(RATIO));
        let mut archive = Self { path: path.to_owned(), form, names: Vec::new(), budget };
        let mut names = Vec::new();
        archive.each(&mut |name, content| {
            names.push(name.to_owned());
            // Read to the end, to check that the member is intact.
            std::io::copy(content, &mut std::io::sink()).map_err(|e| damaged(&e))?;
            if names.len() > MOST {
                Err(Failure::new(format!("the archive has more than {MOST} members")))
            } else {
                Ok(())
            }
        })?;
        names::all_safe(names.iter().map(String::as_str))?;
        names.sort();
        archive.names = names;
        Ok(archive)
    }

    /// The members' names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// Unpacks these members into an empty folder.
    pub fn take(&self, chosen: &[&str], folder: &Path) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        self.each(&mut |name, content| {
            if chosen.binary_search(&name).is_err() {
                return std::io::copy(content, &mut std::io::sink()).map(|_| ()).map_err(|e| damaged(&e));
            }
            let path = folder.join(names::safe(name)?);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).doing("create", parent)?;
            }
            let mut file = File::create_new(&path).doing("create", &path)?;
            let bytes = std::io::copy(content, &mut file).map_err(|e| damaged(&e))?;
            let mut hashes = Hashes::new(None, None);
            File::open(&path).and_then(|f| hashes.read(f)).doing("read", &path)?;
            items.push(Item { name: name.to_owned(), path, bytes, sha256: hashes.finish().sha256 });
            Ok(())
        })?;
        items.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(items)
    }

    /// Visits the files.
    fn each(&self, doing: &mut dyn FnMut(&str, &mut dyn Read) -> Result<()>) -> Result<()> {
        let file = BufReader::new(File::open(&self.path).doing("read", &self.path)?);
        let mut left = Left { bytes: self.budget, all: self.budget };
        match self.form {
            Form::Zip => zip(file, &mut left, doing),
            Form::TarGz { inside } => tar(MultiGzDecoder::new(file), inside, &mut left, doing),
        }
    }
}

/// The remaining budget of unpacked bytes.
struct Left {
    bytes: u64,
    all: u64,
}

impl Left {
    /// A reader of a member that fails when the budget is exceeded.
    fn bound<'a>(&'a mut self, content: &'a mut dyn Read) -> Bound<'a> {
        Bound { left: self, content }
    }
}

struct Bound<'a> {
    left: &'a mut Left,
    content: &'a mut dyn Read,
}

impl Read for Bound<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.content.read(buffer)?;
        let all = self.left.all;
        self.left.bytes = self.left.bytes.checked_sub(n as u64).ok_or_else(|| {
            std::io::Error::other(format!(
                "its content is larger than {all} bytes, far larger than the archive itself"
            ))
        })?;
        Ok(n)
    }
}

fn link(name: &str) -> Failure {
    Failure::new(format!("the member `{}` is a link; links are not followed", name.escape_debug()))
        .help("the package is of no use here as it is; ask its makers")
}

fn zip(
    mut file: BufReader<File>,
    left: &mut Left,
    doing: &mut dyn FnMut(&str, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let counted = entries(&mut file);
    let mut archive = zip::ZipArchive::new(file).map_err(|e| damaged(&e))?;
    // The zip crate silently keeps one of several members with the same name.
    if counted != Some(archive.len()) {
        return Err(Failure::new(format!(
            "a name occurs twice in the archive, or it has more than {MOST} members: its directory lists {}, with {} distinct names",
            counted.map_or("more".to_owned(), |n| n.to_string()),
            archive.len()
        ))
        .help("it is ambiguous which of two is meant"));
    }
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(|e| damaged(&e))?;
        let name =
            String::from_utf8(entry.name_raw().to_vec()).map_err(|_| damaged(&"a name is not UTF-8"))?;
        if entry.is_symlink() {
            return Err(link(&name));
        } else if !entry.is_dir() {
            doing(&name, &mut left.bound(&mut entry))?;
        } else {
            names::safe(name.trim_end_matches('/'))?;
        }
    }
    Ok(())
}

/// The number of members by the central directory of a zip archive, if it fits in two bytes.
fn entries(file: &mut (impl Read + Seek)) -> Option<usize> {
    let length = file.seek(SeekFrom::End(0)).ok()?;
    file.seek(SeekFrom::Start(length.saturating_sub(22 + 65_535))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    file.rewind().ok()?;
    let end = (0..=tail.len().checked_sub(22)?).rev().find(|&i| tail[i..].starts_with(b"PK\x05\x06"))?;
    let count = u16::from_le_bytes(*tail.get(end + 10..)?.first_chunk()?);
    (count < u16::MAX).then_some(usize::from(count))
}

fn tar(
    reader: impl Read,
    inside: bool,
    left: &mut Left,
    doing: &mut dyn FnMut(&str, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(|e| damaged(&e))? {
        let mut entry = entry.map_err(|e| damaged(&e))?;
        let whole = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| damaged(&"a name is not UTF-8"))?;
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            return Err(link(&whole));
        }
        // Folders are created with their files; devices and other special entries are not data.
        if !(kind.is_file() || kind.is_contiguous()) {
            continue;
        }
        names::safe(&whole)?;
        let name =
            if inside { whole.split_once('/').map_or(whole.as_str(), |(_, rest)| rest) } else { &whole };
        doing(name, &mut left.bound(&mut entry))?;
    }
    Ok(())
}
