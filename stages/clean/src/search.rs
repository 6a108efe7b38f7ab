//! Finds near pairs among very many hashes.
//!
//! Comparing all pairs takes quadratic time. Instead there are 64 hash tables, each with a key of 18 bits
//! chosen from the 96 most reliable ones, and only hashes with the same key are compared. If two pictures
//! differ in 48 of 256 bits, the most that is usually searched for, they differ less in the reliable bits and
//! are found in nearly all cases (see the test). Pairs that differ in more may be missed. The choice of bits
//! is fixed.

use rayon::prelude::*;

use crate::hash::Look;

const TABLES: u64 = 64;
const KEY: usize = 18;
/// The number of bits that keys are taken from.
const SURE: u64 = 96;
/// Each hash is compared with this many others of the same key at most, so that many equal pictures (black
/// ones) do not take quadratic time.
const CROWD: usize = 2048;

/// The bits of the key of a table.
fn chosen(table: u64) -> Vec<usize> {
    let mut bits = Vec::with_capacity(KEY);
    let mut state = table;
    while bits.len() < KEY {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bit = ((z ^ (z >> 31)) % SURE) as usize;
        if !bits.contains(&bit) {
            bits.push(bit);
        }
    }
    bits
}

fn key(look: Look, bits: &[usize]) -> u32 {
    bits.iter().fold(0, |key, &b| key << 1 | (look.0[b / 64] >> (b % 64) & 1) as u32)
}

/// All `wanted` pairs `(i, j)`, `i < j`, that share a key and differ in at most `reach` bits, in order; and
/// whether more than `most` were found. Then `most` of them are returned. Each table holds `2 most + 1` pairs
/// at most.
pub fn near_pairs(
    looks: &[Look],
    reach: u32,
    most: usize,
    wanted: &(dyn Fn(usize, usize) -> bool + Sync),
) -> (Vec<(usize, usize)>, bool) {
    let held = most.saturating_mul(2).saturating_add(1);
    let tables: Vec<Vec<(u32, u32)>> =
        (0..TABLES).into_par_iter().map(|t| met(looks, reach, t, held, wanted)).collect();
    let full = tables.iter().any(|t| t.len() > most);
    let mut pairs: Vec<(u32, u32)> = tables.into_iter().flatten().collect();
    pairs.par_sort_unstable();
    pairs.dedup();
    let cut = full || pairs.len() > most;
    pairs.truncate(most);
    (pairs.into_iter().map(|(i, j)| (i as usize, j as usize)).collect(), cut)
}

/// The near pairs of one table, at most `held`.
fn met(
    looks: &[Look],
    reach: u32,
    table: u64,
    held: usize,
    wanted: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Vec<(u32, u32)> {
    let bits = chosen(table);
    // Every picture, as it is and mirrored.
    let keys = |n: usize| {
        let look = looks[n / 2];
        key(if n.is_multiple_of(2) { look } else { look.mirrored() }, &bits)
    };
    let mut ends = vec![0_u32; (1 << KEY) + 1];
    (0..2 * looks.len()).for_each(|n| ends[keys(n) as usize + 1] += 1);
    for k in 1..ends.len() {
        ends[k] += ends[k - 1];
    }
    let starts = ends.clone();
    let mut places = vec![0_u32; 2 * looks.len()];
    for n in 0..2 * looks.len() {
        let next = &mut ends[keys(n) as usize];
        places[*next as usize] = n as u32;
        *next += 1;
    }
    let mut pairs = Vec::new();
    for range in starts.windows(2) {
        let same = &places[range[0] as usize..range[1] as usize];
        for (k, &a) in same.iter().enumerate() {
            // A pair with both mirrored is the same as the pair with neither mirrored.
            let reached = (k + 1 + CROWD).min(same.len());
            for &b in same[k + 1..reached].iter().filter(|b| a.is_multiple_of(2) || b.is_multiple_of(2)) {
                let (i, j) = (a / 2, b / 2);
                let (i, j) = (i.min(j), i.max(j));
                let near = || looks[i as usize].distance(looks[j as usize]) <= reach;
                if i != j && near() && wanted(i as usize, j as usize) {
                    pairs.push((i, j));
                    if pairs.len() >= held {
                        pairs.sort_unstable();
                        return pairs;
                    }
                }
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pseudo-random bits from a counter.
    fn noise(n: u64) -> u64 {
        let z = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn look(n: u64) -> Look {
        Look(std::array::from_fn(|k| noise(4 * n + k as u64 + 0x1234_5678_9abc)))
    }

    /// The hash with `far` bits flipped, half as many in the first 128 bits as in the others, as measured on
    /// photographs.
    fn moved(look: Look, far: u32, seed: u64) -> Look {
        let mut out = look;
        let mut n = seed << 20;
        while (0..4).map(|k| (out.0[k] ^ look.0[k]).count_ones()).sum::<u32>() < far {
            n += 1;
            let z = noise(n);
            let bit = (z % 256) as usize;
            if bit >= 128 || z >> 32 & 1 == 0 {
                out.0[bit / 64] |= (1 << (bit % 64)) & !look.0[bit / 64];
                out.0[bit / 64] &= !((1 << (bit % 64)) & look.0[bit / 64]);
            }
        }
        out
    }

    #[test]
    fn nearly_all_planted_pairs_are_met_and_no_others() {
        let mut looks: Vec<Look> = (0..20_000).map(look).collect();
        for k in 0..1000 {
            let near = moved(looks[k * 7], 20 + k as u32 % 28, k as u64 + 1);
            looks.push(if k % 2 == 0 { near } else { near.mirrored() });
        }
        let (pairs, cut) = near_pairs(&looks, 48, usize::MAX, &|_, _| true);
        let planted = pairs.iter().filter(|(i, j)| *j >= 20_000 && (j - 20_000) * 7 == *i).count();
        assert!(!cut && planted >= 980 && planted == pairs.len(), "{planted} of {}", pairs.len());
        let (first, cut) = near_pairs(&looks, 48, 10, &|_, _| true);
        assert!(cut && first.len() == 10 && first.iter().all(|p| pairs.contains(p)));
    }

    #[test]
    fn pairs_that_are_not_wanted_take_no_place_of_those_that_are() {
        let looks = vec![look(1); 400];
        let (pairs, cut) = near_pairs(&looks, 48, 100, &|i, j| j - i == 300);
        assert_eq!((pairs.len(), cut), (100, false));
    }

    #[test]
    fn many_equal_pictures_take_no_square_of_their_number() {
        let (pairs, _) = near_pairs(&vec![look(1); 50_000], 0, 100_000, &|_, _| true);
        assert_eq!(pairs.len(), 100_000);
    }
}
