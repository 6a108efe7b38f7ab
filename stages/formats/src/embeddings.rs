//! Embeddings as the kind `embed` writes them, read row by row: a folder of `embeddings.safetensors` (tensor `embeddings`,
//! float32 [n, d], one row an image in its data set's order) and `embeddings.json`.
//!
//! The file is never held: it may be larger than memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::DataError;

/// The file of the numbers.
pub const FILE: &str = "embeddings.safetensors";
/// The longest header that is read, in bytes.
const LONGEST_HEADER: u64 = 1 << 20;

/// What a safetensors file says of a tensor.
#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// An open file of embeddings.
#[derive(Debug)]
pub struct Embeddings {
    file: File,
    path: PathBuf,
    /// Where the first row begins, in bytes.
    start: u64,
    n: usize,
    d: usize,
}

impl Embeddings {
    /// Opens the embeddings in a folder, or a safetensors file itself.
    ///
    /// # Errors
    /// When the file is missing, damaged or cut short, or has no tensor `embeddings` of float32 [n, d].
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let path = if folder.is_file() { folder.to_owned() } else { folder.join(FILE) };
        Self::open_file(&path).map_err(|e| e.within(path.display()))
    }

    fn open_file(path: &Path) -> Result<Self, DataError> {
        let unreadable = |e: std::io::Error| DataError::new(format!("cannot read it: {e}"));
        let mut file = File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| no_embeddings("the file is shorter than 8 bytes"))?;
        let length = u64::from_le_bytes(length);
        if length > LONGEST_HEADER || length + 8 > size {
            return Err(no_embeddings(&format!("its header would have {length} bytes, of {size} in all")));
        }
        let mut head = vec![0; length as usize + 8];
        file.read_exact_at(&mut head, 0).map_err(unreadable)?;
        let tensors: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&head[8..]).map_err(|e| no_embeddings(&e.to_string()))?;
        let tensor =
            tensors.get("embeddings").ok_or_else(|| no_embeddings("it has no tensor `embeddings`"))?;
        let tensor = Tensor::deserialize(tensor).map_err(|e| no_embeddings(&e.to_string()))?;
        let ("F32", &[n, d]) = (tensor.dtype.as_str(), tensor.shape.as_slice()) else {
            return Err(no_embeddings(&format!("`embeddings` is {} {:?}", tensor.dtype, tensor.shape)));
        };
        let start = tensor.data_offsets[0].checked_add(length + 8);
        let bytes = n.checked_mul(d).and_then(|x| x.checked_mul(4));
        let end = start.zip(bytes).and_then(|(s, b)| s.checked_add(b)).filter(|e| *e <= size);
        let (Some(start), Some(_), 1..=65_536) = (start, end, d) else {
            return Err(no_embeddings(&format!("{n} rows of {d} numbers do not fit its {size} bytes")));
        };
        let (n, d) = (n as usize, d as usize);
        Ok(Self { file, path: path.to_owned(), start, n, d })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// How many numbers a row has.
    pub fn width(&self) -> usize {
        self.d
    }

    /// Reads `count` rows from row `from` on, each brought to length 1, into `out` (which is emptied first): `count * d` numbers.
    ///
    /// Lengths are taken in float64 in the order of the numbers, so that the same file gives the same bits on every machine.
    ///
    /// # Errors
    /// When there are not so many rows, or one is not finite or has no direction.
    pub fn unit_rows(&self, from: usize, count: usize, out: &mut Vec<f32>) -> Result<(), DataError> {
        out.clear();
        if from.checked_add(count).is_none_or(|end| end > self.n) {
            return Err(DataError::new(format!("{} has {} rows", self.path.display(), self.n)));
        }
        let mut bytes = vec![0; count * self.d * 4];
        let at = self.start + (from * self.d * 4) as u64;
        self.file
            .read_exact_at(&mut bytes, at)
            .map_err(|e| DataError::new(format!("cannot read {}: {e}", self.path.display())))?;
        out.reserve(count * self.d);
        for (k, row) in bytes.chunks_exact(self.d * 4).enumerate() {
            let numbers = || row.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b)));
            let norm = numbers().map(|x| x * x).sum::<f64>().sqrt();
            if !norm.is_finite() || norm == 0.0 {
                return Err(DataError::new(format!(
                    "{}: row {} has length {norm}, so that it has no direction; the training diverged or the image was not read",
                    self.path.display(),
                    from + k
                )));
            }
            out.extend(numbers().map(|x| (x / norm) as f32));
        }
        Ok(())
    }
}

fn no_embeddings(found: &str) -> DataError {
    DataError::new(format!("expected a safetensors file with a tensor `embeddings`, float32 [n, d]: {found}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::Dtype;
    use safetensors::tensor::{TensorView, serialize};

    use super::*;

    fn file(rows: &[[f32; 2]]) -> Vec<u8> {
        let bytes: Vec<u8> = rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, vec![rows.len(), 2], &bytes).unwrap();
        serialize([("embeddings", view)], None).unwrap()
    }

    fn open(bytes: &[u8]) -> Result<Embeddings, DataError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), bytes).unwrap();
        Embeddings::open(dir.path())
    }

    #[test]
    fn rows_are_read_from_any_place_and_have_length_one() {
        let e = open(&file(&[[3.0, 4.0], [0.0, -2.0], [1.0, 0.0]])).unwrap();
        let mut out = Vec::new();
        e.unit_rows(0, 1, &mut out).unwrap();
        assert_eq!((e.len(), e.width(), out.as_slice()), (3, 2, &[0.6, 0.8][..]));
        e.unit_rows(1, 2, &mut out).unwrap();
        assert_eq!(out, [0.0, -1.0, 1.0, 0.0]);
        assert!(e.unit_rows(2, 2, &mut out).is_err() && e.unit_rows(usize::MAX, 2, &mut out).is_err());
    }

    #[test]
    fn what_has_no_direction_is_refused_with_its_row() {
        for bad in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            let e = open(&file(&[[1.0, 0.0], bad])).unwrap();
            let text = e.unit_rows(0, 2, &mut Vec::new()).unwrap_err().to_string();
            assert!(text.contains("row 1"), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_cut_short_or_holds_something_else_is_refused() {
        let whole = file(&[[1.0, 0.0], [0.0, 1.0]]);
        for end in 0..whole.len() {
            assert!(open(&whole[..end]).is_err(), "{end}");
        }
        let other = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        let text = open(&serialize([("weights", other)], None).unwrap()).unwrap_err().to_string();
        assert!(text.contains("no tensor `embeddings`"), "{text}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes: Vec<u8>, whole: bool, at in 0_usize..200, value: u8) {
            if whole {
                bytes = file(&[[1.0, 2.0]]);
                let at = at % bytes.len();
                bytes[at] = value;
            }
            if let Ok(e) = open(&bytes) {
                let _ = e.unit_rows(0, e.len().min(9), &mut Vec::new());
            }
        }
    }
}
