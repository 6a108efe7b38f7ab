//! Computes all probe x gallery scores in blocks, without materialising the matrix: the k best per probe, and
//! the exact upper tail over all pairs.
//!
//! A block of 256 probes times 4096 gallery images is multiplied at once (4 MiB of float32) and processed
//! while it is in the CPU cache. The result does not depend on the order of blocks, so it is the same for any
//! number of threads. Of a gallery in a file only the blocks in work are in memory.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lfs_products::{Matrix, product};
use rayon::prelude::*;

use crate::score::Embeddings;

const PROBES: usize = 256;
/// Probes per task: a gallery in a file is normalised once for all of them.
const GROUP: usize = 4 * PROBES;
const GALLERY: usize = 4096;
/// Gallery images per task, so that few probes still keep many threads busy.
const SLAB: usize = 4 * GALLERY;
/// Scores that are checked at once before any is checked individually.
const LANES: usize = 16;

/// The scores to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The number of best gallery scores of each probe.
    pub per_probe: usize,
    /// The number of largest scores of all pairs.
    pub tail: usize,
}

/// Identities on both sides: a pair of equal identities >= 0 is a mate pair, not a negative; -1 is a
/// distractor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Identities<'a> {
    /// One per probe; empty if the gallery contains no mates.
    pub probes: &'a [i64],
    /// One per gallery image.
    pub gallery: &'a [i64],
}

/// A gallery image near a probe. A higher score is greater; of equal scores that of the first image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Near(u64);

impl Near {
    /// Below every image.
    const NONE: Self = Self(0);

    fn new(score: f32, gallery: u32) -> Self {
        Self(u64::from(ordered(score)) << 32 | u64::from(!gallery))
    }

    /// The cosine; -inf where there is no image.
    pub fn score(self) -> f32 {
        unordered((self.0 >> 32) as u32)
    }

    /// The image's row; none where there is no image.
    pub fn gallery(self) -> Option<u32> {
        (self != Self::NONE).then_some(!(self.0 as u32))
    }
}

/// A pair of different persons in the upper tail. Pairs sort by score, then by gallery row and probe, the first ones greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    near: Near,
    /// The complement of the row.
    probe: u32,
}

impl Pair {
    fn new(near: Near, probe: usize) -> Self {
        Self { near, probe: !(probe as u32) }
    }

    /// The cosine.
    pub fn score(self) -> f32 {
        self.near.score()
    }

    /// The gallery image's row.
    pub fn gallery(self) -> u32 {
        !(self.near.0 as u32)
    }

    /// The probe's row.
    pub fn probe(self) -> u32 {
        !self.probe
    }
}

/// The score of a probe and its mate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mate {
    /// The probe's row.
    pub probe: u32,
    /// The mate's row: among the probes (MegaFace) or in the gallery (Trillion-Pairs).
    pub mate: u32,
    /// Their cosine.
    pub score: f32,
}

/// The result of a scan. Mates are excluded from `best`, `tail` and `pairs`.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    per_probe: usize,
    /// [probes, per_probe], descending; none if the gallery is smaller.
    best: Vec<Near>,
    /// The largest scores of all pairs, descending: `Keep::tail` of them, or all.
    pub tail: Vec<Pair>,
    /// The number of pairs of different persons that were scored.
    pub pairs: u64,
    /// The mate pairs, by probe and gallery row.
    pub mates: Vec<Mate>,
}

impl Scan {
    /// The `rank`-th best (from 1) gallery score of a probe; -inf if the gallery is smaller.
    pub fn best(&self, probe: usize, rank: usize) -> f32 {
        self.best[probe * self.per_probe + rank - 1].score()
    }

    /// The best gallery images of a probe, descending: as many as were kept, or all.
    pub fn nearest(&self, probe: usize) -> &[Near] {
        let all = &self.best[probe * self.per_probe..(probe + 1) * self.per_probe];
        &all[..all.partition_point(|near| *near > Near::NONE)]
    }
}

/// Scores every probe against every gallery image. `done` receives the number of pairs scored so far, from
/// any thread, after each block.
pub fn scan(
    probes: &Embeddings,
    gallery: &Embeddings,
    identities: Identities<'_>,
    keep: Keep,
    done: &(dyn Fn(u64) + Sync),
) -> Scan {
    let (n, m) = (probes.len(), gallery.len());
    let tasks: Vec<(usize, usize)> =
        (0..m).step_by(SLAB).flat_map(|g| (0..n).step_by(GROUP).map(move |p| (p, g))).collect();
    let floor = Floor(AtomicU32::new(0));
    let count = AtomicU64::new(0);
    let places = Places::new(identities);
    let width = probes.width();
    let probes = probes.held();
    let empty = || Part::new(n, keep);
    let part = tasks
        .into_par_iter()
        .fold(empty, |mut part, (p, g)| {
            let (mut block, mut buffer, mut own) = (Vec::new(), Vec::new(), Vec::new());
            for start in (g..(g + SLAB).min(m)).step_by(GALLERY) {
                let columns = start..(start + GALLERY).min(m);
                let b =
                    Matrix::new(gallery.units(columns.clone(), &mut buffer), columns.len(), width).turned();
                for first in (p..(p + GROUP).min(n)).step_by(PROBES) {
                    let rows = first..(first + PROBES).min(n);
                    let a = Matrix::new(probes.units(rows.clone(), &mut own), rows.len(), width);
                    block.resize(rows.len() * columns.len(), 0.0);
                    product(a, b, &mut block);
                    for (i, row) in rows.clone().zip(block.chunks_exact_mut(columns.len())) {
                        part.set_mates_aside(i, columns.start, row, &places);
                        part.take(i, columns.start, row, &floor);
                    }
                    let scored = (rows.len() * columns.len()) as u64;
                    done(count.fetch_add(scored, Ordering::Relaxed) + scored);
                }
            }
            part
        })
        .reduce(empty, Part::merge);
    let mut tail = part.tail;
    tail.sort_unstable_by(|a, b| b.cmp(a));
    tail.truncate(keep.tail);
    let mut mates = part.mates;
    mates.sort_unstable_by_key(|m| (m.probe, m.mate));
    let pairs = n as u64 * m as u64 - mates.len() as u64;
    Scan { per_probe: keep.per_probe, best: part.best, tail, pairs, mates }
}

/// The positions of each identity in the gallery.
struct Places<'a> {
    probes: &'a [i64],
    columns: HashMap<i64, Vec<usize>>,
}

impl<'a> Places<'a> {
    fn new(identities: Identities<'a>) -> Self {
        let mut columns: HashMap<i64, Vec<usize>> = HashMap::new();
        for (column, &id) in identities.gallery.iter().enumerate().filter(|(_, id)| **id >= 0) {
            columns.entry(id).or_default().push(column);
        }
        Self { probes: identities.probes, columns }
    }

    /// The gallery rows of a probe's identity in `range`, ascending.
    fn of(&self, probe: usize, range: Range<usize>) -> &[usize] {
        let all = self.probes.get(probe).and_then(|id| self.columns.get(id)).map_or(&[][..], Vec::as_slice);
        let from = all.partition_point(|&c| c < range.start);
        let to = all.partition_point(|&c| c < range.end);
        &all[from..to]
    }
}

/// A lower bound of the tail, shared by all tasks: some task holds enough scores at or above it. It only
/// saves work, since nothing below it can be part of the result.
struct Floor(AtomicU32);

impl Floor {
    fn get(&self) -> f32 {
        unordered(self.0.load(Ordering::Relaxed))
    }

    fn raise(&self, to: f32) {
        self.0.fetch_max(ordered(to), Ordering::Relaxed);
    }
}

/// An integer with the same order as the number; 0 is below all numbers.
fn ordered(x: f32) -> u32 {
    let bits = x.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn unordered(key: u32) -> f32 {
    match key {
        0 => f32::NEG_INFINITY,
        _ if key >> 31 == 1 => f32::from_bits(key & !(1 << 31)),
        _ => f32::from_bits(!key),
    }
}

/// The state of a task.
struct Part {
    keep: Keep,
    best: Vec<Near>,
    tail: Vec<Pair>,
    mates: Vec<Mate>,
}

impl Part {
    fn new(probes: usize, keep: Keep) -> Self {
        Self { keep, best: vec![Near::NONE; probes * keep.per_probe], tail: Vec::new(), mates: Vec::new() }
    }

    /// Records the mates among these scores and masks them out.
    fn set_mates_aside(&mut self, probe: usize, start: usize, row: &mut [f32], places: &Places<'_>) {
        for &column in places.of(probe, start..start + row.len()) {
            let score = std::mem::replace(&mut row[column - start], f32::NEG_INFINITY);
            self.mates.push(Mate { probe: probe as u32, mate: column as u32, score });
        }
    }

    fn take(&mut self, probe: usize, start: usize, row: &[f32], floor: &Floor) {
        let mut least = floor.get();
        let k = self.keep.per_probe;
        let range = probe * k..(probe + 1) * k;
        // Blocks come in any order: of equal scores a later one may hold the first image.
        let mut worst = self.best[range.clone()].last().map_or(f32::INFINITY, |near| near.score());
        let tail = self.keep.tail > 0;
        for (chunk, first) in row.chunks(LANES).zip((start..).step_by(LANES)) {
            // Most chunks contain nothing of interest, which a comparison with their maximum shows.
            let high = chunk.iter().fold(f32::NEG_INFINITY, |m, &s| if s > m { s } else { m });
            if high < worst && !(tail && high >= least) {
                continue;
            }
            for (&score, column) in chunk.iter().zip(first as u32..) {
                // Masked out.
                if score == f32::NEG_INFINITY {
                    continue;
                }
                let near = Near::new(score, column);
                if score >= worst {
                    worst = insert(&mut self.best[range.clone()], near).score();
                }
                if tail && score >= least {
                    self.tail.push(Pair::new(near, probe));
                    if self.tail.len() >= 2 * self.keep.tail.max(1024) {
                        self.shrink(floor);
                        least = floor.get();
                    }
                }
            }
        }
    }

    /// Drops scores that cannot be part of the tail.
    fn shrink(&mut self, floor: &Floor) {
        if self.tail.len() > self.keep.tail {
            let (_, least, _) = self.tail.select_nth_unstable_by(self.keep.tail - 1, |a, b| b.cmp(a));
            floor.raise(least.score());
            self.tail.truncate(self.keep.tail);
        }
    }

    fn merge(mut self, other: Self) -> Self {
        let k = self.keep.per_probe;
        if k > 0 {
            for (mine, theirs) in self.best.chunks_exact_mut(k).zip(other.best.chunks_exact(k)) {
                for &near in theirs {
                    insert(mine, near);
                }
            }
        }
        self.tail.extend(other.tail);
        self.mates.extend(other.mates);
        if self.keep.tail > 0 {
            self.shrink(&Floor(AtomicU32::new(0)));
        }
        self
    }
}

/// Inserts an image into a descending list and drops the last one; returns the new last.
fn insert(best: &mut [Near], near: Near) -> Near {
    let at = best.partition_point(|other| *other > near);
    if at < best.len() {
        best[at..].rotate_right(1);
        best[at] = near;
    }
    best.last().copied().unwrap_or(Near::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Identities<'_> = Identities { probes: &[], gallery: &[] };

    fn made(n: usize, d: usize, seed: u64) -> Embeddings {
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let values = (0..n * d).map(|_| random.random::<f32>() - 0.5).collect();
        Embeddings::new(values, d).unwrap()
    }

    fn on<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    #[test]
    fn it_keeps_what_the_whole_matrix_would_have_shown() {
        let (probes, gallery) = (made(300, 24, 1), made(5000, 24, 2));
        let keep = Keep { per_probe: 3, tail: 1500 };
        let got = scan(&probes, &gallery, NONE, keep, &|_| {});
        let mut whole = vec![0.0; 300 * 5000];
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let a = Matrix::new(probes.units(0..300, &mut a), 300, 24);
        product(a, Matrix::new(gallery.units(0..5000, &mut b), 5000, 24).turned(), &mut whole);
        for (i, row) in whole.chunks_exact(5000).enumerate() {
            let mut row = row.to_vec();
            row.sort_unstable_by(|a, b| b.total_cmp(a));
            assert_eq!([got.best(i, 1), got.best(i, 2), got.best(i, 3)], row[..3]);
        }
        for pair in &got.tail[..20] {
            assert_eq!(whole[pair.probe() as usize * 5000 + pair.gallery() as usize], pair.score());
        }
        for near in got.nearest(7) {
            assert_eq!(whole[7 * 5000 + near.gallery().unwrap() as usize], near.score());
        }
        let mut all = whole;
        all.sort_unstable_by(|a, b| b.total_cmp(a));
        assert_eq!(got.tail.iter().map(|pair| pair.score()).collect::<Vec<f32>>(), all[..1500]);
        assert_eq!(got.pairs, 1_500_000);
    }

    #[test]
    fn mates_are_set_aside_and_are_no_negatives() {
        let gallery = made(5000, 16, 9);
        let probes = gallery.rows(&[10, 4999, 20]);
        let mut ids = vec![-1; 5000];
        (ids[10], ids[4999], ids[30]) = (7, 8, 7);
        let keep = Keep { per_probe: 1, tail: 15_000 };
        let got = scan(&probes, &gallery, Identities { probes: &[7, 8, 9], gallery: &ids }, keep, &|_| {});
        let mates: Vec<(u32, u32)> = got.mates.iter().map(|m| (m.probe, m.mate)).collect();
        assert_eq!(mates, [(0, 10), (0, 30), (1, 4999)]);
        assert!(got.mates[0].score > 0.999 && got.best(0, 1) < 0.999 && got.best(2, 1) > 0.999);
        assert_eq!((got.pairs, got.tail.len()), (14_997, 14_997));
    }

    #[test]
    fn the_result_is_the_same_on_any_number_of_threads() {
        let (probes, gallery) = (made(600, 16, 3), made(40_000, 16, 4));
        let keep = Keep { per_probe: 2, tail: 3000 };
        let one = on(1, || scan(&probes, &gallery, NONE, keep, &|_| {}));
        let three = on(3, || scan(&probes, &gallery, NONE, keep, &|_| {}));
        assert_eq!(one, three);
    }

    #[test]
    fn of_equal_scores_the_first_images_are_kept_on_any_number_of_threads() {
        // Every gallery image is there four times, 16,000 rows apart: in different blocks.
        let few = made(16_000, 8, 11);
        let rows: Vec<usize> = (0..4).flat_map(|_| 0..16_000).collect();
        let (probes, gallery) = (made(300, 8, 12), few.rows(&rows));
        let keep = Keep { per_probe: 6, tail: 1001 };
        let one = on(1, || scan(&probes, &gallery, NONE, keep, &|_| {}));
        let three = on(3, || scan(&probes, &gallery, NONE, keep, &|_| {}));
        assert_eq!(one, three);
        for probe in 0..300 {
            let rows: Vec<u32> = one.nearest(probe).iter().filter_map(|near| near.gallery()).collect();
            let best = rows[0];
            assert!(best < 16_000);
            assert_eq!(rows[..4], [best, best + 16_000, best + 32_000, best + 48_000]);
            assert_eq!(rows[5], rows[4] + 16_000);
        }
        let mut sorted = one.tail.clone();
        let places = |p: &Pair| (p.gallery(), p.probe());
        sorted.sort_by(|a, b| b.score().total_cmp(&a.score()).then(places(a).cmp(&places(b))));
        assert_eq!(one.tail, sorted);
    }

    #[test]
    fn a_gallery_smaller_than_the_rank_and_an_empty_one_are_no_fault() {
        let probes = made(2, 8, 5);
        let got = scan(&probes, &made(1, 8, 6), NONE, Keep { per_probe: 2, tail: 5 }, &|_| {});
        assert_eq!((got.best(0, 2), got.tail.len(), got.pairs), (f32::NEG_INFINITY, 2, 2));
        let none = scan(&probes, &probes.rows(&[]), NONE, Keep { per_probe: 1, tail: 1 }, &|_| {});
        assert_eq!((none.best(0, 1), none.tail.len(), none.pairs), (f32::NEG_INFINITY, 0, 0));
    }

    #[test]
    fn the_order_of_floats_is_kept_in_integers() {
        let values = [f32::NEG_INFINITY, -1.0, -1e-30, 0.0, 1e-30, 0.5, 1.0];
        assert!(values.windows(2).all(|w| ordered(w[0]) < ordered(w[1])));
        assert!(values.iter().all(|&v| unordered(ordered(v)) == v));
        assert_eq!(unordered(0), f32::NEG_INFINITY);
    }

    /// 3,530 x 100,000 x 512: run it by name, in release mode, to see the rate.
    #[test]
    #[ignore = "a measurement"]
    fn measure_best_match_of_3530_probes_in_100_000() {
        let (probes, gallery) = (made(3530, 512, 7), made(100_000, 512, 8));
        for keep in [Keep { per_probe: 1, tail: 0 }, Keep { per_probe: 10, tail: 354 }] {
            let start = std::time::Instant::now();
            let got = scan(&probes, &gallery, NONE, keep, &|_| {});
            println!(
                "{keep:?}: {:.2} s, best of the first {}",
                start.elapsed().as_secs_f64(),
                got.best(0, 1)
            );
        }
    }
}
