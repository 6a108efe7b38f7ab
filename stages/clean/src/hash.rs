//! A perceptual hash: alike pictures have alike bits.

use lfs_faces::image::Pixels;

/// The difference hash of 64 bits: the picture's brightness is averaged over a grid of 9 by 8 cells; each bit says whether a cell is darker
/// than its right neighbour. It does not change with size, and little with compression, brightness and contrast. All in integers.
pub fn difference_hash(pixels: &Pixels) -> u64 {
    let cells = grid(pixels);
    let mut hash = 0;
    for row in &cells {
        for pair in row.windows(2) {
            hash = hash << 1 | u64::from(pair[0] < pair[1]);
        }
    }
    hash
}

/// Mean brightness of 9 x 8 cells, in 1/256 of a step; cells of a picture smaller than the grid share pixels.
fn grid(pixels: &Pixels) -> [[u64; 9]; 8] {
    let (w, h) = (pixels.width as usize, pixels.height as usize);
    let mut cells = [[0; 9]; 8];
    for (r, row) in cells.iter_mut().enumerate() {
        let (top, bottom) = span(r, 8, h);
        for (c, cell) in row.iter_mut().enumerate() {
            let (left, right) = span(c, 9, w);
            let mut sum = 0;
            for y in top..bottom {
                for p in pixels.rgb[(y * w + left) * 3..(y * w + right) * 3].as_chunks::<3>().0 {
                    // Rec. 601 luma in 1/1000.
                    sum += 299 * u64::from(p[0]) + 587 * u64::from(p[1]) + 114 * u64::from(p[2]);
                }
            }
            *cell = sum * 256 / 1000 / ((bottom - top) * (right - left)).max(1) as u64;
        }
    }
    cells
}

/// The pixels of part `k` of `of`: at least one.
fn span(k: usize, of: usize, side: usize) -> (usize, usize) {
    let start = (k * side / of).min(side.saturating_sub(1));
    (start, ((k + 1) * side / of).clamp((start + 1).min(side), side))
}

/// The number of bits in which two hashes differ.
pub fn distance(a: u64, b: u64) -> u32 {
    (a ^ b).count_ones()
}

/// All pairs `(i, j)`, `i < j`, of hashes at most `reach` bits apart, in order, and whether more than `most` were found (then only the
/// first ones of the search are given).
///
/// Two hashes that differ in at most `reach` bits agree in at least one of `reach + 1` runs of bits: only hashes that share a run are compared.
pub fn near_pairs(hashes: &[u64], reach: u32, most: usize) -> (Vec<(usize, usize)>, bool) {
    let runs = reach + 1;
    let mut pairs = Vec::new();
    for run in 0..runs {
        let (low, high) = (64 * run / runs, 64 * (run + 1) / runs);
        let mask = (u64::MAX >> (64 - (high - low))) << low;
        let mut order: Vec<usize> = (0..hashes.len()).collect();
        order.sort_by_key(|&i| (hashes[i] & mask, i));
        for same in order.chunk_by(|&a, &b| hashes[a] & mask == hashes[b] & mask) {
            for (k, &i) in same.iter().enumerate() {
                for &j in &same[k + 1..] {
                    // A pair that shares an earlier run was found there.
                    if distance(hashes[i], hashes[j]) <= reach
                        && !shares_earlier(hashes[i] ^ hashes[j], run, runs)
                    {
                        if pairs.len() == most {
                            pairs.sort_unstable();
                            return (pairs, true);
                        }
                        pairs.push((i, j));
                    }
                }
            }
        }
    }
    pairs.sort_unstable();
    (pairs, false)
}

fn shares_earlier(differing: u64, run: u32, runs: u32) -> bool {
    (0..run).any(|r| {
        let (low, high) = (64 * r / runs, 64 * (r + 1) / runs);
        differing & ((u64::MAX >> (64 - (high - low))) << low) == 0
    })
}
