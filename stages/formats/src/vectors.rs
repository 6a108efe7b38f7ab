//! Embeddings: rows of numbers, one for each image, from the files in which they are handed out.
//!
//! - A folder of a stage, or a safetensors file: tensor `embeddings`, float16, bfloat16, float32 or float64 [n, d].
//! - NumPy's `.npy`; `.npz` with the array `embeddings`, or with one matrix.
//! - Parquet, a file or a folder of shards: a column of lists of numbers.
//! - Matrices of MegaFace (a folder with a file for each image) and Trillion-Pairs (one file).
//!
//! `flipped` is a second tensor, array or column of the same shape: the embeddings of the mirror images. Names of the images may be
//! inside, too, see [`names`]. Large files are mapped, not read.

mod arrays;
mod features;
pub mod names;
mod source;
mod table;
mod tensors;

use std::path::Path;

use crate::DataError;
pub use names::Name;
use source::Source;

/// The file in a folder of embeddings.
pub const FILE: &str = "embeddings.safetensors";
/// The file with the names of the rows, beside it.
pub const NAMES: &str = "names.tsv";
/// The maximum width of a row.
const WIDEST: usize = 65_536;
/// The number of faulty rows that are listed.
const NAMED: usize = 10;

/// Embeddings of images or of their mirror images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Of the images.
    Plain,
    /// Of their mirror images.
    Flipped,
}

impl Part {
    /// The name of the tensor, array or column.
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "embeddings",
            Self::Flipped => "flipped",
        }
    }
}

/// Rows of `width` numbers; no row is the zero vector.
pub struct Vectors {
    source: Source,
    /// The norm of each row in the file.
    norms: Vec<f64>,
}

impl Vectors {
    /// Opens the embeddings of a file or folder. Every row is checked once.
    ///
    /// # Errors
    /// If there are none, if they are damaged, if names inside occur twice, or if rows are not finite or zero; the first ten are
    /// listed.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let found = Source::open(path, Part::Plain)?;
        let source = found.ok_or_else(|| form("there are none").within(path.display()))?;
        Self::checked(source).map_err(|e| e.within(path.display()))
    }

    /// Opens the embeddings of the mirror images; none if there are none.
    ///
    /// # Errors
    /// As [`Vectors::open`].
    pub fn open_flipped(path: &Path) -> Result<Option<Self>, DataError> {
        let found = Source::open(path, Part::Flipped)?;
        found.map(|source| Self::checked(source).map_err(|e| e.within(path.display()))).transpose()
    }

    fn checked(source: Source) -> Result<Self, DataError> {
        let n = source.rows();
        let mut faulty = Vec::new();
        let mut norms = Vec::with_capacity(n);
        let mut row = vec![0.0; source.width()];
        for i in 0..n {
            source.row(i, &mut row);
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            if !norm.is_finite() || norm == 0.0 {
                faulty.push(i);
            }
            norms.push(norm);
        }
        if !faulty.is_empty() {
            let called = |i: &usize| {
                let found = if norms[*i] == 0.0 { "zero" } else { "not finite" };
                match source.names().and_then(|names| names.get(*i)) {
                    Some(name) => format!("row {i} ({}) is {found}", name.image),
                    None => format!("row {i} is {found}"),
                }
            };
            let named: Vec<String> = faulty.iter().take(NAMED + 1).map(called).collect();
            return Err(DataError::new(format!(
                "{} of {n} rows have no direction: {}; did the training diverge, or were images not read?",
                faulty.len(),
                first_ten(&named)
            )));
        }
        Ok(Self { source, norms })
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
        self.source.width()
    }

    /// The names of the images, one for each row, if the file has them.
    pub fn names(&self) -> Option<&[Name]> {
        self.source.names()
    }

    /// The norm of row `i` before normalisation.
    ///
    /// # Panics
    /// If there is no such row, like indexing a slice.
    pub fn norm(&self, i: usize) -> f64 {
        self.norms[i]
    }

    /// Writes row `i` as it is in the file to `out` ([`Vectors::width`] numbers).
    ///
    /// # Panics
    /// If there is no such row, like indexing a slice.
    pub fn raw(&self, i: usize, out: &mut [f64]) {
        self.source.row(i, out);
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
        let (mut a, mut b) = (vec![0.0; self.width()], vec![0.0; self.width()]);
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
        let mut row = vec![0.0; self.width()];
        for i in from..from + count {
            self.unit(i, &mut row);
            out.extend(row.iter().map(|x| *x as f32));
        }
    }
}

/// The first ten of a list, for a message.
pub fn first_ten(all: &[String]) -> String {
    let more = if all.len() > NAMED { " .." } else { "" };
    format!("{}{more}", all[..all.len().min(NAMED)].join(", "))
}

fn form(found: &str) -> DataError {
    DataError::new(format!(
        "expected embeddings, a row an image (a folder of a stage, .npy, .npz, safetensors, Parquet, or matrices of MegaFace): {found}"
    ))
}

#[cfg(test)]
mod tests;
