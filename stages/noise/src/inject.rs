//! Label noise from a seed.

use lfs_formats::vectors::Vectors;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Kind;

/// The nearest other identity of each identity, by the cosine of their mean embeddings.
pub(crate) fn nearest(vectors: &Vectors, labels: &[u32], classes: usize) -> Vec<u32> {
    let d = vectors.width();
    let mut centres = vec![0.0; classes * d];
    let mut row = vec![0.0; d];
    for (i, &y) in labels.iter().enumerate() {
        vectors.unit(i, &mut row);
        let centre = &mut centres[y as usize * d..(y as usize + 1) * d];
        centre.iter_mut().zip(&row).for_each(|(c, x)| *c += x);
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    for centre in centres.chunks_exact_mut(d) {
        let norm = dot(centre, centre).sqrt();
        if norm > 0.0 {
            centre.iter_mut().for_each(|x| *x /= norm);
        }
    }
    let nearest = |a: usize| {
        let of = |k: usize| dot(&centres[a * d..(a + 1) * d], &centres[k * d..(k + 1) * d]);
        let others = (0..classes).filter(|&k| k != a).map(|k| (k, of(k)));
        others.fold((0, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best }).0 as u32
    };
    (0..classes).map(nearest).collect()
}

/// Labels of which about `rate` are wrong. Only look-alike noise needs `nearest`.
pub(crate) fn inject(
    kind: Kind,
    rate: f64,
    seed: u64,
    labels: &[u32],
    classes: usize,
    nearest: &[u32],
) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let wanted = (rate * labels.len() as f64).round() as usize;
    let mut out = labels.to_vec();
    match kind {
        Kind::Uniform => {
            for i in shuffled(labels.len(), &mut rng).into_iter().take(wanted) {
                out[i] = other(labels[i], classes, &mut rng);
            }
        }
        Kind::LookAlike => {
            for i in shuffled(labels.len(), &mut rng).into_iter().take(wanted) {
                out[i] = nearest[labels[i] as usize];
            }
        }
        Kind::Merged => {
            let (mut moved, mut used) = (0, vec![false; classes]);
            for a in shuffled(classes, &mut rng) {
                let b = other(a as u32, classes, &mut rng) as usize;
                if moved >= wanted || used[a] || used[b] {
                    continue;
                }
                (used[a], used[b]) = (true, true);
                let rows: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] as usize == a).collect();
                for k in shuffled(rows.len(), &mut rng).into_iter().take(rows.len() / 2) {
                    out[rows[k]] = b as u32;
                    moved += 1;
                }
            }
        }
        Kind::Strangers => {
            let mut sizes = vec![0; classes];
            labels.iter().for_each(|&y| sizes[y as usize] += 1);
            let (mut moved, mut gone) = (0, vec![false; classes]);
            // At least one identity must stay, as the target of the images.
            for a in shuffled(classes, &mut rng).into_iter().take(classes - 1) {
                if moved < wanted {
                    gone[a] = true;
                    moved += sizes[a];
                }
            }
            let stay: Vec<u32> = (0..classes as u32).filter(|&c| !gone[c as usize]).collect();
            for (out, &y) in out.iter_mut().zip(labels).filter(|(_, y)| gone[**y as usize]) {
                debug_assert_eq!(*out, y);
                *out = stay[rng.random_range(0..stay.len())];
            }
        }
    }
    out
}

fn other(own: u32, classes: usize, rng: &mut ChaCha8Rng) -> u32 {
    let step = rng.random_range(1..classes as u64);
    ((u64::from(own) + step) % classes as u64) as u32
}

fn shuffled(n: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    for k in (1..n).rev() {
        all.swap(k, rng.random_range(0..=k as u64) as usize);
    }
    all
}
