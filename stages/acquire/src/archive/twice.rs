//! Duplicate entry names in a zip archive.
//!
//! The zip crate silently keeps one of several entries with the same name; the central directory lists them all.

use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};

/// The maximum size of an archive's end record, with the longest comment.
const END: u64 = 22 + 65_535;
/// The maximum size of a central directory that is searched.
const LARGEST: u64 = 1 << 30;

/// The first duplicate name in the central directory; none if the directory is malformed, which the zip crate reports.
pub(super) fn first(file: &mut (impl Read + Seek)) -> Option<String> {
    let length = file.seek(SeekFrom::End(0)).ok()?;
    let start = length.saturating_sub(END);
    let tail = part(file, start, length - start)?;
    let end = (0..=tail.len().checked_sub(22)?).rev().find(|&i| tail[i..].starts_with(b"PK\x05\x06"))?;
    let mut size = u64::from(u32::from_le_bytes(*tail.get(end + 12..)?.first_chunk()?));
    let mut stop = start + end as u64;
    if size == u64::from(u32::MAX) {
        let locator =
            end.checked_sub(20).and_then(|i| tail.get(i..)).filter(|l| l.starts_with(b"PK\x06\x07"))?;
        stop = u64::from_le_bytes(*locator.get(8..)?.first_chunk()?);
        size = u64::from_le_bytes(*part(file, stop, 56)?.get(40..)?.first_chunk()?);
    }
    let directory = part(file, stop.checked_sub(size)?, size.min(LARGEST))?;
    let mut seen = HashSet::new();
    let mut rest = directory.as_slice();
    while rest.starts_with(b"PK\x01\x02") {
        let two = |at: usize| Some(usize::from(u16::from_le_bytes(*rest.get(at..)?.first_chunk()?)));
        let name = rest.get(46..46 + two(28)?)?;
        // Folder entries may be repeated: they have no content.
        if !name.ends_with(b"/") && !name.ends_with(b"\\") && !seen.insert(name) {
            return Some(String::from_utf8_lossy(name).into_owned());
        }
        rest = rest.get(46 + two(28)? + two(30)? + two(32)?..)?;
    }
    None
}

fn part(file: &mut (impl Read + Seek), start: u64, length: u64) -> Option<Vec<u8>> {
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
