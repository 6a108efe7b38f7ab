//! Replicates of identification numbers. Both sides are drawn: a mate pair weighs as its person, a distractor as its own, and one
//! without weight is not in the gallery.

use lfs_metrics::Draws;

use super::{TprDraw, Weighed, threshold, tpr};
use crate::rank;
use crate::resample::{Bootstrap, Persons, deviations};
use crate::scan::{Mate, Near, Scan};
use crate::tpr_at_far::TprAtFar;

/// How many images beyond the deepest rank a scan must keep of each probe. That all of 16 distractors have no weight happens once
/// in nine million; then the last one counts as there.
pub const BEYOND: usize = 15;

/// How many of the largest scores a scan must keep so that a replicate may accept `allowed` negatives.
pub fn tail_for(allowed: u64) -> u64 {
    2 * allowed + 1000
}

/// A scan with the persons of its images.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// The mate pairs.
    pub mates: &'a [Mate],
    /// The scan of the others.
    pub scan: &'a Scan,
    /// The person of each probe.
    pub probes: &'a [u32],
    /// The person of each gallery image.
    pub gallery: &'a [u32],
}

impl Search<'_> {
    /// Replicates of the share `share` of hits at rank `k`.
    pub fn rank(&self, k: usize, share: f64, persons: &Persons, bootstrap: &Bootstrap) -> Draws {
        let found = bootstrap.sample(persons, |weights| {
            let best: Vec<f32> = (0..self.probes.len()).map(|p| self.best(p, k, weights)).collect();
            vec![self.share(weights, |m| m.score >= best[m.probe as usize])]
        });
        self.plain(&found, share)
    }

    /// Replicates of a TPR of mate pairs at a FAR over all probe x distractor pairs.
    pub fn verification(&self, at: &TprAtFar, persons: &Persons, bootstrap: &Bootstrap) -> Draws {
        let cut = at.threshold as f32;
        let tail = &self.scan.tail;
        let accepted = tail.partition_point(|pair| pair.score() > cut);
        let of = |weights: &[f64], row: u32, side: &[u32]| weights[side[row as usize] as usize];
        let found = bootstrap.sample(persons, |weights| {
            let sum = |side: &[u32]| side.iter().map(|person| weights[*person as usize]).sum::<f64>();
            let both = |probe: u32, gallery: u32| {
                (of(weights, probe, self.probes), of(weights, gallery, self.gallery))
            };
            let mates = self.scan.mates.iter().map(|m| both(m.probe, m.mate));
            let all = sum(self.probes) * sum(self.gallery) - mates.map(|(a, b)| a * b).sum::<f64>();
            let drawn = tail.iter().map(|pair| {
                let (a, b) = both(pair.probe(), pair.gallery());
                Weighed { score: pair.score(), weight: a * b }
            });
            let again = threshold(drawn, at.target * all);
            let (mut far, mut second) = (0.0, 0.0);
            for pair in &tail[..accepted] {
                let (a, b) = both(pair.probe(), pair.gallery());
                far += a * b;
                second += (a - 1.0) * (b - 1.0);
            }
            TprDraw {
                tpr: self.share(weights, |m| m.score > again),
                tpr_there: self.share(weights, |m| m.score > cut),
                far_there: far / all,
                far_second: second / at.negatives as f64,
            }
            .values()
        });
        tpr(&found, at.tpr.unwrap_or(0.0), at.far)
    }

    /// Replicates of an open-set TPR at a FAR over the searches of the probes `impostors`.
    pub fn open_set(
        &self,
        at: &TprAtFar,
        impostors: &[u32],
        persons: &Persons,
        bootstrap: &Bootstrap,
    ) -> Draws {
        // A replicate lowers the best distractor of a probe: only those that are high are candidates.
        let mut high: Vec<usize> = impostors.iter().map(|p| *p as usize).collect();
        high.sort_by(|a, b| self.scan.best(*b, 1).total_cmp(&self.scan.best(*a, 1)));
        let allowed = at.target * at.negatives as f64;
        high.truncate((6.0 * allowed) as usize + 1000);
        let floor = match high.len() < impostors.len() {
            true => high.last().map_or(f32::NEG_INFINITY, |p| self.scan.best(*p, 1)),
            false => f32::NEG_INFINITY,
        };
        let found = bootstrap.sample(persons, |weights| {
            let best: Vec<f32> = (0..self.probes.len()).map(|p| self.best(p, 1, weights)).collect();
            let weight = |p: usize| weights[self.probes[p] as usize];
            let mut drawn: Vec<Weighed> =
                high.iter().map(|p| Weighed { score: best[*p], weight: weight(*p) }).collect();
            drawn.sort_by(|a, b| b.score.total_cmp(&a.score));
            let all: f64 = impostors.iter().map(|p| weight(*p as usize)).sum();
            let cut = threshold(drawn.into_iter(), at.target * all).max(floor);
            vec![self.share(weights, |m| m.score > best[m.probe as usize] && m.score > cut)]
        });
        self.plain(&found, at.tpr.unwrap_or(0.0))
    }

    fn plain(&self, found: &[Vec<f64>], value: f64) -> Draws {
        match found {
            [values] => Draws { first: deviations(values, value), second: Vec::new() },
            _ => Draws::default(),
        }
    }

    /// The share of the mate pairs' weight that are hits.
    fn share(&self, weights: &[f64], hit: impl Fn(&Mate) -> bool) -> f64 {
        let (mut hits, mut all) = (0.0, 0.0);
        for mate in self.mates {
            let weight = weights[self.probes[mate.probe as usize] as usize];
            all += weight;
            if hit(mate) {
                hits += weight;
            }
        }
        hits / all
    }

    /// The score of a probe's k-th best distractor of those that were drawn.
    fn best(&self, probe: usize, k: usize, weights: &[f64]) -> f32 {
        let nearest = self.scan.nearest(probe);
        let mut sum = 0.0;
        for near in nearest {
            sum += near.gallery().map_or(0.0, |row| weights[self.gallery[row as usize] as usize]);
            if sum >= k as f64 {
                return near.score();
            }
        }
        let all = nearest.len() == self.gallery.len();
        if all { f32::NEG_INFINITY } else { nearest.last().map_or(f32::NEG_INFINITY, |n: &Near| n.score()) }
    }
}

/// The share of mate pairs that are hits at rank `k`.
pub fn rank_share(mates: &[Mate], scan: &Scan, k: usize) -> f64 {
    let hits = rank::hits(mates, scan, k);
    hits.iter().filter(|hit| **hit).count() as f64 / hits.len() as f64
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::rank::{mates, open_set, verification};
    use crate::scan::{Identities, Keep, scan};
    use crate::score::Embeddings;

    const HOW: Bootstrap = Bootstrap { replicates: 300, seed: 3, confidence: 0.95 };

    /// Vectors of some persons, several images each, in a few dimensions.
    fn made(persons: usize, images: usize, seed: u64) -> Embeddings {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut values = Vec::new();
        for _ in 0..persons {
            let centre: Vec<f32> = (0..6).map(|_| random.random::<f32>() - 0.5).collect();
            for _ in 0..images {
                values.extend(centre.iter().map(|c| c + 0.35 * (random.random::<f32>() - 0.5)));
            }
        }
        Embeddings::new(values, 6).unwrap()
    }

    fn persons(count: usize) -> Persons {
        let names: Vec<String> = (0..count).map(|i| i.to_string()).collect();
        Persons::new("tests", names.iter().map(String::as_str))
    }

    #[test]
    fn a_number_is_its_own_replicate_with_equal_weights() {
        let (probes, gallery) = (made(12, 3, 1), made(60, 1, 2));
        let who: Vec<u32> = (0..36).map(|i| i / 3).collect();
        let ids: Vec<i64> = who.iter().map(|p| i64::from(*p)).collect();
        let others: Vec<u32> = (12..72).collect();
        let keep = Keep { per_probe: 1 + BEYOND, tail: 36 * 60 };
        let scan = scan(&probes, &gallery, Identities::default(), keep, &|_| {});
        let mates = mates(&probes, &ids);
        let search = Search { mates: &mates, scan: &scan, probes: &who, gallery: &others };
        let ones = vec![1.0; 72];
        let best: Vec<f32> = (0..36).map(|p| search.best(p, 1, &ones)).collect();
        assert!((0..36).all(|p| best[p] == scan.best(p, 1)));
        // Without its nearest distractor the second one is the best, and counts twice where it was drawn twice.
        let mut other = ones.clone();
        let nearest: Vec<u32> = scan.nearest(0).iter().filter_map(|n| n.gallery()).collect();
        other[12 + nearest[0] as usize] = 0.0;
        other[12 + nearest[1] as usize] = 2.0;
        assert_eq!(search.best(0, 1, &other), scan.best(0, 2));
        assert_eq!(search.best(0, 2, &other), scan.best(0, 2));
        assert_eq!(search.best(0, 3, &other), scan.best(0, 3));
        let share = rank_share(&mates, &scan, 1);
        assert!((0.05..0.95).contains(&share), "{share}");
        let rank = search.rank(1, share, &persons(72), &HOW);
        let at = verification(&mates, &scan, 0.02);
        let far = search.verification(&at, &persons(72), &HOW);
        let impostors: Vec<u32> = (0..36).collect();
        let open = open_set(&mates, &scan, &impostors, 0.3);
        let set = search.open_set(&open, &impostors, &persons(72), &HOW);
        for (name, draws) in [("rank", rank), ("verification", far), ("open set", set)] {
            let n = draws.len() as f64;
            let mean = draws.first.iter().sum::<f64>() / n;
            let error = draws.standard_error().unwrap();
            assert!(error > 0.01 && mean.abs() < error, "{name}: {mean} {error}");
        }
    }
}
