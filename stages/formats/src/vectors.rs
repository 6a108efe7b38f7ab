//! Rows of numbers, one for each image: the output of kind `embed`, and NumPy's `.npy`.
//!
//! The file is mapped, not read: it may be larger than memory.

use std::fs::File;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors};

use crate::DataError;
use crate::container::npz;

/// The file in a folder of embeddings.
pub const FILE: &str = "embeddings.safetensors";
/// The tensor in the file.
const TENSOR: &str = "embeddings";
/// The maximum width of a row.
const WIDEST: usize = 65_536;
/// The number of faulty rows that are listed.
const NAMED: usize = 10;

/// Rows of `width` numbers; no row is the zero vector.
pub struct Vectors {
    map: memmap2::Mmap,
    /// The offset of the first row.
    start: usize,
    /// Whether numbers have eight bytes, rather than four.
    wide: bool,
    width: usize,
    /// The norm of each row in the file.
    norms: Vec<f64>,
}

impl Vectors {
    /// Opens a folder with `embeddings.safetensors` (tensor `embeddings`, float32 [n, d]), such a file itself, or an `.npy` file of
    /// float32 or float64 [n, d] in C order. Every row is checked once.
    ///
    /// # Errors
    /// If the file is missing, damaged or in another format, or if rows are not finite or zero; the first ten are listed.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        Self::open_file(&file).map_err(|e| e.within(file.display()))
    }

    fn open_file(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|e| DataError::new(format!("cannot read it: {e}")))?;
        // SAFETY: the map is read only, and an input is not changed while a stage runs; if the file is truncated meanwhile, the
        // process ends, without wrong numbers.
        #[allow(unsafe_code)]
        let map = unsafe { memmap2::Mmap::map(&file) }
            .map_err(|e| DataError::new(format!("cannot read it: {e}")))?;
        let (start, wide, n, width) =
            if map.starts_with(b"\x93NUMPY") { npy(&map)? } else { safetensors(&map)? };
        let size = if wide { 8 } else { 4 };
        let fits = n.checked_mul(width).and_then(|x| x.checked_mul(size)).and_then(|x| x.checked_add(start));
        if !(1..=WIDEST).contains(&width) || fits.is_none_or(|end| end > map.len()) {
            return Err(form(&format!("{n} rows of {width} numbers in {} bytes", map.len())));
        }
        let mut vectors = Self { map, start, wide, width, norms: Vec::new() };
        let mut faulty = Vec::new();
        let mut norms = Vec::with_capacity(n);
        let mut row = vec![0.0; width];
        for i in 0..n {
            vectors.raw(i, &mut row);
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            if !norm.is_finite() || norm == 0.0 {
                faulty.push(i);
            }
            norms.push(norm);
        }
        if let [first, ..] = faulty.as_slice() {
            let named: Vec<String> = faulty.iter().take(NAMED).map(usize::to_string).collect();
            let found = if norms[*first] == 0.0 { "all its numbers are 0" } else { "it is not finite" };
            return Err(DataError::new(format!(
                "{} of {n} rows have no direction (row {first}: {found}): rows {}{}; did the training diverge, or were images not read?",
                faulty.len(),
                named.join(", "),
                if faulty.len() > NAMED { " .." } else { "" }
            )));
        }
        vectors.norms = norms;
        Ok(vectors)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.norms.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.norms.is_empty()
    }

    /// The width of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The norm of row `i` before normalisation.
    ///
    /// # Panics
    /// If there is no such row, like indexing a slice.
    pub fn norm(&self, i: usize) -> f64 {
        self.norms[i]
    }

    /// Writes row `i`, normalised to length 1, to `out` ([`Vectors::width`] numbers). The same file gives the same bits on every
    /// machine.
    ///
    /// # Panics
    /// If there is no such row, like indexing a slice.
    pub fn unit(&self, i: usize, out: &mut [f64]) {
        let norm = self.norms[i];
        self.raw(i, out);
        out.iter_mut().for_each(|x| *x /= norm);
    }

    /// The cosine similarity of two rows.
    ///
    /// # Panics
    /// If there is no such row, like indexing a slice.
    pub fn cosine(&self, i: usize, k: usize) -> f64 {
        let (mut a, mut b) = (vec![0.0; self.width], vec![0.0; self.width]);
        self.unit(i, &mut a);
        self.unit(k, &mut b);
        a.iter().zip(&b).map(|(x, y)| x * y).sum()
    }

    /// Writes `count` rows from row `from` on to `out` (which is cleared first), each normalised to length 1 and rounded to
    /// float32.
    ///
    /// # Panics
    /// If there are no such rows, like indexing a slice.
    pub fn unit_rows(&self, from: usize, count: usize, out: &mut Vec<f32>) {
        out.clear();
        let mut row = vec![0.0; self.width];
        for i in from..from + count {
            self.unit(i, &mut row);
            out.extend(row.iter().map(|x| *x as f32));
        }
    }

    fn raw(&self, i: usize, out: &mut [f64]) {
        let size = if self.wide { 8 } else { 4 };
        let at = self.start + i * self.width * size;
        let bytes = &self.map[at..at + self.width * size];
        if self.wide {
            let numbers = bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b));
            out.iter_mut().zip(numbers).for_each(|(o, x)| *o = x);
        } else {
            let numbers = bytes.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b)));
            out.iter_mut().zip(numbers).for_each(|(o, x)| *o = x);
        }
    }
}

fn form(found: &str) -> DataError {
    DataError::new(format!(
        "expected a folder of an `embed` stage, or an .npy file of float32 or float64 [n, d], a row an image: {found}"
    ))
}

/// Start offset, whether float64, rows, width.
type Layout = (usize, bool, usize, usize);

fn safetensors(bytes: &[u8]) -> Result<Layout, DataError> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| form(&e.to_string()))?;
    let tensor = file.tensor(TENSOR).map_err(|_| form(&format!("there is no tensor `{TENSOR}`")))?;
    match (tensor.dtype(), tensor.shape()) {
        (Dtype::F32, &[n, d]) => {
            let start = tensor.data().as_ptr() as usize - bytes.as_ptr() as usize;
            Ok((start, false, n, d))
        }
        (dtype, shape) => Err(form(&format!("`{TENSOR}` is {dtype:?} {shape:?}"))),
    }
}

/// An `.npy` file of float32 or float64 [n, d] in C order.
fn npy(bytes: &[u8]) -> Result<Layout, DataError> {
    let mut rest = bytes;
    let header = npz::header(&mut rest).map_err(|e| form(e.message()))?;
    let wide = match header.dtype.as_str() {
        "<f4" => false,
        "<f8" => true,
        other => return Err(form(&format!("numbers of type {other}"))),
    };
    if header.fortran {
        return Err(form("the array is in Fortran order; save `numpy.ascontiguousarray(x)`"));
    }
    match header.shape.as_slice() {
        &[n, d] => Ok((bytes.len() - rest.len(), wide, n, d)),
        other => Err(form(&format!("an array of shape {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::tensor::{TensorView, serialize};

    use super::*;

    fn npy_file(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let head = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((head.len() as u16).to_le_bytes());
        out.extend(head.as_bytes());
        out.extend(data);
        out
    }

    fn open(bytes: &[u8]) -> Result<Vectors, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v");
        std::fs::write(&path, bytes).unwrap();
        Vectors::open(&path)
    }

    fn floats(rows: &[f32]) -> Vec<u8> {
        rows.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    #[test]
    fn rows_of_every_form_have_length_one_and_keep_their_own() {
        let f8: Vec<u8> = [3.0_f64, 4.0, 0.0, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let data = floats(&[3.0, 4.0, 0.0, -2.0]);
        let view = TensorView::new(Dtype::F32, vec![2, 2], &data).unwrap();
        let tensors = serialize([(TENSOR, view)], None).unwrap();
        for bytes in [npy_file("<f4", "(2, 2)", &data), npy_file("<f8", "(2, 2)", &f8), tensors] {
            let v = open(&bytes).unwrap();
            let mut row = [0.0; 2];
            v.unit(0, &mut row);
            assert_eq!((v.len(), v.width(), row, v.norm(0), v.norm(1)), (2, 2, [0.6, 0.8], 5.0, 2.0));
            v.unit(1, &mut row);
            assert_eq!(row, [0.0, -1.0]);
        }
    }

    fn tensor_file(rows: &[[f32; 2]]) -> Vec<u8> {
        let data = floats(rows.as_flattened());
        let view = TensorView::new(Dtype::F32, vec![rows.len(), 2], &data).unwrap();
        serialize([(TENSOR, view)], None).unwrap()
    }

    #[test]
    fn rows_are_read_from_any_place_and_have_length_one() {
        let v = open(&tensor_file(&[[3.0, 4.0], [0.0, -2.0], [1.0, 0.0]])).unwrap();
        let mut out = Vec::new();
        v.unit_rows(0, 1, &mut out);
        assert_eq!((v.len(), v.width(), out.as_slice()), (3, 2, &[0.6, 0.8][..]));
        v.unit_rows(1, 2, &mut out);
        assert_eq!(out, [0.0, -1.0, 1.0, 0.0]);
    }

    #[test]
    fn what_has_no_direction_is_refused_with_its_row() {
        for bad in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            let text = open(&tensor_file(&[[1.0, 0.0], bad])).err().unwrap().to_string();
            assert!(text.contains("row 1"), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_cut_short_or_holds_something_else_is_refused() {
        let whole = tensor_file(&[[1.0, 0.0], [0.0, 1.0]]);
        for end in 0..whole.len() {
            assert!(open(&whole[..end]).is_err(), "{end}");
        }
        let other = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        let text = open(&serialize([("weights", other)], None).unwrap()).err().unwrap().to_string();
        assert!(text.contains("no tensor `embeddings`"), "{text}");
    }

    #[test]
    fn rows_without_direction_are_named_the_first_ten() {
        let mut rows = vec![1.0_f32; 40];
        rows[6] = f32::NAN;
        rows[10..40].fill(0.0);
        let text = open(&npy_file("<f4", "(20, 2)", &floats(&rows))).err().unwrap().to_string();
        assert!(
            text.contains("16 of 20 rows") && text.contains("rows 3, 5, 6, 7, 8, 9, 10, 11, 12, 13 .."),
            "{text}"
        );
    }

    #[test]
    fn another_form_is_refused() {
        let data = floats(&[1.0; 4]);
        for bytes in [
            npy_file("<f2", "(2, 2)", &data),
            npy_file("<f4", "(4,)", &data),
            npy_file("<f4", "(3, 2)", &data),
            npy_file("<f4", "(2, 0)", &data),
            npy_file("<f4", "(18446744073709551615, 2)", &data),
            b"some text".to_vec(),
            b"\x93NUMPY".to_vec(),
        ] {
            let text = open(&bytes).err().unwrap().to_string();
            assert!(text.contains("expected a folder of an `embed` stage"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, kind in 0..3, at in 0_usize..200, value: u8) {
            let mut file = match kind {
                0 => npy_file("<f4", "(2, 2)", &floats(&[1.0, 2.0, 3.0, 4.0])),
                1 => tensor_file(&[[1.0, 2.0]]),
                _ => bytes,
            };
            if let Some(b) = file.get_mut(at) { *b = value; }
            if let Ok(v) = open(&file) { v.unit_rows(0, v.len().min(9), &mut Vec::new()); }
        }
    }
}
