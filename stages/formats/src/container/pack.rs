//! Archives of `identity/image.jpg`, read entry by entry without unpacking to disk.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::folder::above;
use super::{Container, Item, Look, Sink};
use crate::DataError;
use crate::names::{is_image, is_litter};

/// The maximum size of a file in an archive.
pub(super) const LONGEST: u64 = 1 << 28;

pub(super) fn is_zip(look: &Look) -> bool {
    matches!(look.start.as_slice(), [b'P', b'K', 3 | 5, 4 | 6, ..])
}

pub(super) fn is_tar(look: &Look) -> bool {
    look.begins(&[0x1f, 0x8b]) || look.start.get(257..262) == Some(b"ustar")
}

pub(super) fn open_zip(path: &Path) -> Result<Box<dyn Container>, DataError> {
    Ok(Box::new(Zip { path: path.to_owned() }))
}

pub(super) fn open_tar(path: &Path) -> Result<Box<dyn Container>, DataError> {
    Ok(Box::new(Tar { path: path.to_owned() }))
}

struct Zip {
    path: PathBuf,
}

struct Tar {
    path: PathBuf,
}

/// The path of an entry with forward slashes; an error if it leads out of the archive.
pub(super) fn inside(name: &str) -> Result<String, DataError> {
    let name = crate::names::tidy(name);
    let bad = name.starts_with('/') || name.contains('\0') || name.split('/').any(|p| p == "..");
    let drive = matches!(name.as_bytes(), [l, b':', ..] if l.is_ascii_alphabetic());
    if bad || drive {
        return Err(DataError::new(format!(
            "the entry `{name}` leads out of the archive: it is not to be trusted"
        )));
    }
    Ok(name)
}

/// Reads a whole entry without trusting its stated length.
pub(super) fn content(name: &str, from: &mut dyn Read, into: &mut Vec<u8>) -> Result<(), DataError> {
    into.clear();
    from.take(LONGEST + 1).read_to_end(into).map_err(|e| {
        DataError::new(format!("the entry `{name}` cannot be read: {e}; the archive is damaged or cut short"))
    })?;
    if into.len() as u64 > LONGEST {
        return Err(DataError::new(format!("the entry `{name}` is larger than {LONGEST} bytes")));
    }
    Ok(())
}

/// Visits a tar archive, compressed or not: `take` gets the path and content of each file.
pub(super) fn walk_tar(
    path: &Path,
    mut take: impl FnMut(String, &mut dyn Read) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let fail =
        |e: std::io::Error| DataError::new(format!("{}: the tar archive is damaged: {e}", path.display()));
    let start = Look::at(path)?;
    let file = BufReader::with_capacity(1 << 20, File::open(path).map_err(fail)?);
    let mut reader: Box<dyn Read> = if start.begins(&[0x1f, 0x8b]) {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut archive = tar::Archive::new(&mut reader);
    for entry in archive.entries().map_err(fail)? {
        let mut entry = entry.map_err(fail)?;
        let kind = entry.header().entry_type();
        if !(kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse()) {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        take(name, &mut entry).map_err(|e| e.within(path.display()))?;
    }
    // Read to the end, where a compressed file has its checksum.
    std::io::copy(&mut reader, &mut std::io::sink()).map(|_| ()).map_err(fail)
}

/// Passes an entry to the sink, or skips it.
fn give(
    name: &str,
    from: &mut dyn Read,
    buffer: &mut Vec<u8>,
    seen: &mut HashSet<String>,
    sink: &mut dyn Sink,
) -> Result<(), DataError> {
    let name = inside(name)?;
    if name.split('/').any(is_litter) {
        return Ok(());
    }
    if !is_image(&name) {
        sink.passed_over(&name, "no image by its ending");
        return Ok(());
    }
    if !seen.insert(name.clone()) {
        return Err(DataError::new(format!(
            "the entry `{name}` occurs twice: it is ambiguous which is meant"
        )));
    }
    content(&name, from, buffer)?;
    sink.item(Item { name: &name, identity: above(&name), image: buffer, points: None, group: None })
}

impl Container for Zip {
    fn read(&self, sink: &mut dyn Sink) -> Result<(), DataError> {
        let fail = |e: &dyn std::fmt::Display| {
            DataError::new(format!("{}: the zip archive is damaged: {e}", self.path.display()))
        };
        let file = BufReader::new(File::open(&self.path).map_err(|e| fail(&e))?);
        let mut archive = zip::ZipArchive::new(file).map_err(|e| fail(&e))?;
        let (mut buffer, mut seen) = (Vec::new(), HashSet::new());
        for k in 0..archive.len() {
            let mut entry = archive.by_index(k).map_err(|e| fail(&e))?;
            if entry.is_dir() {
                continue;
            }
            let name = entry.name().to_owned();
            if entry.is_symlink() {
                sink.passed_over(&name, "it is a link");
                continue;
            }
            give(&name, &mut entry, &mut buffer, &mut seen, sink)
                .map_err(|e| e.within(self.path.display()))?;
        }
        Ok(())
    }
}

impl Container for Tar {
    fn read(&self, sink: &mut dyn Sink) -> Result<(), DataError> {
        let (mut buffer, mut seen) = (Vec::new(), HashSet::new());
        walk_tar(&self.path, |name, from| give(&name, from, &mut buffer, &mut seen, sink))
    }
}
