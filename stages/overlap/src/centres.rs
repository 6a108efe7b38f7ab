//! One direction per identity, from the embeddings of its images, in integers.
//!
//! Everything that affects a decision is summed in integers, so that results depend neither on the machine
//! nor on the number of threads.

use lfs_faces::dataset::Dataset;
use lfs_formats::vectors::Vectors;
use lfs_stage::{Failure, Result};

/// The length of a direction: its components are rounded to integers at this scale.
pub(crate) const ONE: i32 = 1 << 14;
/// Rows read at once.
const ROWS: usize = 4096;

/// The directions of the identities of one or several data sets: the mean of the images' unit vectors.
pub(crate) struct Centres {
    /// Components per direction.
    pub(crate) width: usize,
    /// Sums of unit vectors, each rounded at [`ONE`].
    sums: Vec<i64>,
}

/// Directions as integer vectors of length [`ONE`], in rows of `width`; zeros for an identity without images.
pub(crate) struct Directions {
    /// Components per direction.
    pub(crate) width: usize,
    pub(crate) rows: Vec<i16>,
}

impl Centres {
    pub(crate) fn new(width: usize) -> Self {
        Self { width, sums: Vec::new() }
    }

    /// Appends the identities of a data set. `what` names the set in errors.
    pub(crate) fn add(&mut self, dataset: &Dataset, embeddings: &Vectors, what: &str) -> Result<()> {
        check(dataset, embeddings, self.width, what)?;
        let first = self.sums.len();
        self.sums.resize(first + dataset.info().identities.len() * self.width, 0);
        let mut rows = Vec::new();
        for start in (0..dataset.len()).step_by(ROWS) {
            let count = ROWS.min(dataset.len() - start);
            embeddings.unit_rows(start, count, &mut rows);
            for (k, row) in rows.chunks_exact(self.width).enumerate() {
                let at = first + dataset.face(start + k).identity as usize * self.width;
                for (sum, x) in self.sums[at..at + self.width].iter_mut().zip(row) {
                    *sum += (f64::from(*x) * f64::from(ONE)).round() as i64;
                }
            }
        }
        Ok(())
    }

    /// The directions of the identities as unit vectors.
    fn units(&self) -> impl Iterator<Item = Vec<f64>> + '_ {
        self.sums.chunks_exact(self.width).map(|sum| unit(sum.iter().map(|&x| x as f64).collect()))
    }
}

/// Normalises a vector to length 1; zeros remain.
fn unit(mut v: Vec<f64>) -> Vec<f64> {
    let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    if norm > 0.0 {
        v.iter_mut().for_each(|x| *x /= norm);
    }
    v
}

/// The directions of both sides, relative to the mean of all: what all faces have in common distinguishes
/// nobody.
pub(crate) fn directions(train: &Centres, tests: &Centres) -> (Directions, Directions) {
    let width = train.width;
    let (mut mean, mut n) = (vec![0.0; width], 0.0_f64);
    for u in train.units().chain(tests.units()).filter(|u| u.iter().any(|x| *x != 0.0)) {
        n += 1.0;
        mean.iter_mut().zip(u).for_each(|(m, x)| *m += x);
    }
    mean.iter_mut().for_each(|m| *m /= n.max(1.0));
    let seen = |centres: &Centres| {
        let mut rows = Vec::with_capacity(centres.sums.len());
        for u in centres.units() {
            let none = u.iter().all(|x| *x == 0.0);
            let from_mean = if none { u } else { unit(u.iter().zip(&mean).map(|(x, m)| x - m).collect()) };
            rows.extend(from_mean.iter().map(|x| (x * f64::from(ONE)).round() as i16));
        }
        Directions { width, rows }
    };
    (seen(train), seen(tests))
}

impl Directions {
    pub(crate) fn len(&self) -> usize {
        self.rows.len() / self.width
    }

    pub(crate) fn row(&self, k: usize) -> &[i16] {
        &self.rows[k * self.width..(k + 1) * self.width]
    }

    /// Whether the identity has images.
    pub(crate) fn is_known(&self, k: usize) -> bool {
        self.row(k).iter().any(|x| *x != 0)
    }
}

/// The cosine of two directions, times [`ONE`] squared.
pub(crate) fn dot(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum()
}

/// Converts the result of [`dot`] to a cosine from -1 to 1.
pub(crate) fn cosine(dot: i32) -> f64 {
    f64::from(dot) / (f64::from(ONE) * f64::from(ONE))
}

fn check(dataset: &Dataset, embeddings: &Vectors, width: usize, what: &str) -> Result<()> {
    let help = "give the embeddings that an embed stage made of this very data set; a stage between the two may have dropped images";
    if embeddings.len() != dataset.len() {
        return Err(Failure::new(format!(
            "the embeddings of {what} have {} rows, and its data set has {} images",
            embeddings.len(),
            dataset.len()
        ))
        .help(help));
    }
    if embeddings.width() != width {
        return Err(Failure::new(format!(
            "the embeddings of {what} have {} numbers a row, those of the training set {width}",
            embeddings.width()
        ))
        .help("embed all sets with the same model"));
    }
    Ok(())
}
