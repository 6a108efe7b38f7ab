//! From embeddings to cosine scores, once for all definitions.

use std::ops::Range;
use std::path::Path;

use lfs_products::Matrix;
use lfs_stage::{Failure, IoContext, Result};
use safetensors::{Dtype, SafeTensors};
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
}

impl Embeddings {
    /// Reads `embeddings.safetensors` in `folder`: tensor `embeddings` float32 [n, d], not normalised, and
    /// `flipped` of the same shape if `flip` needs it. Every row is normalised to length 1.
    ///
    /// # Errors
    /// If a tensor is missing or has another type or shape, or a row is zero or not finite.
    pub fn read(folder: &Path, flip: Flip) -> Result<Self> {
        let path = folder.join("embeddings.safetensors");
        let bytes = std::fs::read(&path).doing("read", &path)?;
        let file = SafeTensors::deserialize(&bytes).doing("read", &path)?;
        let (plain, width) = tensor(&file, "embeddings", &path)?;
        let mirrored = match flip {
            Flip::None | Flip::ByDefinition => None,
            Flip::Sum | Flip::Concatenate => Some(tensor(&file, "flipped", &path)?),
        };
        match mirrored {
            None => Self::new(plain, width),
            Some((other, w)) if w != width || other.len() != plain.len() => {
                Err(Failure::new(format!("{}: `embeddings` and `flipped` differ in shape", path.display())))
            }
            Some((other, _)) if flip == Flip::Sum => {
                Self::new(plain.iter().zip(&other).map(|(a, b)| a + b).collect(), width)
            }
            Some((other, _)) => {
                let rows = plain.chunks_exact(width).zip(other.chunks_exact(width));
                Self::new(rows.flat_map(|(a, b)| a.iter().chain(b)).copied().collect(), 2 * width)
            }
        }
    }

    /// Normalises rows of `width` numbers to length 1.
    ///
    /// # Errors
    /// If a row is zero or not finite.
    pub fn new(mut values: Vec<f32>, width: usize) -> Result<Self> {
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(Failure::new(format!("{} numbers are no rows of {width}", values.len())));
        }
        for (i, row) in values.chunks_exact_mut(width).enumerate() {
            let norm = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
            if !norm.is_finite() || norm == 0.0 {
                return Err(Failure::new(format!(
                    "the embedding of row {i} has length {norm}: it has no direction"
                ))
                .help("the training diverged or the image was not read; check the train and embed logs"));
            }
            row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
        }
        Ok(Self { values, width })
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
        Self { values, width: self.width }
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

fn tensor(file: &SafeTensors<'_>, name: &str, path: &Path) -> Result<(Vec<f32>, usize)> {
    let found = file.tensor(name).map_err(|_| {
        let failure = Failure::new(format!("{} has no tensor `{name}`", path.display()));
        match name {
            "flipped" => failure.help(
                "set `flip = true` in the embed stage, or `flip = \"none\"` here to score the images alone",
            ),
            _ => failure.help("is the input `embeddings` the output of an embed stage?"),
        }
    })?;
    match (found.dtype(), found.shape()) {
        (Dtype::F32, &[_, width]) if width > 0 => {
            let values = found.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            Ok((values.collect(), width))
        }
        (dtype, shape) => Err(Failure::new(format!(
            "{}: `{name}` is {dtype:?} {shape:?}, expected F32 [n, d]",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

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
        let e = Embeddings::read(dir.path(), Flip::None).unwrap();
        assert_eq!(e.row(0), [0.6, 0.8]);
        assert!((e.cosine(0, 1) - 0.8).abs() < 1e-7);
        assert_eq!((e.len(), e.width()), (2, 2));
    }

    #[test]
    fn a_mirrored_embedding_is_added_before_the_norm_or_put_beside() {
        let dir = folder(&[1.0, 0.0], Some(&[0.0, 1.0]));
        let sum = Embeddings::read(dir.path(), Flip::Sum).unwrap();
        assert!((sum.row(0)[0] - 0.5_f32.sqrt()).abs() < 1e-7);
        let both = Embeddings::read(dir.path(), Flip::Concatenate).unwrap();
        assert_eq!(both.width(), 4);
        assert!((both.row(0)[3] - 0.5_f32.sqrt()).abs() < 1e-7);
    }

    #[test]
    fn a_missing_mirror_says_where_to_ask_for_it() {
        let dir = folder(&[1.0, 0.0], None);
        let e = Embeddings::read(dir.path(), Flip::Sum).unwrap_err();
        assert!(e.message.contains("no tensor `flipped`"));
        assert!(e.help.unwrap().contains("flip = true"));
    }

    #[test]
    fn an_embedding_without_direction_is_refused() {
        for bad in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            let e = Embeddings::read(folder(&bad, None).path(), Flip::None).unwrap_err();
            assert!(e.message.contains("row 0"), "{e}");
        }
    }
}
