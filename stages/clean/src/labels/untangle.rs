//! Pairs of folders of which one is flooded with images of the other's person.
//!
//! If most images under a label show another person, the estimated identity is that person, and the correct
//! images look like the outliers. This can be recognised because that person already has a folder, and the
//! few have none. The images of both folders are therefore divided into two persons again, and each folder
//! keeps one of them.

use super::model::Spread;
use super::space::{Folders, Space, dot};

/// The result of the first round.
pub(crate) struct First {
    /// The most likely identity of each image.
    pub(crate) to: Vec<u32>,
    /// Whether some identity explains it well.
    pub(crate) elsewhere: Vec<bool>,
}

/// By which power a division must be more likely than by chance: images of a person are less independent than
/// the model assumes.
const CAUTION: f64 = 4.0;
/// The maximum number of iterations to refine a division.
const TURNS: usize = 10;
/// The second person is initialised with these fractions of a folder, taken from the images least like the
/// first.
const BEGINNINGS: [usize; 3] = [64, 16, 4];

/// The images with their new labels, for each pair of folders where a new division is better.
pub(crate) fn untangle(
    space: &Space<'_>,
    labels: &[u32],
    folders: &Folders,
    first: &First,
    spread: Spread,
    weight: f64,
) -> Vec<(usize, u32)> {
    let mut moved: Vec<(u32, u32)> = labels
        .iter()
        .zip(&first.to)
        .filter(|(y, to)| y != to)
        .map(|(&y, &to)| (y.min(to), y.max(to)))
        .collect();
    moved.sort_unstable();
    let mut pairs: Vec<(usize, (u32, u32))> =
        moved.chunk_by(|a, b| a == b).map(|same| (same.len(), same[0])).collect();
    pairs.sort_by_key(|&(count, pair)| (std::cmp::Reverse(count), pair));
    let mut used = vec![false; folders.len()];
    let mut out = Vec::new();
    for (count, (a, b)) in pairs {
        let smaller = folders.rows(a as usize).len().min(folders.rows(b as usize).len());
        if count < 2 || count * 10 < smaller || used[a as usize] || used[b as usize] {
            continue;
        }
        let mut rows: Vec<usize> =
            folders.rows(a as usize).iter().chain(folders.rows(b as usize)).map(|&i| i as usize).collect();
        rows.retain(|&i| !first.elsewhere[i] || first.to[i] == a || first.to[i] == b);
        rows.sort_unstable();
        let pool = Pool::new(space, labels, &rows, a);
        if let Some(of_a) = pool.divide(&spread, weight, folders.len()) {
            out.extend(rows.iter().zip(of_a).map(|(&i, of_a)| (i, if of_a { a } else { b })));
            (used[a as usize], used[b as usize]) = (true, true);
        }
    }
    out
}

/// The images of two folders.
struct Pool {
    rows: Vec<f64>,
    width: usize,
    /// Whether an image has the first label.
    of_a: Vec<bool>,
}

impl Pool {
    fn new(space: &Space<'_>, labels: &[u32], rows: &[usize], a: u32) -> Self {
        let width = space.width();
        let mut all = vec![0.0; rows.len() * width];
        for (&i, row) in rows.iter().zip(all.chunks_exact_mut(width)) {
            space.row(i, row);
        }
        Self { rows: all, width, of_a: rows.iter().map(|&i| labels[i] == a).collect() }
    }

    fn row(&self, k: usize) -> &[f64] {
        &self.rows[k * self.width..(k + 1) * self.width]
    }

    /// The sum of the selected rows.
    fn sum(&self, of: impl Fn(usize) -> bool) -> Vec<f64> {
        let mut sum = vec![0.0; self.width];
        for k in (0..self.of_a.len()).filter(|&k| of(k)) {
            sum.iter_mut().zip(self.row(k)).for_each(|(s, x)| *s += x);
        }
        sum
    }

    /// Whether each image belongs to the first folder, if some division is far more likely than that of the
    /// labels.
    fn divide(&self, spread: &Spread, weight: f64, classes: usize) -> Option<Vec<bool>> {
        let mut best: Option<(f64, Vec<bool>)> = None;
        for first in [true, false] {
            let rest: Vec<usize> = (0..self.of_a.len()).filter(|&k| self.of_a[k] != first).collect();
            if rest.is_empty() || rest.len() == self.of_a.len() {
                return None;
            }
            let centre = unit(self.sum(|k| self.of_a[k] == first));
            let mut order: Vec<(f64, usize)> = rest.iter().map(|&k| (dot(self.row(k), &centre), k)).collect();
            order.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
            let mut sizes = BEGINNINGS.map(|part| (rest.len() / part).max(1)).to_vec();
            sizes.dedup();
            for size in sizes {
                let mut chosen = vec![false; self.of_a.len()];
                order[..size].iter().for_each(|&(_, k)| chosen[k] = true);
                let second = unit(self.sum(|k| chosen[k]));
                let Some(mut of_first) = self.turn(centre.clone(), second) else { continue };
                let agree = (0..self.of_a.len()).filter(|&k| (self.of_a[k] == first) == of_first[k]).count();
                if agree * 2 < self.of_a.len() {
                    of_first.iter_mut().for_each(|z| *z = !*z);
                }
                let of_a: Vec<bool> = of_first.iter().map(|&z| z == first).collect();
                let gain = self.gain(&of_a, spread, weight, classes);
                if best.as_ref().is_none_or(|(most, _)| gain > *most) {
                    best = Some((gain, of_a));
                }
            }
        }
        best.filter(|(gain, _)| *gain > 0.0).map(|(_, of_a)| of_a)
    }

    /// Spherical two-means from these centres: whether each image is closer to the first. None if one cluster
    /// is empty.
    fn turn(&self, mut p: Vec<f64>, mut q: Vec<f64>) -> Option<Vec<bool>> {
        let mut last: Option<Vec<bool>> = None;
        for _ in 0..TURNS {
            let z: Vec<bool> =
                (0..self.of_a.len()).map(|k| dot(self.row(k), &p) >= dot(self.row(k), &q)).collect();
            if z.iter().all(|z| *z) || !z.iter().any(|z| *z) {
                return None;
            }
            if last.as_ref() == Some(&z) {
                break;
            }
            p = unit(self.sum(|k| z[k]));
            q = unit(self.sum(|k| !z[k]));
            last = Some(z);
        }
        last
    }

    /// The log likelihood gain of the division over that of the labels, minus the cost of assuming it: that
    /// these two folders were mixed, and which of their images were.
    fn gain(&self, of_a: &[bool], spread: &Spread, weight: f64, classes: usize) -> f64 {
        let part = |of: &dyn Fn(usize) -> bool| {
            let sum = self.sum(of);
            let n = (0..of_a.len()).filter(|&k| of(k)).count() as f64;
            spread.together(dot(&sum, &sum), n, self.width)
        };
        let new = part(&|k| of_a[k]) + part(&|k| !of_a[k]);
        let old = part(&|k| self.of_a[k]) + part(&|k| !self.of_a[k]);
        let choices = |side: bool| {
            let n = self.of_a.iter().filter(|l| **l == side).count();
            let m = self.of_a.iter().zip(of_a).filter(|(l, z)| **l == side && l != z).count();
            (1..=m).map(|k| libm::log((n - m + k) as f64 / k as f64)).sum::<f64>()
        };
        let cost = libm::log((classes as f64 - 1.0).max(1.0)) + choices(true) + choices(false);
        weight * (new - old) - CAUTION * cost
    }
}

fn unit(mut v: Vec<f64>) -> Vec<f64> {
    let norm = dot(&v, &v).sqrt();
    if norm > 0.0 {
        v.iter_mut().for_each(|x| *x /= norm);
    }
    v
}
