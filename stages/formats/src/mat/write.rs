//! Writes MAT-files.

use super::{Value, mi, mx};
use crate::DataError;

/// Writes variables as an uncompressed little-endian file. The header's text has no time stamp, so that the same variables give the
/// same bytes.
///
/// # Errors
/// If dimensions and values disagree, or an array is larger than the format allows (2 GiB).
pub fn write(variables: &[(String, Value)]) -> Result<Vec<u8>, DataError> {
    let mut out = format!("{:116}", "MATLAB 5.0 MAT-file, written by lfs-pipe").into_bytes();
    out.extend([0; 8]);
    out.extend(0x0100_u16.to_le_bytes());
    out.extend(b"IM");
    for (name, value) in variables {
        array(&mut out, name, value)?;
    }
    Ok(out)
}

fn element(out: &mut Vec<u8>, kind: u32, data: &[u8]) -> Result<(), DataError> {
    let n = i32::try_from(data.len())
        .map_err(|_| DataError::new("an array is too large for a MAT-file (2 GiB)"))?;
    out.extend(kind.to_le_bytes());
    out.extend(n.to_le_bytes());
    out.extend(data);
    out.resize(out.len().next_multiple_of(8), 0);
    Ok(())
}

fn array(out: &mut Vec<u8>, name: &str, value: &Value) -> Result<(), DataError> {
    let mut body = Vec::new();
    match value {
        Value::Numbers { dims, values } => {
            head(&mut body, mx::DOUBLE, dims, values.len(), name)?;
            let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            element(&mut body, mi::DOUBLE, &data)?;
        }
        Value::Text(rows) => {
            let units: Vec<Vec<u16>> = rows.iter().map(|r| r.encode_utf16().collect()).collect();
            let columns = units.iter().map(Vec::len).max().unwrap_or(0);
            head(&mut body, mx::CHAR, &[rows.len(), columns], rows.len() * columns, name)?;
            let at = |c: usize| units.iter().map(move |r| r.get(c).copied().unwrap_or(u16::from(b' ')));
            let data: Vec<u8> = (0..columns).flat_map(at).flat_map(u16::to_le_bytes).collect();
            element(&mut body, mi::UINT16, &data)?;
        }
        Value::Cells { dims, items } => {
            head(&mut body, mx::CELL, dims, items.len(), name)?;
            for item in items {
                array(&mut body, "", item)?;
            }
        }
        Value::Structs { dims, fields, items } => structs(&mut body, name, dims, fields, items)?,
        Value::Other(class) => {
            return Err(DataError::new(format!("an array of class `{class}` cannot be written")));
        }
    }
    element(out, mi::MATRIX, &body)
}

fn structs(
    body: &mut Vec<u8>,
    name: &str,
    dims: &[usize],
    fields: &[String],
    items: &[Vec<Value>],
) -> Result<(), DataError> {
    head(body, mx::STRUCT, dims, items.len(), name)?;
    // MATLAB's own limit is 31 characters and a terminating zero.
    let length = fields.iter().map(|f| f.len() + 1).max().unwrap_or(1).max(32);
    element(body, mi::INT32, &(length as i32).to_le_bytes())?;
    let mut names = Vec::new();
    for field in fields {
        names.extend(field.bytes());
        names.resize(names.len().next_multiple_of(length), 0);
    }
    element(body, mi::INT8, &names)?;
    for item in items {
        if item.len() != fields.len() {
            return Err(DataError::new(format!(
                "a struct of {} fields has {} values",
                fields.len(),
                item.len()
            )));
        }
        for value in item {
            array(body, "", value)?;
        }
    }
    Ok(())
}

fn head(body: &mut Vec<u8>, class: u8, dims: &[usize], count: usize, name: &str) -> Result<(), DataError> {
    if dims.len() < 2 || dims.iter().product::<usize>() != count {
        return Err(DataError::new(format!(
            "dimensions {dims:?} do not fit {count} items (at least two are needed)"
        )));
    }
    let mut flags = u32::from(class).to_le_bytes().to_vec();
    flags.extend([0; 4]);
    element(body, mi::UINT32, &flags)?;
    let mut data = Vec::new();
    for &d in dims {
        let d = i32::try_from(d).map_err(|_| DataError::new("an array is too large for a MAT-file"))?;
        data.extend(d.to_le_bytes());
    }
    element(body, mi::INT32, &data)?;
    element(body, mi::INT8, name.as_bytes())
}
