//! Weights in PyTorch's format: `torch.save` of a state dict, in either of its two forms.
//!
//! - Since PyTorch 1.6, a ZIP archive: a pickle `NAME/data.pkl`, and the elements of each storage in `NAME/data/KEY`.
//! - Before, five pickles (a magic number, a version, the machine, the state dict, the keys of the storages), followed for each key
//!   by the count of elements as int64 and the elements.
//!
//! No code is executed: the reader accepts dictionaries, tensors of float32 and their parts, and refuses everything else.

mod pickle;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use lfs_stage::{Failure, IoContext, Result};
use zip::ZipArchive;

use pickle::{Item, Pickle};

/// A tensor of float32, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Plain {
    /// Its sides.
    pub shape: Vec<usize>,
    /// The elements.
    pub values: Vec<f32>,
}

/// Tensors by name.
pub type Tensors = BTreeMap<String, Plain>;

/// The maximum ratio of the sizes of the tensors and of the file: several tensors may share a storage.
const SHARING: usize = 4;
/// The maximum number of sides of a tensor.
const SIDES: usize = 8;
/// The first of the five pickles, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The second.
const VERSION: i64 = 1001;

/// Reads the tensors of a file.
///
/// # Errors
/// If the file cannot be read, is no file of weights, contains anything but tensors of float32, or is damaged.
pub fn read(path: &Path) -> Result<Tensors> {
    let bytes = std::fs::read(path).doing("read", path)?;
    parse(&bytes).map_err(|why| {
        Failure::new(format!("{} is no file of weights that can be read: {why}", path.display())).help(
            "a state dict of float32 tensors is expected, as `torch.save(model.state_dict(), FILE)` writes it",
        )
    })
}

/// Reads tensors from the bytes of a file.
///
/// # Errors
/// A text that states why they are not in the format.
pub fn parse(bytes: &[u8]) -> Result<Tensors, String> {
    if bytes.starts_with(b"PK\x03\x04") { archive(bytes) } else { pickles(bytes) }
}

/// The form since 1.6.
fn archive(bytes: &[u8]) -> Result<Tensors, String> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    let names: Vec<String> = zip.file_names().map(str::to_owned).collect();
    let main =
        names.iter().find(|n| n.ends_with("/data.pkl")).ok_or("there is no data.pkl in the archive")?;
    let folder = main.trim_end_matches("data.pkl");
    // Overlapping members could be larger in total than the file.
    let mut room = bytes.len();
    let text = member(&mut zip, main, &mut room)?;
    if let Some(order) = names.iter().find(|n| **n == format!("{folder}byteorder")) {
        little(member(&mut zip, order, &mut room)? == b"little")?;
    }
    let state = Pickle::read(&text)?;
    let mut storages = BTreeMap::new();
    for name in names.iter().filter(|n| n.starts_with(&format!("{folder}data/"))) {
        let key = name[folder.len() + "data/".len()..].to_owned();
        storages.insert(key, floats(&member(&mut zip, name, &mut room)?));
    }
    tensors(&state, &storages, bytes.len())
}

/// A member of an archive; reduces `room`, the remaining total size. PyTorch does not compress, so a total larger than the archive
/// is an attack.
fn member(zip: &mut ZipArchive<Cursor<&[u8]>>, name: &str, room: &mut usize) -> Result<Vec<u8>, String> {
    let file = zip.by_name(name).map_err(|e| e.to_string())?;
    if file.compression() != zip::CompressionMethod::Stored {
        return Err(format!("`{name}` is compressed, which PyTorch does not do"));
    }
    let mut out = Vec::new();
    file.take(*room as u64 + 1).read_to_end(&mut out).map_err(|e| format!("`{name}`: {e}"))?;
    *room = room.checked_sub(out.len()).ok_or("its members are larger than the archive")?;
    Ok(out)
}

/// The form before 1.6.
fn pickles(bytes: &[u8]) -> Result<Tensors, String> {
    let mut rest = bytes;
    let mut next = || {
        let pickle = Pickle::read(rest)?;
        rest = &rest[pickle.length..];
        Ok::<_, String>(pickle)
    };
    let magic = next().map_err(|_| "it begins neither as a ZIP archive nor as a pickle of PyTorch")?;
    let version = next()?;
    if *magic.root() != Item::Long(MAGIC.to_vec()) || *version.root() != Item::Int(VERSION) {
        return Err("it does not begin as a file of PyTorch".to_owned());
    }
    let machine = next()?;
    if let Item::Dict(pairs) = machine.root() {
        let is = |id: usize, name: &str| matches!(machine.get(id), Item::Text(t) if t == name);
        let order = pairs.iter().find(|(key, _)| is(*key, "little_endian"));
        little(order.is_none_or(|(_, value)| *machine.get(*value) == Item::Bool(true)))?;
    }
    let (state, keys) = (next()?, next()?);
    let Item::List(list) = keys.root() else { return Err("the keys of its storages are no list".to_owned()) };
    let mut storages = BTreeMap::new();
    for key in list {
        let Item::Text(key) = keys.get(*key) else {
            return Err("the key of a storage is no text".to_owned());
        };
        let (count, after) = rest.split_first_chunk().ok_or("its numbers end too early")?;
        let count = usize::try_from(u64::from_le_bytes(*count)).unwrap_or(usize::MAX);
        let numbers = count.checked_mul(4).and_then(|n| after.get(..n)).ok_or("its numbers end too early")?;
        storages.insert(key.clone(), floats(numbers));
        rest = &after[numbers.len()..];
    }
    tensors(&state, &storages, bytes.len())
}

fn little(is: bool) -> Result<(), String> {
    if is {
        Ok(())
    } else {
        Err("it was written on a machine whose numbers begin with the high byte".to_owned())
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// The tensors of a state dict.
fn tensors(state: &Pickle, storages: &BTreeMap<String, Vec<f32>>, file: usize) -> Result<Tensors, String> {
    let Item::Dict(pairs) = state.root() else { return Err("it is no state dict".to_owned()) };
    let mut room = file.saturating_mul(SHARING) / 4;
    let mut out = Tensors::new();
    for (key, value) in pairs {
        let Item::Text(name) = state.get(*key) else {
            return Err("the name of a tensor is no text".to_owned());
        };
        let plain = tensor(state, *value, storages, &mut room).map_err(|e| format!("`{name}` {e}"))?;
        out.insert(name.clone(), plain);
    }
    Ok(out)
}

fn tensor(
    state: &Pickle,
    id: usize,
    storages: &BTreeMap<String, Vec<f32>>,
    room: &mut usize,
) -> Result<Plain, String> {
    let Item::Tensor { storage, offset, shape, strides } = state.get(id) else {
        return Err("is no tensor".to_owned());
    };
    let Item::Storage { key, count } = state.get(*storage) else { return Err("has no storage".to_owned()) };
    let Item::Text(key) = state.get(*key) else { return Err("has a storage without a key".to_owned()) };
    let numbers = storages.get(key).filter(|n| state.size(*count) == Some(n.len()));
    let numbers = numbers.ok_or("has a storage that is not in the file, or of another length")?;
    let (Some(offset), Some(shape), Some(strides)) =
        (state.size(*offset), state.sizes(*shape), state.sizes(*strides))
    else {
        return Err("has a shape that is none".to_owned());
    };
    let total = shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side)).filter(|n| n <= room);
    let total = total.ok_or("is larger than its file can be")?;
    *room -= total;
    if strides.len() != shape.len() || shape.len() > SIDES {
        return Err("has strides for another shape".to_owned());
    }
    let mut place = vec![0_usize; shape.len()];
    let mut values = Vec::with_capacity(total);
    for _ in 0..total {
        let at = place
            .iter()
            .zip(&strides)
            .try_fold(offset, |at, (i, stride)| at.checked_add(i.checked_mul(*stride)?));
        let value = at.and_then(|at| numbers.get(at)).ok_or("reaches beyond its storage")?;
        values.push(*value);
        for (i, side) in place.iter_mut().zip(&shape).rev() {
            *i += 1;
            if *i < *side {
                break;
            }
            *i = 0;
        }
    }
    Ok(Plain { shape, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"w": tensor([1.5, -2.0])}` in the form before 1.6.
    fn old() -> Vec<u8> {
        let mut out = b"\x80\x02\x8a\x0a".to_vec();
        out.extend(MAGIC);
        out.extend(b".\x80\x02M\xe9\x03.\x80\x02}.");
        out.extend(b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage");
        out.extend(
            b"ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x02NtQK\0K\x02\x85K\x01\x85\x89}tRs.",
        );
        out.extend(b"\x80\x02]X\x01\0\0\x000a.");
        out.extend(2_u64.to_le_bytes());
        out.extend([1.5_f32, -2.0].iter().flat_map(|v| v.to_le_bytes()));
        out
    }

    #[test]
    fn the_old_form_is_read_and_cut_anywhere_refused() {
        let read = parse(&old()).unwrap();
        assert_eq!(read["w"], Plain { shape: vec![2], values: vec![1.5, -2.0] });
        for end in 0..old().len() {
            assert!(parse(&old()[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn no_damaged_byte_makes_it_panic() {
        for at in 0..old().len() {
            for value in 0..=255 {
                let mut bytes = old();
                bytes[at] = value;
                let _ = parse(&bytes);
            }
        }
    }

    #[test]
    fn nothing_of_python_is_called() {
        let call = b"cos\nsystem\nX\x02\0\0\0ls\x85R.";
        assert!(Pickle::read(&[b"\x80\x02", &call[..]].concat()).is_err());
    }
}
