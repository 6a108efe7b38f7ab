//! Named tensors on disk, as safetensors with sorted names: equal tensors give equal bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use lfs_stage::{Failure, IoContext, Result};
use safetensors::tensor::{Dtype, SafeTensors, View, serialize};
use tch::{Kind, Tensor};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

struct Flat {
    shape: Vec<usize>,
    dtype: Dtype,
    bytes: Vec<u8>,
}

impl View for Flat {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes float32 tensors in row-major order, regardless of their memory layout and device.
///
/// # Errors
/// When the file cannot be written, or a tensor is not float32.
pub fn write(path: &Path, tensors: &Tensors) -> Result<()> {
    let mut flat = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let kind = tensor.kind();
        if kind != Kind::Float {
            return Err(Failure::new(format!("tensor `{name}` is {kind:?}; only float32 is written")));
        }
        let plain = tensor.detach().to_device(tch::Device::Cpu).contiguous();
        let mut bytes = vec![0_u8; plain.numel() * 4];
        plain.f_copy_data_u8(&mut bytes, plain.numel()).doing("copy a tensor for", path)?;
        let shape = plain.size().iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
        flat.push((name.as_str(), Flat { shape, dtype: Dtype::F32, bytes }));
    }
    let bytes = serialize(flat, None).doing("serialise", path)?;
    std::fs::write(path, bytes).doing("write", path)
}

/// Reads float32 tensors.
///
/// # Errors
/// When the file is missing or damaged, or has a tensor of another type.
pub fn read(path: &Path, device: tch::Device) -> Result<Tensors> {
    let bytes = std::fs::read(path).doing("read", path)?;
    let file = SafeTensors::deserialize(&bytes).doing("understand", path)?;
    let mut out = Tensors::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            let found = view.dtype();
            return Err(Failure::new(format!(
                "tensor `{name}` in {} is {found:?}; float32 was expected",
                path.display()
            )));
        }
        let shape: Vec<i64> = view.shape().iter().map(|&d| d as i64).collect();
        let tensor =
            Tensor::f_from_data_size(view.data(), &shape, Kind::Float).doing("read a tensor of", path)?;
        out.insert(name.to_owned(), tensor.to_device(device));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_bytes_do_not_depend_on_the_layout() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.safetensors"), dir.path().join("b.safetensors"));
        let x = Tensor::arange(2 * 3 * 4 * 5, (Kind::Float, tch::Device::Cpu)).view([2, 3, 4, 5]);
        let y = Tensor::from_slice(&[1.5_f32, -0.0, f32::MIN_POSITIVE]);
        let last = crate::shim::channels_last(&x).unwrap();
        assert_ne!(last.stride(), x.stride());
        write(&a, &Tensors::from([("z".into(), x.shallow_clone()), ("y".into(), y.shallow_clone())]))
            .unwrap();
        write(&b, &Tensors::from([("y".into(), y), ("z".into(), last)])).unwrap();
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
        let back = read(&a, tch::Device::Cpu).unwrap();
        assert!(back["z"].equal(&x));
        assert_eq!(back.len(), 2);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        std::fs::write(&path, b"not a tensor file").unwrap();
        let failure = read(&path, tch::Device::Cpu).unwrap_err();
        assert!(failure.message.contains("model.safetensors"), "{failure}");
    }
}
