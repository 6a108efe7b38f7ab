//! Safetensors files.

use safetensors::tensor::{Dtype, SafeTensors};

use super::source::{Layout, Number};
use super::{Part, form};
use crate::DataError;

/// The layout of the tensor of that name; none if there are no mirror images.
pub fn layout(bytes: &[u8], part: Part) -> Result<Option<Layout>, DataError> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| form(&e.to_string()))?;
    let name = part.name();
    let Ok(tensor) = file.tensor(name) else {
        if part == Part::Flipped {
            return Ok(None);
        }
        let there = file.names().iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        return Err(form(&format!("there is no tensor `{name}`, but {there}")));
    };
    let number = match tensor.dtype() {
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::Bf16,
        Dtype::F32 => Number::F32,
        Dtype::F64 => Number::F64,
        other => return Err(form(&format!("`{name}` is {other:?} {:?}", tensor.shape()))),
    };
    let &[rows, width] = tensor.shape() else {
        return Err(form(&format!("`{name}` is {:?} {:?}", tensor.dtype(), tensor.shape())));
    };
    let start = tensor.data().as_ptr() as usize - bytes.as_ptr() as usize;
    Ok(Some(Layout::plain(start, rows, width, number)))
}
