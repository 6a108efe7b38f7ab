//! Reads MAT-files.

use std::io::Read;

use super::{Value, mi, mx};
use crate::DataError;

/// The maximum nesting of cells and structs.
const MAX_DEPTH: usize = 32;
/// The maximum number of decompressed bytes of a file.
const MAX_BYTES: u64 = 1 << 30;

/// Reads all variables of a file, in file order.
///
/// # Errors
/// If the bytes are no MAT-file of version 5, or are damaged.
pub fn read(bytes: &[u8]) -> Result<Vec<(String, Value)>, DataError> {
    if bytes.starts_with(b"MATLAB 7.3") {
        return Err(DataError::new(
            "this is a MAT-file of version 7.3 (HDF5); save it again with `save(..., '-v7')`",
        ));
    }
    let big = match bytes.get(126..128) {
        Some(b"IM") => false,
        Some(b"MI") => true,
        _ => return Err(DataError::new("this is no MAT-file of version 5: its header lacks the mark `IM`")),
    };
    let mut reader = Reader { rest: &bytes[128..], big };
    let mut variables = Vec::new();
    let mut budget = MAX_BYTES;
    while !reader.rest.is_empty() {
        let (kind, data) = reader.element()?;
        match kind {
            mi::MATRIX => variables.push(array(data, big, 0)?),
            mi::COMPRESSED => {
                let data = inflate(data, &mut budget)?;
                let (kind, data) = Reader { rest: &data, big }.element()?;
                if kind == mi::MATRIX {
                    variables.push(array(data, big, 0)?);
                }
            }
            // Other top-level elements are not variables.
            _ => {}
        }
    }
    Ok(variables)
}

fn damaged(what: &str) -> DataError {
    DataError::new(format!("the MAT-file is damaged: {what}"))
}

fn inflate(data: &[u8], budget: &mut u64) -> Result<Vec<u8>, DataError> {
    let mut out = Vec::new();
    let read = flate2::read::ZlibDecoder::new(data).take(*budget + 1).read_to_end(&mut out);
    read.map_err(|e| damaged(&format!("a compressed part cannot be unpacked: {e}")))?;
    *budget = budget
        .checked_sub(out.len() as u64)
        .ok_or_else(|| DataError::new(format!("the MAT-file unpacks to more than {MAX_BYTES} bytes")))?;
    Ok(out)
}

struct Reader<'a> {
    rest: &'a [u8],
    big: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], DataError> {
        let (taken, rest) =
            self.rest.split_at_checked(n).ok_or_else(|| damaged("an element is longer than the file"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, DataError> {
        let bytes = self.take(4)?;
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        Ok(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// The next element: its type and its data.
    fn element(&mut self) -> Result<(u32, &'a [u8]), DataError> {
        let first = self.u32()?;
        if first >> 16 != 0 {
            // Up to four bytes are stored in the tag itself.
            let n = (first >> 16) as usize;
            let data = self.take(4)?;
            return Ok((
                first & 0xffff,
                data.get(..n).ok_or_else(|| damaged("a small element is too long"))?,
            ));
        }
        let n = self.u32()? as usize;
        let data = self.take(n)?;
        if first != mi::COMPRESSED {
            // Padding; the last element of a file may lack it.
            let pad = n.next_multiple_of(8) - n;
            self.rest = self.rest.get(pad..).unwrap_or_default();
        }
        Ok((first, data))
    }

    fn expect(&mut self, wanted: u32, what: &str) -> Result<&'a [u8], DataError> {
        let (kind, data) = self.element()?;
        if kind == wanted {
            Ok(data)
        } else {
            Err(damaged(&format!("expected {what} (element type {wanted}), found type {kind}")))
        }
    }
}

/// The name and value of an array, from the data of a matrix element.
fn array(data: &[u8], big: bool, depth: usize) -> Result<(String, Value), DataError> {
    if depth > MAX_DEPTH {
        return Err(DataError::new(format!("the MAT-file nests arrays more than {MAX_DEPTH} deep")));
    }
    if data.is_empty() {
        return Ok((String::new(), Value::Numbers { dims: vec![0, 0], values: Vec::new() }));
    }
    let mut reader = Reader { rest: data, big };
    let flags = reader.expect(mi::UINT32, "array flags")?;
    let flags = Reader { rest: flags, big }.u32()?;
    let (class, complex) = (flags as u8, flags & 0x0800 != 0);
    let class_name = mx::NAMES.get(usize::from(class)).unwrap_or(&"unknown");
    if class == 17 || class == 0 || usize::from(class) >= mx::NAMES.len() {
        return Ok((String::new(), Value::Other((*class_name).to_owned())));
    }
    let dims = numbers(mi::INT32, reader.expect(mi::INT32, "dimensions")?, big)?;
    let dims: Vec<usize> = dims.iter().map(|&d| d.max(0.0) as usize).collect();
    let count = dims
        .iter()
        .try_fold(1_usize, |n, &d| n.checked_mul(d))
        .ok_or_else(|| damaged("the dimensions of an array are too large"))?;
    let name = String::from_utf8_lossy(reader.expect(mi::INT8, "an array's name")?).into_owned();
    let value = match class {
        mx::CELL => Value::Cells { items: arrays(&mut reader, count, depth)?, dims },
        mx::STRUCT => structs(&mut reader, dims, count, depth)?,
        mx::CHAR => Value::Text(text(&mut reader, &dims, count)?),
        6..=15 if !complex => {
            let (kind, data) = reader.element()?;
            let values = numbers(kind, data, big)?;
            if values.len() != count {
                return Err(damaged(&format!("an array of {count} numbers holds {}", values.len())));
            }
            Value::Numbers { dims, values }
        }
        _ => Value::Other(format!("{}{class_name}", if complex { "complex " } else { "" })),
    };
    Ok((name, value))
}

/// Reads `count` consecutive arrays. The count is not trusted: memory is allocated as the arrays are read.
fn arrays(reader: &mut Reader<'_>, count: usize, depth: usize) -> Result<Vec<Value>, DataError> {
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(array(reader.expect(mi::MATRIX, "an array")?, reader.big, depth + 1)?.1);
    }
    Ok(items)
}

fn structs(
    reader: &mut Reader<'_>,
    dims: Vec<usize>,
    count: usize,
    depth: usize,
) -> Result<Value, DataError> {
    let length = numbers(mi::INT32, reader.expect(mi::INT32, "the length of field names")?, reader.big)?;
    let length = length.first().map_or(0, |&n| n.max(0.0) as usize);
    let names = reader.expect(mi::INT8, "field names")?;
    if length == 0 && !names.is_empty() {
        return Err(damaged("a struct's field names have no length"));
    }
    let fields: Vec<String> = names
        .chunks(length.max(1))
        .map(|c| String::from_utf8_lossy(c.split(|&b| b == 0).next().unwrap_or_default()).into_owned())
        .collect();
    if fields.is_empty() && count > 0 {
        return Ok(Value::Structs { dims, fields, items: Vec::new() });
    }
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(arrays(reader, fields.len(), depth)?);
    }
    Ok(Value::Structs { dims, fields, items })
}

/// The rows of a character array.
fn text(reader: &mut Reader<'_>, dims: &[usize], count: usize) -> Result<Vec<String>, DataError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let (kind, data) = reader.element()?;
    let characters: Vec<char> = match kind {
        mi::UTF8 => String::from_utf8_lossy(data).chars().collect(),
        mi::UINT16 | mi::UTF16 => {
            let units = numbers(mi::UINT16, data, reader.big)?;
            char::decode_utf16(units.iter().map(|&u| u as u16)).map(|c| c.unwrap_or('\u{fffd}')).collect()
        }
        _ => {
            let codes = numbers(kind, data, reader.big)?;
            codes.iter().map(|&c| char::from_u32(c as u32).unwrap_or('\u{fffd}')).collect()
        }
    };
    let rows = dims.first().copied().unwrap_or(0).max(1);
    if rows == 1 {
        return Ok(vec![characters.into_iter().collect()]);
    }
    if characters.len() != count {
        return Err(damaged(&format!("a text of {count} characters holds {}", characters.len())));
    }
    let row = |r: usize| characters.iter().skip(r).step_by(rows).collect::<String>().trim_end().to_owned();
    Ok((0..rows).map(row).collect())
}

/// The numbers of an element of any storage type.
fn numbers(kind: u32, data: &[u8], big: bool) -> Result<Vec<f64>, DataError> {
    macro_rules! read {
        ($t:ty) => {{
            let (whole, rest) = data.as_chunks::<{ size_of::<$t>() }>();
            if !rest.is_empty() {
                return Err(damaged("an element ends within a number"));
            }
            let one = |b: &[u8; size_of::<$t>()]| {
                if big { <$t>::from_be_bytes(*b) } else { <$t>::from_le_bytes(*b) }
            };
            whole.iter().map(|b| one(b) as f64).collect()
        }};
    }
    Ok(match kind {
        mi::INT8 => read!(i8),
        mi::UINT8 | mi::UTF8 => read!(u8),
        mi::INT16 => read!(i16),
        mi::UINT16 | mi::UTF16 => read!(u16),
        mi::INT32 => read!(i32),
        mi::UINT32 | mi::UTF32 => read!(u32),
        mi::SINGLE => read!(f32),
        mi::DOUBLE => read!(f64),
        mi::INT64 => read!(i64),
        mi::UINT64 => read!(u64),
        _ => return Err(damaged(&format!("type {kind} holds no numbers"))),
    })
}
