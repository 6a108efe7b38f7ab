//! From embeddings to cosine scores, once for all definitions.

use std::ops::Range;
use std::path::Path;

use lfs_faces::DataError;
use lfs_formats::vectors::{Name, Vectors};
use lfs_products::Matrix;
use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The treatment of the embeddings of mirror images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Flip {
    /// The convention of the definition: `sum` for `insightface`, `none` for all others.
    #[default]
    ByDefinition,
    /// The image alone.
    None,
    /// Add the two embeddings.
    Sum,
    /// Concatenate the two embeddings.
    Concatenate,
}

impl Flip {
    /// The name in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::ByDefinition => "by-definition",
            Self::None => "none",
            Self::Sum => "sum",
            Self::Concatenate => "concatenate",
        }
    }
}

/// Unit vectors, one per row of the data set: float32 [n, d].
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    values: Vec<f32>,
    width: usize,
    /// The lengths before normalisation; empty if they are not known.
    norms: Vec<f64>,
}

impl Embeddings {
    /// Reads the embeddings of a file or folder ([`Vectors::open`]), and those of the mirror images if `flip` needs them. Rows
    /// are added in float64, and normalised to length 1 before they are rounded to float32. The second value has the names of the
    /// rows, if they are in the file.
    ///
    /// # Errors
    /// If they cannot be read, or a row is zero or not finite.
    pub fn read(path: &Path, flip: Flip) -> Result<(Self, Option<Vec<Name>>)> {
        let failure = |e: DataError| Failure::new(e.to_string());
        let plain = Vectors::open(path).map_err(failure)?;
        let names = plain.names().map(<[Name]>::to_vec);
        let (n, width) = (plain.len(), plain.width());
        let mut values = Vec::new();
        if matches!(flip, Flip::None | Flip::ByDefinition) {
            plain.unit_rows(0, n, &mut values);
            let norms = (0..n).map(|i| plain.norm(i)).collect();
            return Ok((Self { values, width, norms }, names));
        }
        let mirrored = Vectors::open_flipped(path).map_err(failure)?.ok_or_else(|| {
            let what = "there are no embeddings of mirror images, called `flipped`";
            Failure::new(format!("{}: {what}", path.display())).help(
                "set `flip = true` in the embed stage, or `flip = \"none\"` here to score the images alone",
            )
        })?;
        if (mirrored.len(), mirrored.width()) != (n, width) {
            let shapes = format!("[{n}, {width}] and [{}, {}]", mirrored.len(), mirrored.width());
            return Err(Failure::new(format!(
                "{}: `embeddings` and `flipped` differ in shape: {shapes}",
                path.display()
            )));
        }
        let (mut a, mut b) = (vec![0.0; width], vec![0.0; width]);
        let (mut norms, mut directionless) = (Vec::with_capacity(n), Vec::new());
        for i in 0..n {
            plain.raw(i, &mut a);
            mirrored.raw(i, &mut b);
            match flip {
                Flip::Sum => a.iter_mut().zip(&b).for_each(|(x, y)| *x += y),
                _ => a.extend_from_slice(&b),
            }
            match unit(&a, &mut values) {
                Some(norm) => norms.push(norm),
                None => directionless.push(i.to_string()),
            }
            a.truncate(width);
        }
        if !directionless.is_empty() {
            return Err(Failure::new(format!(
                "{}: {} rows are opposite to those of their mirror images, and cancel: rows {}",
                path.display(),
                directionless.len(),
                first_ten(&directionless)
            )));
        }
        let width = if flip == Flip::Sum { width } else { 2 * width };
        Ok((Self { values, width, norms }, names))
    }

    /// Normalises rows of `width` numbers to length 1.
    ///
    /// # Errors
    /// If a row is zero or not finite.
    pub fn new(values: Vec<f32>, width: usize) -> Result<Self> {
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(Failure::new(format!("{} numbers are no rows of {width}", values.len())));
        }
        let mut out = Vec::with_capacity(values.len());
        let mut norms = Vec::new();
        for (i, row) in values.chunks_exact(width).enumerate() {
            let row: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
            norms.push(unit(&row, &mut out).ok_or_else(|| {
                Failure::new(format!("the embedding of row {i} is zero or not finite: it has no direction"))
            })?);
        }
        Ok(Self { values: out, width, norms })
    }

    /// Rows of length 1 as they are.
    pub(crate) fn of_units(values: Vec<f32>, width: usize) -> Self {
        Self { values, width, norms: Vec::new() }
    }

    /// These rows, and then those of others of the same width.
    pub(crate) fn followed_by(mut self, other: &Self) -> Self {
        self.values.extend_from_slice(&other.values);
        self.norms.extend_from_slice(&other.norms);
        self
    }

    /// The length of a row before normalisation; 1 if it is not known.
    pub fn norm(&self, i: usize) -> f64 {
        self.norms.get(i).copied().unwrap_or(1.0)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The number of components of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A row, of length 1.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// The given rows, in that order.
    pub fn rows(&self, which: &[usize]) -> Self {
        let values = which.iter().flat_map(|&i| self.row(i)).copied().collect();
        let norms = which.iter().filter_map(|&i| self.norms.get(i)).copied().collect();
        Self { values, width: self.width, norms }
    }

    /// A range of rows as a matrix [n, d].
    pub fn matrix(&self, rows: Range<usize>) -> Matrix<'_> {
        let values = &self.values[rows.start * self.width..rows.end * self.width];
        Matrix::new(values, rows.len(), self.width)
    }

    /// The cosine of two rows, summed in float64: bit-identical on every machine.
    pub fn cosine(&self, a: usize, b: usize) -> f64 {
        let dot: f64 = self.row(a).iter().zip(self.row(b)).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
        dot.clamp(-1.0, 1.0)
    }
}

/// Appends a row, normalised to length 1, and gives its length; none if it has no direction.
fn unit(row: &[f64], out: &mut Vec<f32>) -> Option<f64> {
    let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
    out.extend(row.iter().map(|x| (x / norm) as f32));
    (norm.is_finite() && norm > 0.0).then_some(norm)
}

/// The first ten of a list, for a message.
pub(crate) fn first_ten(all: &[String]) -> String {
    let more = if all.len() > 10 { " .." } else { "" };
    format!("{}{more}", all[..all.len().min(10)].join(", "))
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    fn folder(plain: &[f32], flipped: Option<&[f32]>) -> tempfile::TempDir {
        let bytes = |v: &[f32]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let (a, b) = (bytes(plain), flipped.map(bytes));
        let view =
            |d: &'static str, v| (d, TensorView::new(Dtype::F32, vec![plain.len() / 2, 2], v).unwrap());
        let mut tensors = vec![view("embeddings", &a)];
        if let Some(b) = &b {
            tensors.push(view("flipped", b));
        }
        let dir = tempfile::tempdir().unwrap();
        let bytes = safetensors::serialize(tensors, None).unwrap();
        std::fs::write(dir.path().join("embeddings.safetensors"), bytes).unwrap();
        dir
    }

    #[test]
    fn rows_are_brought_to_length_one() {
        let dir = folder(&[3.0, 4.0, 0.0, 5.0], None);
        let (e, names) = Embeddings::read(dir.path(), Flip::None).unwrap();
        assert_eq!(names, None);
        assert_eq!(e.row(0), [0.6, 0.8]);
        assert!((e.cosine(0, 1) - 0.8).abs() < 1e-7);
        assert_eq!((e.len(), e.width()), (2, 2));
    }

    #[test]
    fn a_mirrored_embedding_is_added_before_the_norm_or_put_beside() {
        let dir = folder(&[1.0, 0.0], Some(&[0.0, 1.0]));
        let (sum, _) = Embeddings::read(dir.path(), Flip::Sum).unwrap();
        assert!((sum.row(0)[0] - 0.5_f32.sqrt()).abs() < 1e-7);
        let (both, _) = Embeddings::read(dir.path(), Flip::Concatenate).unwrap();
        assert_eq!(both.width(), 4);
        assert!((both.row(0)[3] - 0.5_f32.sqrt()).abs() < 1e-7);
    }

    #[test]
    fn a_missing_mirror_says_where_to_ask_for_it() {
        let dir = folder(&[1.0, 0.0], None);
        let e = Embeddings::read(dir.path(), Flip::Sum).unwrap_err();
        assert!(e.message.contains("no embeddings of mirror images"), "{e}");
        assert!(e.help.unwrap().contains("flip = true"));
    }

    #[test]
    fn rows_that_cancel_with_their_mirror_images_are_named() {
        let dir = folder(&[1.0, 0.0, 1.0, 1.0], Some(&[-1.0, 0.0, 1.0, 1.0]));
        let e = Embeddings::read(dir.path(), Flip::Sum).unwrap_err();
        assert!(e.message.contains("1 rows are opposite") && e.message.ends_with("rows 0"), "{e}");
        assert_eq!(Embeddings::read(dir.path(), Flip::Concatenate).unwrap().0.width(), 4);
    }

    #[test]
    fn an_embedding_without_direction_is_refused() {
        for bad in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            let e = Embeddings::read(folder(&bad, None).path(), Flip::None).unwrap_err();
            assert!(e.message.contains("row 0"), "{e}");
        }
    }
}
