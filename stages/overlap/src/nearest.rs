//! Finds the nearest identities of the other side in blocks, without materialising the matrix of scores.

use rayon::prelude::*;

use crate::centres::{Directions, dot};

/// Directions of the other side per block; 256 of 512 components fit into the private cache of a core.
const BLOCK: usize = 256;
/// Query directions per task.
const ASKED: usize = 64;

/// An identity of the other side, and the score from [`dot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Neighbour {
    pub(crate) score: i32,
    pub(crate) index: u32,
}

/// For each of `asked`, the `k` nearest of `among`, nearest first; ties are broken by index. There are fewer
/// if `among` is smaller. An identity without images has no neighbours and is no neighbour.
pub(crate) fn nearest(asked: &Directions, among: &Directions, k: usize) -> Vec<Vec<Neighbour>> {
    let known: Vec<bool> = (0..among.len()).map(|i| among.is_known(i)).collect();
    let starts: Vec<usize> = (0..asked.len()).step_by(ASKED).collect();
    let parts = starts.into_par_iter().map(|start| {
        let mut best = vec![Vec::with_capacity(k + 1); ASKED.min(asked.len() - start)];
        for block in (0..among.len()).step_by(BLOCK) {
            let end = (block + BLOCK).min(among.len());
            for (a, best) in best.iter_mut().enumerate().filter(|(a, _)| asked.is_known(start + a)) {
                for i in (block..end).filter(|&i| known[i]) {
                    let score = dot(asked.row(start + a), among.row(i));
                    insert(best, Neighbour { score, index: i as u32 }, k);
                }
            }
        }
        best
    });
    parts.collect::<Vec<_>>().into_iter().flatten().collect()
}

/// Keeps the `k` best; on a tie, the earlier one wins.
fn insert(best: &mut Vec<Neighbour>, new: Neighbour, k: usize) {
    if best.len() < k || best.last().is_some_and(|b| b.score < new.score) {
        let at = best.partition_point(|b| b.score >= new.score);
        best.insert(at, new);
        best.truncate(k);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blocks_find_what_sorting_all_finds(
            asked in prop::collection::vec(-3_i16..4, 3 * 70), among in prop::collection::vec(-3_i16..4, 3 * 300), k in 1_usize..5,
        ) {
            let (asked, among) = (Directions { width: 3, rows: asked }, Directions { width: 3, rows: among });
            let got = nearest(&asked, &among, k);
            for (a, got) in got.iter().enumerate() {
                let mut all: Vec<(i32, usize)> = (0..among.len())
                    .filter(|&i| among.is_known(i) && asked.is_known(a))
                    .map(|i| (-dot(asked.row(a), among.row(i)), i)).collect();
                all.sort_unstable();
                let want: Vec<Neighbour> = all.iter().take(k).map(|&(s, i)| Neighbour { score: -s, index: i as u32 }).collect();
                prop_assert_eq!(got, &want);
            }
        }
    }
}
