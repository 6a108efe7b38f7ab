//! Judging labels by embeddings.
//!
//! No threshold is set by hand and no rate of noise is asked for: how far images of an identity lie apart, how far identities do,
//! how often labels are wrong and where the images of a folder come from are all estimated from the rows.

mod model;
mod rounds;
mod search;
mod space;
mod state;
mod untangle;
pub(crate) mod verdict;

use lfs_formats::vectors::Vectors;

pub(crate) use verdict::{Doubt, Judged};

/// Judges every image: `labels[i]` is the class of row `i`, below `classes`. `progress` hears of comparisons done and in all.
pub(crate) fn judge(
    vectors: &Vectors,
    labels: &[u32],
    classes: usize,
    sure: f64,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Vec<Judged> {
    let space = space::Space::new(vectors);
    let belief = rounds::believe(&space, labels, classes, progress);
    verdict::verdict(&space, labels, classes, &belief, sure)
}

#[cfg(test)]
mod tests;
