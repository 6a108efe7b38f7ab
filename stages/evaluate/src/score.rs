//! From embeddings to cosine scores, once for all definitions.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use lfs_faces::DataError;
use lfs_formats::vectors::{Name, Vectors, first_ten};
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
#[derive(Clone)]
pub struct Embeddings {
    rows: Rows,
    width: usize,
}

#[derive(Clone)]
enum Rows {
    /// In memory, with their lengths before normalisation; these are empty if they are not known.
    Held { values: Vec<f32>, norms: Vec<f64> },
    /// In a file that may be larger than memory: they are normalised when they are used.
    Filed { file: Arc<Vectors>, which: Vec<u32> },
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
        if matches!(flip, Flip::None | Flip::ByDefinition) {
            let which = (0..n).map(|i| u32::try_from(i).ok()).collect::<Option<_>>();
            let which = which.ok_or_else(|| Failure::new(format!("{n} embeddings are more than 2^32")))?;
            return Ok((Self { rows: Rows::Filed { file: Arc::new(plain), which }, width }, names));
        }
        let mut values = Vec::new();
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
        Ok((Self { rows: Rows::Held { values, norms }, width }, names))
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
        Ok(Self { rows: Rows::Held { values: out, norms }, width })
    }

    /// Rows of length 1 as they are.
    pub(crate) fn of_units(values: Vec<f32>, width: usize) -> Self {
        Self { rows: Rows::Held { values, norms: Vec::new() }, width }
    }

    /// The length of a row before normalisation; 1 if it is not known.
    pub fn norm(&self, i: usize) -> f64 {
        match &self.rows {
            Rows::Held { norms, .. } => norms.get(i).copied().unwrap_or(1.0),
            Rows::Filed { file, which } => file.norm(which[i] as usize),
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::Held { values, .. } => values.len() / self.width,
            Rows::Filed { which, .. } => which.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of components of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The numbers of some rows, one after the other. `buffer` has room for those that are not in memory.
    pub fn units<'a>(&'a self, rows: Range<usize>, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        match &self.rows {
            Rows::Held { values, .. } => &values[rows.start * self.width..rows.end * self.width],
            Rows::Filed { file, which } => {
                buffer.clear();
                let mut row = vec![0.0; self.width];
                for i in rows {
                    file.unit(which[i] as usize, &mut row);
                    buffer.extend(row.iter().map(|x| *x as f32));
                }
                buffer
            }
        }
    }

    /// The given rows, in that order.
    pub fn rows(&self, which: &[usize]) -> Self {
        let rows = match &self.rows {
            Rows::Held { values, norms } => Rows::Held {
                values: which
                    .iter()
                    .flat_map(|&i| &values[i * self.width..(i + 1) * self.width])
                    .copied()
                    .collect(),
                norms: which.iter().filter_map(|&i| norms.get(i)).copied().collect(),
            },
            Rows::Filed { file, which: own } => {
                Rows::Filed { file: file.clone(), which: which.iter().map(|&i| own[i]).collect() }
            }
        };
        Self { rows, width: self.width }
    }

    /// The same rows in memory.
    pub fn held(&self) -> Self {
        let mut buffer = Vec::new();
        let values = self.units(0..self.len(), &mut buffer).to_vec();
        let norms = (0..self.len()).map(|i| self.norm(i)).collect();
        Self { rows: Rows::Held { values, norms }, width: self.width }
    }

    /// All rows, and then those of others of the same width, in memory.
    pub(crate) fn followed_by(&self, other: &Self) -> Self {
        let (mut own, mut theirs) = (Vec::new(), Vec::new());
        let own = self.units(0..self.len(), &mut own);
        Self::of_units([own, other.units(0..other.len(), &mut theirs)].concat(), self.width)
    }

    /// The cosine of two rows, summed in float64: bit-identical on every machine.
    pub fn cosine(&self, a: usize, b: usize) -> f64 {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let (a, b) = (self.units(a..a + 1, &mut first), self.units(b..b + 1, &mut second));
        let dot: f64 = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
        dot.clamp(-1.0, 1.0)
    }
}

/// Appends a row, normalised to length 1, and gives its length; none if it has no direction.
fn unit(row: &[f64], out: &mut Vec<f32>) -> Option<f64> {
    let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
    out.extend(row.iter().map(|x| (x / norm) as f32));
    (norm.is_finite() && norm > 0.0).then_some(norm)
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
        assert_eq!(e.units(0..1, &mut Vec::new()), [0.6, 0.8]);
        assert!((e.cosine(0, 1) - 0.8).abs() < 1e-7);
        assert_eq!((e.len(), e.width()), (2, 2));
    }

    #[test]
    fn rows_of_a_file_are_those_in_memory() {
        let dir = folder(&[3.0, 4.0, 0.0, 5.0, -1.0, 2.0], None);
        let (filed, _) = Embeddings::read(dir.path(), Flip::None).unwrap();
        let (some, held) = (filed.rows(&[2, 0]), filed.held().rows(&[2, 0]));
        let (mut a, mut b) = (Vec::new(), Vec::new());
        assert_eq!(some.units(0..2, &mut a), held.units(0..2, &mut b));
        assert_eq!((some.len(), some.norm(1), held.norm(1)), (2, 5.0, 5.0));
        assert_eq!(some.cosine(0, 1), held.cosine(0, 1));
        assert_eq!(some.followed_by(&held).len(), 4);
    }

    #[test]
    fn a_mirrored_embedding_is_added_before_the_norm_or_put_beside() {
        let dir = folder(&[1.0, 0.0], Some(&[0.0, 1.0]));
        let (sum, _) = Embeddings::read(dir.path(), Flip::Sum).unwrap();
        assert!((sum.units(0..1, &mut Vec::new())[0] - 0.5_f32.sqrt()).abs() < 1e-7);
        let (both, _) = Embeddings::read(dir.path(), Flip::Concatenate).unwrap();
        assert_eq!(both.width(), 4);
        assert!((both.units(0..1, &mut Vec::new())[3] - 0.5_f32.sqrt()).abs() < 1e-7);
    }

    #[test]
    fn a_missing_mirror_says_where_to_ask_for_it() {
        let dir = folder(&[1.0, 0.0], None);
        let e = Embeddings::read(dir.path(), Flip::Sum).err().unwrap();
        assert!(e.message.contains("no embeddings of mirror images"), "{e}");
        assert!(e.help.unwrap().contains("flip = true"));
    }

    #[test]
    fn rows_that_cancel_with_their_mirror_images_are_named() {
        let dir = folder(&[1.0, 0.0, 1.0, 1.0], Some(&[-1.0, 0.0, 1.0, 1.0]));
        let e = Embeddings::read(dir.path(), Flip::Sum).err().unwrap();
        assert!(e.message.contains("1 rows are opposite") && e.message.ends_with("rows 0"), "{e}");
        assert_eq!(Embeddings::read(dir.path(), Flip::Concatenate).unwrap().0.width(), 4);
    }

    #[test]
    fn an_embedding_without_direction_is_refused() {
        for bad in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            let e = Embeddings::read(folder(&bad, None).path(), Flip::None).err().unwrap();
            assert!(e.message.contains("row 0"), "{e}");
        }
    }
}
