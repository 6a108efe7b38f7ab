//! Files whose damage is noticed: a value behind a digest of its bytes.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

const CHECK: usize = 32;

/// Writes a value in place of what is there.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &Path, value: &impl Serialize) -> std::io::Result<()> {
    let mut bytes = postcard::to_extend(value, vec![0; CHECK]).map_err(std::io::Error::other)?;
    let check = blake3::hash(&bytes[CHECK..]);
    bytes[..CHECK].copy_from_slice(check.as_bytes());
    let temporary = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Path::new(".")))?;
    std::fs::write(temporary.path(), bytes)?;
    temporary.persist(file).map_err(|e| e.error)?;
    Ok(())
}

/// The bytes of a file, without their check value. `None`: it is not there, or damaged.
pub fn bytes(file: &Path) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(file).ok()?;
    let body = bytes.get(CHECK..)?;
    if *blake3::hash(body).as_bytes() != bytes[..CHECK] {
        return None;
    }
    bytes.drain(..CHECK);
    Some(bytes)
}

/// Reads a value. `None`: it is not there, or damaged, or of another form.
pub fn read<T: DeserializeOwned>(file: &Path) -> Option<T> {
    postcard::from_bytes(&bytes(file)?).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_was_written_is_read_again_and_every_flipped_bit_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let value = ("text".to_owned(), vec![1_u32, 500_000]);
        super::write(&file, &value).unwrap();
        assert_eq!(super::read(&file), Some(value));
        let whole = std::fs::read(&file).unwrap();
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(super::read::<(String, Vec<u32>)>(&file), None);
        }
        std::fs::write(&file, &whole[..20]).unwrap();
        assert_eq!(super::read::<(String, Vec<u32>)>(&file), None);
    }
}
