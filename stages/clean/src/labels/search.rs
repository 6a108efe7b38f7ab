//! Finds the most likely other identities of every image without materialising all products.
//!
//! A block of images is multiplied with a block of identities in float32. The best candidates are then
//! rescored in float64, with an order of summation that does not depend on the machine.

use std::sync::atomic::{AtomicUsize, Ordering};

use lfs_products::{Matrix, product};
use rayon::prelude::*;

use super::model::Spread;
use super::space::{Space, dot};
use super::state::{NONE, OTHERS, Sums};

/// Images per block.
const ROWS: usize = 256;
/// Identities per block.
const CLASSES: usize = 1024;
/// Candidates from float32 beyond those that are kept, so that its rounding decides nothing.
const SPARE: usize = 5;

/// `[n, OTHERS]` identities except the own label, best first; [`NONE`] where there are fewer. `done` receives
/// the number of images done.
pub(crate) fn others(
    space: &Space<'_>,
    labels: &[u32],
    sums: &Sums,
    spread: &Spread,
    done: &(dyn Fn(usize) + Sync),
) -> Vec<u32> {
    let (n, d, classes) = (space.len(), space.width(), sums.count.len());
    let lines = sums.lines(spread);
    let centres: Vec<f32> = sums.sum[..classes * d].iter().map(|v| *v as f32).collect();
    let mut found = vec![NONE; n * OTHERS];
    let count = AtomicUsize::new(0);
    found.par_chunks_mut(ROWS * OTHERS).enumerate().for_each(|(block, found)| {
        let first = block * ROWS;
        let rows = found.len() / OTHERS;
        let mut exact = vec![0.0; rows * d];
        for (k, row) in exact.chunks_exact_mut(d).enumerate() {
            space.row(first + k, row);
        }
        let rounded: Vec<f32> = exact.iter().map(|v| *v as f32).collect();
        let a = Matrix::new(&rounded, rows, d);
        let mut best: Vec<Vec<(f64, u32)>> = vec![Vec::with_capacity(OTHERS + SPARE + 1); rows];
        let mut block = vec![0.0; rows * CLASSES.min(classes)];
        for start in (0..classes).step_by(CLASSES) {
            let end = (start + CLASSES).min(classes);
            let width = end - start;
            let block = &mut block[..rows * width];
            product(a, Matrix::new(&centres[start * d..end * d], width, d).turned(), block);
            for (k, best) in best.iter_mut().enumerate() {
                let (z2, own) = (space.z2[first + k], labels[first + k]);
                for (class, &zs) in (start as u32..).zip(&block[k * width..(k + 1) * width]) {
                    let score = lines[class as usize].of(z2, f64::from(zs));
                    let full = best.len() == OTHERS + SPARE;
                    if full && best.last().is_some_and(|(worst, _)| score <= *worst) {
                        continue;
                    }
                    if class != own && sums.count[class as usize] > 0.0 {
                        let at = best.partition_point(|(s, _)| *s >= score);
                        best.insert(at, (score, class));
                        best.truncate(OTHERS + SPARE);
                    }
                }
            }
        }
        for (k, (best, found)) in best.iter_mut().zip(found.chunks_exact_mut(OTHERS)).enumerate() {
            let row = &exact[k * d..(k + 1) * d];
            for (score, class) in best.iter_mut() {
                *score = lines[*class as usize].of(space.z2[first + k], dot(row, sums.of(*class)));
            }
            best.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            found.iter_mut().zip(best).for_each(|(f, (_, class))| *f = *class);
        }
        done(count.fetch_add(rows, Ordering::Relaxed) + rows);
    });
    found
}
