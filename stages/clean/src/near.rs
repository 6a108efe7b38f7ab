//! Near duplicates: images that look alike.

use std::collections::HashMap;

use lfs_faces::dataset::Dataset;

use crate::hash::{distance, near_pairs};
use crate::judge::{Reason, Seen, Verdict};
use crate::options::{Near, Options};

/// How many near duplicates under two identities are listed.
const MOST: usize = 100_000;

fn look(seen: &Seen) -> u64 {
    match seen {
        Seen::Picture { look, .. } => *look,
        Seen::Broken(_) => 0,
    }
}

pub(crate) fn near(options: &Options, dataset: &Dataset, seen: &[Seen], verdict: &mut Verdict) {
    let rows: Vec<usize> = (0..seen.len()).filter(|&i| verdict.dropped[i].is_none()).collect();
    let identity = |i: usize| dataset.face(i).identity;
    let mut by_identity: HashMap<u32, Vec<usize>> = HashMap::new();
    for &i in &rows {
        let kept = by_identity.entry(identity(i)).or_default();
        let alike = kept.iter().find(|&&k| distance(look(&seen[i]), look(&seen[k])) <= options.near_distance);
        match alike {
            Some(&k) if options.near_duplicates == Near::Drop => {
                let bits = distance(look(&seen[i]), look(&seen[k]));
                let detail = format!("of {} ({bits} of 64 bits differ)", dataset.face(k).name);
                verdict.dropped[i] = Some((Reason::NearDuplicate, detail));
            }
            Some(_) => verdict.near_kept += 1,
            None => kept.push(i),
        }
    }
    let rows: Vec<usize> = rows.into_iter().filter(|&i| verdict.dropped[i].is_none()).collect();
    let hashes: Vec<u64> = rows.iter().map(|&i| look(&seen[i])).collect();
    let (pairs, cut) = near_pairs(&hashes, options.near_distance, MOST);
    let pairs = pairs.into_iter().map(|(a, b)| (rows[a], rows[b]));
    verdict.across = pairs
        .filter(|&(i, j)| identity(i) != identity(j))
        .map(|(i, j)| (i, j, distance(look(&seen[i]), look(&seen[j]))))
        .collect();
    verdict.across_cut = cut;
}
