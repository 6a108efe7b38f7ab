//! Values in a file, each preceded by its length and a digest of its bytes, so that damage is noticed.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::Serialize;
use serde::de::DeserializeOwned;

const LENGTH: usize = 8;
const HEAD: usize = LENGTH + 32;

/// The frame of a value.
pub(super) fn framed(value: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut bytes = postcard::to_extend(value, vec![0; HEAD]).map_err(std::io::Error::other)?;
    let length = (bytes.len() - HEAD) as u64;
    let check = blake3::hash(&bytes[HEAD..]);
    bytes[..LENGTH].copy_from_slice(&length.to_le_bytes());
    bytes[LENGTH..HEAD].copy_from_slice(check.as_bytes());
    Ok(bytes)
}

/// The end of the frame that begins at `from`; `None` if the file contains no whole one.
pub(super) fn end(file: &File, from: u64) -> Option<u64> {
    let mut length = [0; LENGTH];
    file.read_exact_at(&mut length, from).ok()?;
    let end = from.checked_add(HEAD as u64)?.checked_add(u64::from_le_bytes(length))?;
    (end <= file.metadata().ok()?.len()).then_some(end)
}

/// The bytes from one place of a file to another.
pub(super) fn bytes(file: &File, from: u64, to: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(to.checked_sub(from)?).ok()?];
    file.read_exact_at(&mut bytes, from).ok()?;
    Some(bytes)
}

/// The value that is framed between two places of a file; `None` if it is damaged or has another format.
pub(super) fn value<T: DeserializeOwned>(file: &File, from: u64, to: u64) -> Option<T> {
    let bytes = bytes(file, from, to)?;
    let (body, rest) = first(&bytes)?;
    postcard::from_bytes(body).ok().filter(|_| rest.is_empty())
}

/// The body of the first frame, and the bytes after it; `None` if it is torn or damaged.
pub(super) fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let length = usize::try_from(u64::from_le_bytes(head[..LENGTH].try_into().ok()?)).ok()?;
    let (body, rest) = rest.split_at_checked(length)?;
    (*blake3::hash(body).as_bytes() == head[LENGTH..]).then_some((body, rest))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn read(bytes: &[u8]) -> Option<(String, Vec<u32>)> {
        let file = file(bytes);
        value(&file, 0, end(&file, 0)?)
    }

    #[test]
    fn a_value_is_read_again_and_every_flipped_bit_is_noticed() {
        let said = ("text".to_owned(), vec![1_u32, 500_000]);
        let whole = framed(&said).unwrap();
        assert_eq!(read(&whole), Some(said));
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&bytes), None, "bit {bit}");
        }
        (0..whole.len()).for_each(|cut| assert_eq!(read(&whole[..cut]), None));
    }

    #[test]
    fn frames_are_read_up_to_the_first_damage() {
        let frames: Vec<Vec<u8>> = (0..5_u32).map(|n| framed(&n).unwrap()).collect();
        let whole = frames.concat();
        let all = |mut bytes: &[u8]| -> Vec<u32> {
            let mut out = Vec::new();
            while let Some((body, rest)) = first(bytes) {
                out.push(postcard::from_bytes(body).unwrap());
                bytes = rest;
            }
            out
        };
        assert_eq!(all(&whole), [0, 1, 2, 3, 4]);
        for cut in 0..whole.len() {
            assert_eq!(all(&whole[..cut]), (0..(cut / frames[0].len()) as u32).collect::<Vec<_>>());
        }
        let mut bytes = whole.clone();
        bytes[2 * frames[0].len() + 3] ^= 1;
        assert_eq!(all(&bytes), [0, 1]);
    }
}
