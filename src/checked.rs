//! Files whose damage is noticed: values one behind the other, each behind its length and a digest of its bytes.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

const LENGTH: usize = 8;
const HEAD: usize = LENGTH + 32;

fn framed(value: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let mut bytes = postcard::to_extend(value, vec![0; HEAD]).map_err(std::io::Error::other)?;
    let length = (bytes.len() - HEAD) as u64;
    let check = blake3::hash(&bytes[HEAD..]);
    bytes[..LENGTH].copy_from_slice(&length.to_le_bytes());
    bytes[LENGTH..HEAD].copy_from_slice(check.as_bytes());
    Ok(bytes)
}

/// Writes a value in place of what is there.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &Path, value: &impl Serialize) -> std::io::Result<()> {
    let bytes = framed(value)?;
    let temporary = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Path::new(".")))?;
    std::fs::write(temporary.path(), bytes)?;
    temporary.persist(file).map_err(|e| e.error)?;
    Ok(())
}

/// Writes a value behind those that are there, with one write.
///
/// # Errors
/// When there is no such file, or it cannot be written.
pub fn append(file: &Path, value: &impl Serialize) -> std::io::Result<()> {
    File::options().append(true).open(file)?.write_all(&framed(value)?)
}

/// The values of a file up to the first damage.
pub struct Values {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Values {
    /// Reads a file. `None`: it is not there, or damaged from its beginning.
    pub fn of(file: &Path) -> Option<Self> {
        let bytes = std::fs::read(file).ok()?;
        let mut places: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        while let Some(place) = value(&bytes, at) {
            at = place.end;
            places.push(place);
        }
        (!places.is_empty()).then_some(Self { bytes, places })
    }

    /// The bytes of each.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| &self.bytes[place.clone()])
    }

    /// Whether nothing stands behind them.
    pub fn are_all(&self) -> bool {
        self.places.last().is_some_and(|last| last.end == self.bytes.len())
    }
}

/// Where the value lies whose head begins here, if it is whole.
fn value(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let head = bytes.get(at..at.checked_add(HEAD)?)?;
    let length = usize::try_from(u64::from_le_bytes(head[..LENGTH].try_into().ok()?)).ok()?;
    let place = at + HEAD..(at + HEAD).checked_add(length)?;
    let body = bytes.get(place.clone())?;
    (*blake3::hash(body).as_bytes() == head[LENGTH..]).then_some(place)
}

/// Reads the one value of a file. `None`: it is not there, or damaged, or of another form.
pub fn read<T: DeserializeOwned>(file: &Path) -> Option<T> {
    let values = Values::of(file)?;
    postcard::from_bytes(values.iter().next().filter(|_| values.are_all())?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_every_flipped_bit_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let value = ("text".to_owned(), vec![1_u32, 500_000]);
        write(&file, &value).unwrap();
        assert_eq!(read(&file), Some(value));
        let whole = std::fs::read(&file).unwrap();
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(read::<(String, Vec<u32>)>(&file), None);
        }
        std::fs::write(&file, &whole[..20]).unwrap();
        assert_eq!(read::<(String, Vec<u32>)>(&file), None);
    }

    #[test]
    fn values_that_were_added_are_there_up_to_the_first_damage() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        assert!(append(&file, &1_u32).is_err());
        write(&file, &0_u32).unwrap();
        (1..5_u32).for_each(|n| append(&file, &n).unwrap());
        let all = || -> Vec<u32> {
            let values = Values::of(&file);
            values.iter().flat_map(Values::iter).map(|v| postcard::from_bytes(v).unwrap()).collect()
        };
        assert_eq!(all(), [0, 1, 2, 3, 4]);
        assert!(Values::of(&file).unwrap().are_all());
        let whole = std::fs::read(&file).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&file, &whole[..cut]).unwrap();
            let count = cut / (HEAD + 1);
            assert_eq!(all(), (0..count as u32).collect::<Vec<_>>());
            assert_eq!(Values::of(&file).is_some_and(|v| v.are_all()), count > 0 && cut % (HEAD + 1) == 0);
        }
        let mut bytes = whole.clone();
        bytes[2 * (HEAD + 1) + 3] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(all(), [0, 1]);
        assert_eq!(read::<u32>(&file), None, "one value is asked for");
    }
}
