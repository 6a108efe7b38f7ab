//! Converts tensors of an ONNX file to tensors of libtorch.

use lfs_stage::{Failure, Result};
use tch::{Kind, Tensor};

use crate::proto;

/// The maximum number of elements of a tensor, a bound on the cost of a hostile shape.
pub(crate) const MOST: i64 = 1 << 31;

/// The element type of a type number of the format, and its size in bytes there. Half precision is computed in single precision.
pub(crate) fn kind(number: i64) -> Result<(Kind, usize)> {
    Ok(match number {
        1 => (Kind::Float, 4),
        2 => (Kind::Uint8, 1),
        3 => (Kind::Int8, 1),
        6 => (Kind::Int, 4),
        7 => (Kind::Int64, 8),
        9 => (Kind::Bool, 1),
        10 => (Kind::Half, 2),
        11 => (Kind::Double, 8),
        other => return Err(Failure::new(format!("numbers of the kind {other} cannot be read"))),
    })
}

/// The number of elements of a shape.
pub(crate) fn count(shape: &[i64]) -> Result<i64> {
    let product = shape.iter().try_fold(1_i64, |n, side| n.checked_mul(*side).filter(|_| *side >= 0));
    product
        .filter(|n| *n <= MOST)
        .ok_or_else(|| Failure::new(format!("the shape {shape:?} is negative or too large")))
}

/// Reads a tensor of the file.
pub(crate) fn read(from: &proto::Tensor) -> Result<Tensor> {
    let failed = |why: String| Failure::new(format!("tensor `{}`: {why}", from.name));
    if from.location != 0 {
        return Err(failed("its numbers lie in another file".to_owned())
            .help("save the network as one file (onnx.save with save_as_external_data=False)"));
    }
    let (kind, width) = kind(i64::from(from.kind)).map_err(|e| failed(e.message))?;
    let count = count(&from.shape).map_err(|e| failed(e.message))?;
    let flat = if from.raw.is_empty() { of_fields(from, kind) } else { of_bytes(from, kind, width) };
    let flat = flat.map_err(|e| failed(e.to_string()))?;
    if flat.numel() as i64 != count {
        return Err(failed(format!(
            "it has {} numbers, its shape {:?} says {count}",
            flat.numel(),
            from.shape
        )));
    }
    let kind = if kind == Kind::Half { Kind::Float } else { kind };
    flat.f_view(from.shape.as_slice()).and_then(|t| t.f_to_kind(kind)).map_err(|e| failed(e.to_string()))
}

/// Contiguous little-endian elements.
fn of_bytes(from: &proto::Tensor, kind: Kind, width: usize) -> Result<Tensor, tch::TchError> {
    let whole = from.raw.len() / width;
    // Any byte but 0 is true.
    let stored = if kind == Kind::Bool { Kind::Uint8 } else { kind };
    let numbers = Tensor::f_from_data_size(&from.raw[..whole * width], &[whole as i64], stored)?;
    if kind == Kind::Bool { numbers.f_ne(0) } else { Ok(numbers) }
}

/// Elements in the field for their type; small types share one field.
fn of_fields(from: &proto::Tensor, kind: Kind) -> Result<Tensor, tch::TchError> {
    match kind {
        Kind::Float => Tensor::f_from_slice(&from.floats),
        Kind::Double => Tensor::f_from_slice(&from.doubles),
        Kind::Int64 => Tensor::f_from_slice(&from.longs),
        // The bits of each half are stored in an integer.
        Kind::Half => {
            let bytes: Vec<u8> = from.ints.iter().flat_map(|bits| (*bits as u16).to_le_bytes()).collect();
            Tensor::f_from_data_size(&bytes, &[from.ints.len() as i64], kind)
        }
        _ => Tensor::f_from_slice(&from.ints)?.f_to_kind(kind),
    }
}
