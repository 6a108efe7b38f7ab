//! Unpacks untrusted archives.
//!
//! Every path must stay below the target folder, duplicate entries and links are refused, and the total size is limited by the size
//! of the archive.
//!
//! Names are UTF-8. In a zip archive, a name without the UTF-8 flag that is not valid UTF-8 is decoded with code page 437, as the
//! format specifies, with a warning. An invalid name with the flag, or in a tar archive, is refused.

mod twice;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use lfs_stage::{Failure, IoContext, Result};

/// The total size that is allowed for any archive, whatever its own size.
const FREE: u64 = if cfg!(test) { 1 << 20 } else { 1 << 30 };

/// The archive formats, recognised by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Zip,
    Tar,
    TarGz,
}

/// The format of a file, if it is an archive.
pub(crate) fn format(path: &Path) -> Result<Option<Format>> {
    let mut start = Vec::new();
    File::open(path).and_then(|f| f.take(512).read_to_end(&mut start)).doing("read", path)?;
    Ok(match start.as_slice() {
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Some(Format::Zip),
        [0x1f, 0x8b, ..] => Some(Format::TarGz),
        _ if start.get(257..262) == Some(b"ustar") => Some(Format::Tar),
        _ => None,
    })
}

/// Unpacks an archive into an empty folder; returns a warning for the user, if any.
pub(crate) fn unpack(path: &Path, format: Format, target: &Path, ratio: u32) -> Result<Option<String>> {
    let size = std::fs::metadata(path).doing("read", path)?.len();
    let budget = FREE + size.saturating_mul(u64::from(ratio));
    let mut out = Unpack { target, budget, left: budget, seen: HashSet::new() };
    let file = BufReader::new(File::open(path).doing("read", path)?);
    match format {
        Format::Zip => zip(file, &mut out),
        Format::Tar => tar(file, &mut out).map(|()| None),
        Format::TarGz => tar(flate2::read::MultiGzDecoder::new(file), &mut out).map(|()| None),
    }
    .map_err(|e| Failure {
        message: format!("cannot unpack {}: {}", path.display(), e.message),
        help: e.help,
    })
}

fn zip(mut file: BufReader<File>, out: &mut Unpack<'_>) -> Result<Option<String>> {
    if let Some(name) = twice::first(&mut file) {
        return Err(is_there_twice(&name));
    }
    let mut guessed: Vec<String> = Vec::new();
    let damaged = |e: zip::result::ZipError| Failure::new(format!("the zip archive is damaged: {e}"));
    let mut archive = zip::ZipArchive::new(file).map_err(damaged)?;
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(damaged)?;
        let name = match String::from_utf8(entry.name_raw().to_vec()) {
            Ok(name) => name,
            // The zip crate decodes with code page 437, or inserts replacement characters if the UTF-8 flag is set wrongly.
            Err(e) if entry.name().contains('\u{fffd}') => return Err(not_utf8(e.as_bytes())),
            Err(_) => {
                guessed.push(format!("`{}`", entry.name()));
                entry.name().to_owned()
            }
        };
        if entry.is_dir() {
            out.entry(&name)?;
        } else if entry.is_symlink() {
            return Err(link(&name));
        } else {
            out.file(&name, &mut entry)?;
        }
    }
    let count = guessed.len();
    guessed.truncate(3);
    Ok((count > 0).then(|| {
        format!(
            "{count} names in the archive are not UTF-8 and were read by code page 437, as the format says: {}",
            guessed.join(", ")
        )
    }))
}

fn not_utf8(name: &[u8]) -> Failure {
    Failure::new(format!("the name of the entry `{}` is not UTF-8", name.escape_ascii()))
        .help("unpack it with a program that knows its encoding, and give the folder or pack it again")
}

fn is_there_twice(name: &str) -> Failure {
    Failure::new(format!("the entry `{name}` appears twice"))
        .help("it is ambiguous which of the two is meant: pack the files again")
}

fn tar(mut reader: impl Read, out: &mut Unpack<'_>) -> Result<()> {
    let damaged = |e: std::io::Error| Failure::new(format!("the tar archive is damaged: {e}"));
    let mut archive = tar::Archive::new(&mut reader);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|e| not_utf8(e.as_bytes()))?;
        let kind = entry.header().entry_type();
        if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            out.file(&name, &mut entry)?;
        } else if kind.is_symlink() || kind.is_hard_link() {
            return Err(link(&name));
        } else {
            // Folders are created with their files; data sets need no devices or other special entries.
            out.entry(&name)?;
        }
    }
    // Read to the end, where a compressed file has its checksum.
    let rest = std::io::copy(&mut reader.take(out.left + 1), &mut std::io::sink()).map_err(damaged)?;
    out.spend(rest)
}

fn link(name: &str) -> Failure {
    Failure::new(format!("the entry `{name}` is a link; links are not followed"))
        .help("pack the files themselves")
}

struct Unpack<'a> {
    target: &'a Path,
    budget: u64,
    left: u64,
    seen: HashSet<PathBuf>,
}

impl Unpack<'_> {
    fn spend(&mut self, bytes: u64) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            Failure::new(format!(
                "its content is larger than {} bytes, far larger than the archive itself",
                self.budget
            ))
            .help("if that is right, raise `unpack-ratio`")
        })?;
        Ok(())
    }

    /// Counts an entry; an empty one counts as one block.
    fn entry(&mut self, name: &str) -> Result<()> {
        self.spend(512)?;
        safe(name).map(|_| ())
    }

    fn file(&mut self, name: &str, content: &mut impl Read) -> Result<()> {
        self.entry(name)?;
        let relative = safe(name)?;
        if !self.seen.insert(relative.clone()) {
            return Err(is_there_twice(name));
        }
        let path = self.target.join(relative);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).doing("create", folder)?;
        }
        let mut file = File::create_new(&path).doing("create", &path)?;
        let written = std::io::copy(&mut content.take(self.left + 1), &mut file)
            .map_err(|e| Failure::new(format!("the entry `{name}` cannot be unpacked: {e}")))?;
        self.spend(written)
    }
}

/// The path of the entry, if it stays below the target.
fn safe(name: &str) -> Result<PathBuf> {
    let name = name.replace('\\', "/");
    if name.starts_with('/') {
        return Err(Failure::new(format!(
            "the entry `{name}` starts with a slash: it is a place on the machine that packed it, not in the archive, and so leads out of \
             the archive"
        ))
        .help("pack the files again with paths below their folder"));
    }
    // `C:` is a drive; other colons are ordinary characters.
    let is_drive = |part: &str| matches!(part.as_bytes(), [letter, b':'] if letter.is_ascii_alphabetic());
    let mut path = PathBuf::new();
    for part in Path::new(&name).components() {
        let text = part.as_os_str().to_string_lossy();
        let leads_out = text.contains('\0') || path.as_os_str().is_empty() && is_drive(&text);
        match part {
            Component::Normal(part) if !leads_out => path.push(part),
            Component::CurDir => {}
            _ => {
                return Err(Failure::new(format!("the entry `{name}` leads out of the archive"))
                    .help("the archive is not to be trusted"));
            }
        }
    }
    Ok(path)
}
