//! Matrices of embeddings in the format of MegaFace and Trillion-Pairs, and in NumPy's.
//!
//! The former: four little-endian i32 (rows, columns, bytes of a row, type: 5 float32, 6 float64), then the rows. MegaFace has one
//! file for each image, `512 x 1`; Trillion-Pairs has a single file, `1862120 x 512`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::DataError;
use crate::container::npz;

/// The properties of a matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// `feature-matrix` or `npy`.
    pub format: &'static str,
    /// The number of rows.
    pub rows: u64,
    /// The number of columns.
    pub columns: u64,
    /// The distance between rows in bytes.
    pub stride: u64,
    /// `float16`, `float32`, `float64`, or NumPy's name of another type.
    pub kind: String,
}

/// The properties of a file, if it is a matrix of numbers.
///
/// # Errors
/// If it is one, and is damaged or truncated.
pub fn look(path: &Path) -> Result<Option<Matrix>, DataError> {
    let fail = |e: std::io::Error| DataError::new(format!("cannot read {}: {e}", path.display()));
    if !path.is_file() {
        return Ok(None);
    }
    let file = File::open(path).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    let mut start = [0; 16];
    let mut reader = BufReader::new(file);
    if reader.read_exact(&mut start).is_err() {
        return Ok(None);
    }
    if start.starts_with(b"\x93NUMPY") {
        return numpy(path, length).map_err(|e| e.within(path.display()));
    }
    features(&start, length).map_err(|e| e.within(path.display()))
}

pub(crate) fn features(start: &[u8; 16], length: u64) -> Result<Option<Matrix>, DataError> {
    let word = |at: usize| i32::from_le_bytes([start[at], start[at + 1], start[at + 2], start[at + 3]]);
    let wide = match word(12) {
        5 => 4,
        6 => 8,
        _ => return Ok(None),
    };
    let (Ok(rows), Ok(columns), Ok(stride)) =
        (u64::try_from(word(0)), u64::try_from(word(4)), u64::try_from(word(8)))
    else {
        return Ok(None);
    };
    // Any file may have a 5 there; in a matrix, the rows are also large enough for the columns.
    if rows == 0 || columns == 0 || stride < columns * wide || stride % wide != 0 {
        return Ok(None);
    }
    let wanted = 16 + rows * stride;
    if length != wanted {
        return Err(DataError::new(format!(
            "a matrix of {rows} x {columns} has {wanted} bytes, the file {length}: it is cut short, or of another format"
        )));
    }
    let kind = if wide == 4 { "float32" } else { "float64" };
    Ok(Some(Matrix { format: "feature-matrix", rows, columns, stride, kind: kind.to_owned() }))
}

fn numpy(path: &Path, length: u64) -> Result<Option<Matrix>, DataError> {
    let file = File::open(path).map_err(|e| DataError::new(e.to_string()))?;
    let mut reader = BufReader::new(file);
    let header = npz::header(&mut reader)?;
    let [rows, columns] = header.shape[..] else { return Ok(None) };
    let all = header.bytes()? as u64;
    if length < all {
        return Err(DataError::new(format!(
            "an array of {rows} x {columns} has {all} bytes, the file {length}: it is cut short"
        )));
    }
    let kind = match header.dtype.trim_start_matches(['<', '>', '=', '|']) {
        "f2" => "float16",
        "f4" => "float32",
        "f8" => "float64",
        _ => &header.dtype,
    };
    let stride = columns as u64 * header.wide()? as u64;
    Ok(Some(Matrix {
        format: "npy",
        rows: rows as u64,
        columns: columns as u64,
        stride,
        kind: kind.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(bytes: &[u8]) -> Result<Option<Matrix>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, bytes).unwrap();
        look(&path).map_err(|e| e.to_string())
    }

    fn features(words: [i32; 4], data: usize) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_le_bytes()).chain(std::iter::repeat_n(1, data)).collect()
    }

    #[test]
    fn a_feature_matrix_is_recognised_by_its_header_and_length() {
        let found = at(&features([512, 1, 4, 5], 2048)).unwrap().unwrap();
        assert_eq!((found.rows, found.columns, found.kind.as_str()), (512, 1, "float32"));
        let found = at(&features([3, 2, 24, 6], 72)).unwrap().unwrap();
        assert_eq!((found.columns, found.stride, found.kind.as_str()), (2, 24, "float64"));
        assert!(at(&features([512, 1, 4, 5], 2044)).unwrap_err().contains("cut short"));
        for other in [[512, 1, 4, 7], [0, 1, 4, 5], [-3, 1, 4, 5], [3, 4, 8, 5], [3, 4, 17, 5]] {
            assert_eq!(at(&features(other, 64)).unwrap(), None, "{other:?}");
        }
        assert_eq!(at(b"short").unwrap(), None);
    }

    #[test]
    fn a_numpy_matrix_is_recognised() {
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }           \n";
        let head = [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
        let found = at(&[head.clone(), vec![0; 48]].concat()).unwrap().unwrap();
        assert_eq!((found.rows, found.columns, found.kind.as_str()), (3, 4, "float32"));
        let long = head.iter().map(|b| if *b == b'4' { b'9' } else { *b }).collect::<Vec<u8>>();
        assert!(at(&long[..40]).is_err() && at(&head[..30]).is_err());
    }
}
