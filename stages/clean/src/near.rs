//! Near-duplicates: similar images, mirrored or not.

use std::collections::HashMap;

use lfs_faces::dataset::Dataset;

use crate::hash::{BITS, Look};
use crate::judge::{Reason, Seen, Verdict};
use crate::options::{Near, Options};
use crate::search::near_pairs;

/// The maximum number of listed near-duplicates under two identities.
const MOST: usize = 100_000;

fn look(seen: &Seen) -> Look {
    match seen {
        Seen::Picture { look, .. } => *look,
        Seen::Broken { .. } => Look::default(),
    }
}

/// Drops or counts near-duplicates within identities, and lists those across identities. `is_apart` tells
/// whether two images are no duplicates however similar they are, because of a decision or their embeddings.
pub(crate) fn near(
    options: &Options,
    dataset: &Dataset,
    seen: &[Seen],
    is_apart: &(dyn Fn(usize, usize) -> bool + Sync),
    verdict: &mut Verdict,
) {
    let rows: Vec<usize> = (0..seen.len()).filter(|&i| verdict.dropped[i].is_none()).collect();
    let identity = |i: usize| dataset.face(i).identity;
    let mut by_identity: HashMap<u32, Vec<usize>> = HashMap::new();
    for &i in &rows {
        let kept = by_identity.entry(identity(i)).or_default();
        let alike = kept
            .iter()
            .find(|&&k| look(&seen[i]).distance(look(&seen[k])) <= options.near_distance && !is_apart(i, k));
        match alike {
            Some(&k) if options.near_duplicates == Near::Drop => {
                let bits = look(&seen[i]).distance(look(&seen[k]));
                let detail = format!("of {} ({bits} of {BITS} bits differ)", dataset.face(k).name);
                verdict.dropped[i] = Some((Reason::NearDuplicate, detail));
            }
            Some(_) => verdict.near_kept += 1,
            None => kept.push(i),
        }
    }
    let rows: Vec<usize> = rows.into_iter().filter(|&i| verdict.dropped[i].is_none()).collect();
    let looks: Vec<Look> = rows.iter().map(|&i| look(&seen[i])).collect();
    let across = |a: usize, b: usize| identity(rows[a]) != identity(rows[b]) && !is_apart(rows[a], rows[b]);
    let (pairs, cut) = near_pairs(&looks, options.near_distance, MOST, &across);
    verdict.across = pairs
        .into_iter()
        .map(|(a, b)| (rows[a], rows[b]))
        .map(|(i, j)| (i, j, look(&seen[i]).distance(look(&seen[j]))))
        .collect();
    verdict.across_cut = cut;
}
