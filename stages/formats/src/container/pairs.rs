//! Derives identities from pairs.

use std::collections::HashMap;

/// Derives identities for images of unknown identity. Images that are joined by genuine pairs or have the same bytes belong to one
/// person. A person whose images are not joined counts as several.
///
/// `digests`: the digest of each image's bytes; `same`: genuine pairs, as indices into `digests`. Returns a number for each image,
/// from 0 in the order of first appearance.
pub fn persons(digests: &[[u8; 32]], same: &[(usize, usize)]) -> Vec<u32> {
    let mut above: Vec<usize> = (0..digests.len()).collect();
    let mut first: HashMap<&[u8; 32], usize> = HashMap::new();
    for (k, digest) in digests.iter().enumerate() {
        let other = *first.entry(digest).or_insert(k);
        join(&mut above, other, k);
    }
    for &(a, b) in same.iter().filter(|(a, b)| *a < digests.len() && *b < digests.len()) {
        join(&mut above, a, b);
    }
    let mut numbers: HashMap<usize, u32> = HashMap::new();
    (0..digests.len())
        .map(|k| {
            let root = root(&mut above, k);
            let next = numbers.len() as u32;
            *numbers.entry(root).or_insert(next)
        })
        .collect()
}

fn root(above: &mut [usize], mut k: usize) -> usize {
    while above[k] != k {
        above[k] = above[above[k]];
        k = above[k];
    }
    k
}

fn join(above: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(above, a), root(above, b));
    above[a.max(b)] = a.min(b);
}
