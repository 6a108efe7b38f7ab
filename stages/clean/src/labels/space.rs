//! Embeddings normalised to length 1 and centred.

use lfs_formats::vectors::Vectors;

/// The rows of a file, normalised to length 1 and centred.
pub(crate) struct Space<'a> {
    vectors: &'a Vectors,
    /// The mean of all normalised rows.
    pub(crate) mean: Vec<f64>,
    /// The squared length of each centred row.
    pub(crate) z2: Vec<f64>,
}

impl<'a> Space<'a> {
    pub(crate) fn new(vectors: &'a Vectors) -> Self {
        let d = vectors.width();
        let (mut mean, mut row) = (vec![0.0; d], vec![0.0; d]);
        for i in 0..vectors.len() {
            vectors.unit(i, &mut row);
            mean.iter_mut().zip(&row).for_each(|(m, x)| *m += x);
        }
        mean.iter_mut().for_each(|m| *m /= vectors.len().max(1) as f64);
        let mut space = Self { vectors, mean, z2: Vec::new() };
        space.z2 = (0..vectors.len())
            .map(|i| {
                space.row(i, &mut row);
                dot(&row, &row)
            })
            .collect();
        space
    }

    pub(crate) fn len(&self) -> usize {
        self.vectors.len()
    }

    pub(crate) fn width(&self) -> usize {
        self.mean.len()
    }

    /// Writes the centred row `i`.
    pub(crate) fn row(&self, i: usize, out: &mut [f64]) {
        self.vectors.unit(i, out);
        out.iter_mut().zip(&self.mean).for_each(|(x, m)| *x -= m);
    }

    /// The length of row `i` in the file.
    pub(crate) fn norm(&self, i: usize) -> f64 {
        self.vectors.norm(i)
    }
}

/// The inner product, summed in eight lanes: bit-identical on every machine.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, ra), (b, rb)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        lanes.iter_mut().zip(a).zip(b).for_each(|((lane, x), y)| *lane += x * y);
    }
    let rest: f64 = ra.iter().zip(rb).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f64>() + rest
}

/// Rows grouped by their label.
pub(crate) struct Folders {
    start: Vec<usize>,
    rows: Vec<u32>,
}

impl Folders {
    pub(crate) fn new(labels: &[u32], classes: usize) -> Self {
        let mut start = vec![0; classes + 1];
        for &y in labels {
            start[y as usize + 1] += 1;
        }
        for c in 0..classes {
            start[c + 1] += start[c];
        }
        let mut next = start.clone();
        let mut rows = vec![0; labels.len()];
        for (i, &y) in (0..).zip(labels) {
            rows[next[y as usize]] = i;
            next[y as usize] += 1;
        }
        Self { start, rows }
    }

    pub(crate) fn rows(&self, class: usize) -> &[u32] {
        &self.rows[self.start[class]..self.start[class + 1]]
    }

    pub(crate) fn len(&self) -> usize {
        self.start.len() - 1
    }
}
