//! Pairs of images for verification, in ten folds without common identities.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;

use crate::rng::{Draw, shuffle};

/// The number of folds of every list.
pub const FOLDS: usize = 10;

/// An image: index of its identity, index of the image (from 0).
pub type Image = (usize, usize);

/// The pairs of one fold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fold {
    /// Genuine pairs.
    pub same: Vec<(Image, Image)>,
    /// Impostor pairs.
    pub different: Vec<(Image, Image)>,
}

/// The candidates for pairs.
pub struct Pairing<'a> {
    /// The number of identities.
    pub people: usize,
    /// Indices of the images that may be first in a pair.
    pub first: Vec<usize>,
    /// Indices of the images that may be second in a pair.
    pub second: Vec<usize>,
    /// The maximum number of genuine pairs, and of impostor pairs, in a fold.
    pub wanted: usize,
    /// The distance between two people; if given, impostor pairs are drawn from the third that look most alike.
    pub unlike: Option<&'a dyn Fn(usize, usize) -> f32>,
}

impl Pairing<'_> {
    /// Draws ten folds, all with the same number of genuine and of impostor pairs.
    pub fn folds(&self, rng: &mut ChaCha8Rng) -> Vec<Fold> {
        let bounds = |k: usize| k * self.people / FOLDS;
        let same: Vec<Vec<(Image, Image)>> = (0..FOLDS)
            .map(|k| {
                let mut all = Vec::new();
                for person in bounds(k)..bounds(k + 1) {
                    for (i, j) in self.within() {
                        all.push(((person, i), (person, j)));
                    }
                }
                shuffle(rng, &mut all);
                all
            })
            .collect();
        let couples: Vec<Vec<(usize, usize)>> =
            (0..FOLDS).map(|k| self.couples(bounds(k), bounds(k + 1))).collect();
        let each = self.first.len() * self.second.len();
        let fewest_same = same.iter().map(Vec::len).min().unwrap_or(0);
        let fewest_different = couples.iter().map(|c| c.len() * each).min().unwrap_or(0);
        let count = self.wanted.min(fewest_same).min(fewest_different);
        same.into_iter()
            .zip(couples)
            .map(|(mut same, couples)| {
                same.truncate(count);
                Fold { same, different: self.different(rng, &couples, count) }
            })
            .collect()
    }

    /// Distinct pairs of image indices within one person.
    fn within(&self) -> Vec<(usize, usize)> {
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for &i in &self.first {
            for &j in &self.second {
                if i != j && seen.insert((i.min(j), i.max(j))) {
                    out.push((i, j));
                }
            }
        }
        out
    }

    /// The pairs of people of a fold that are candidates for impostor pairs.
    fn couples(&self, from: usize, to: usize) -> Vec<(usize, usize)> {
        let mut out: Vec<(usize, usize)> =
            (from..to).flat_map(|a| (a + 1..to).map(move |b| (a, b))).collect();
        if let Some(unlike) = self.unlike {
            out.sort_by(|x, y| unlike(x.0, x.1).total_cmp(&unlike(y.0, y.1)));
            out.truncate(out.len().div_ceil(3));
        }
        out
    }

    fn different(
        &self,
        rng: &mut ChaCha8Rng,
        couples: &[(usize, usize)],
        count: usize,
    ) -> Vec<(Image, Image)> {
        let mut all = Vec::new();
        if couples.len() * self.first.len() * self.second.len() <= 4 * count {
            for &(a, b) in couples {
                all.extend(
                    self.first.iter().flat_map(|&i| self.second.iter().map(move |&j| ((a, i), (b, j)))),
                );
            }
            shuffle(rng, &mut all);
            all.truncate(count);
            return all;
        }
        let mut seen = BTreeSet::new();
        while all.len() < count {
            let (a, b) = couples[rng.below(couples.len() as u64) as usize];
            let i = self.first[rng.below(self.first.len() as u64) as usize];
            let j = self.second[rng.below(self.second.len() as u64) as usize];
            let (a, b) = if rng.chance(0.5) { (a, b) } else { (b, a) };
            // (a, i) with (b, j) and (b, j) with (a, i) are the same pair.
            let pair = ((a, i), (b, j));
            if seen.insert(if a < b { pair } else { (pair.1, pair.0) }) {
                all.push(pair);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    fn pairing<'a>(wanted: usize) -> Pairing<'a> {
        Pairing { people: 23, first: (0..4).collect(), second: (0..4).collect(), wanted, unlike: None }
    }

    #[test]
    fn folds_are_equal_in_size_and_share_no_identity() {
        for wanted in [1, 5, 1000] {
            let folds = pairing(wanted).folds(&mut stream(3, "t", &[]));
            assert_eq!(folds.len(), FOLDS);
            let n = folds[0].same.len();
            assert!(n > 0 && n <= wanted);
            let mut earlier = BTreeSet::new();
            for fold in &folds {
                assert_eq!((fold.same.len(), fold.different.len()), (n, n));
                let people: BTreeSet<usize> =
                    fold.same.iter().chain(&fold.different).flat_map(|(a, b)| [a.0, b.0]).collect();
                assert!(earlier.is_disjoint(&people));
                earlier.extend(people);
            }
        }
    }

    #[test]
    fn no_pair_is_duplicated() {
        for fold in pairing(1000).folds(&mut stream(4, "t", &[])) {
            for pairs in [&fold.same, &fold.different] {
                let unique: BTreeSet<_> = pairs.iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
                assert_eq!(unique.len(), pairs.len());
            }
            assert!(fold.same.iter().all(|(a, b)| a.0 == b.0 && a.1 != b.1));
            assert!(fold.different.iter().all(|(a, b)| a.0 != b.0));
        }
    }
}
