//! The estimated identities of each image, and the resulting statistics of each identity.

use rayon::prelude::*;

use super::model::{Line, Spread};
use super::space::{Space, dot};

/// The number of other identities tracked for an image.
pub(crate) const OTHERS: usize = 15;
/// No identity.
pub(crate) const NONE: u32 = u32::MAX;
/// Smaller shares are ignored.
const LEAST: f32 = 1e-9;

/// For each image, its own label and the most likely others, with the probability of each.
pub(crate) struct State {
    /// `[n, OTHERS]`, best first; [`NONE`] where there are fewer identities.
    pub(crate) others: Vec<u32>,
    /// `[n, 1 + OTHERS]`, with the own label first.
    pub(crate) share: Vec<f32>,
}

impl State {
    /// Trusts every label.
    pub(crate) fn new(n: usize) -> Self {
        let mut share = vec![0.0; n * (1 + OTHERS)];
        share.iter_mut().step_by(1 + OTHERS).for_each(|s| *s = 1.0);
        Self { others: vec![NONE; n * OTHERS], share }
    }

    pub(crate) fn others(&self, i: usize) -> &[u32] {
        &self.others[i * OTHERS..(i + 1) * OTHERS]
    }

    pub(crate) fn share(&self, i: usize) -> &[f32] {
        &self.share[i * (1 + OTHERS)..(i + 1) * (1 + OTHERS)]
    }

    pub(crate) fn share_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.share[i * (1 + OTHERS)..(i + 1) * (1 + OTHERS)]
    }

    pub(crate) fn own(&self, i: usize) -> f64 {
        f64::from(self.share[i * (1 + OTHERS)])
    }

    /// Replaces the tracked identities; those that remain keep their probability.
    pub(crate) fn look_at(&mut self, others: Vec<u32>) {
        for i in 0..self.share.len() / (1 + OTHERS) {
            let old: Vec<(u32, f32)> =
                self.others(i).iter().copied().zip(self.share(i)[1..].to_vec()).collect();
            let new = &others[i * OTHERS..(i + 1) * OTHERS];
            for (k, c) in new.iter().enumerate() {
                let kept = old.iter().find(|(o, _)| o == c && *c != NONE).map_or(0.0, |(_, s)| *s);
                self.share_mut(i)[1 + k] = kept;
            }
        }
        self.others = others;
    }

    /// Each identity of image `i` with its share, if that is not negligible.
    fn shares(&self, i: usize, label: u32) -> impl Iterator<Item = (u32, f32)> + '_ {
        let classes = std::iter::once(label).chain(self.others(i).iter().copied());
        classes.zip(self.share(i).iter().copied()).filter(|(c, s)| *c != NONE && *s > LEAST)
    }
}

/// Sums of the images of each identity, weighted by their probability.
pub(crate) struct Sums {
    pub(crate) sum: Vec<f64>,
    pub(crate) count: Vec<f64>,
    /// The squared length of each sum.
    pub(crate) square: Vec<f64>,
    width: usize,
}

impl Sums {
    pub(crate) fn new(space: &Space<'_>, labels: &[u32], state: &State, classes: usize) -> Self {
        let d = space.width();
        let mut start = vec![0_usize; classes + 1];
        for (i, &y) in labels.iter().enumerate() {
            state.shares(i, y).for_each(|(c, _)| start[c as usize + 1] += 1);
        }
        for c in 0..classes {
            start[c + 1] += start[c];
        }
        let mut next = start.clone();
        let mut entries = vec![(0_u32, 0.0_f32); start[classes]];
        for (i, &y) in labels.iter().enumerate() {
            for (c, s) in state.shares(i, y) {
                entries[next[c as usize]] = (i as u32, s);
                next[c as usize] += 1;
            }
        }
        let mut sum = vec![0.0; classes * d];
        let counted: Vec<(f64, f64)> = sum
            .par_chunks_mut(d)
            .enumerate()
            .map(|(c, sum)| {
                let mut row = vec![0.0; d];
                let mut count = 0.0;
                for &(i, s) in &entries[start[c]..start[c + 1]] {
                    let s = f64::from(s);
                    space.row(i as usize, &mut row);
                    sum.iter_mut().zip(&row).for_each(|(t, x)| *t += s * x);
                    count += s;
                }
                (count, dot(sum, sum))
            })
            .collect();
        let (count, square) = counted.into_iter().unzip();
        Self { sum, count, square, width: d }
    }

    pub(crate) fn of(&self, class: u32) -> &[f64] {
        let c = class as usize;
        &self.sum[c * self.width..(c + 1) * self.width]
    }

    /// The evidence for every identity as a function; see [`Spread::line`].
    pub(crate) fn lines(&self, spread: &Spread) -> Vec<Line> {
        let d = self.width;
        self.square.iter().zip(&self.count).map(|(&s2, &n)| spread.line(s2, n, d)).collect()
    }

    /// The evidence for identity `class` in a row, of which `share` is removed from the identity.
    pub(crate) fn evidence(&self, spread: &Spread, row: &[f64], z2: f64, class: u32, share: f32) -> f64 {
        let r = f64::from(share);
        let c = class as usize;
        let zs = dot(row, self.of(class));
        let n = (self.count[c] - r).max(0.0);
        let s2 = (self.square[c] - 2.0 * r * zs + r * r * z2).max(0.0);
        spread.evidence(z2, zs - r * z2, s2, n, self.width)
    }
}
