//! Finds label noise from embeddings.
//!
//! There is no manual threshold and no noise rate to specify. The spread within and between identities, the
//! rate of wrong labels, and where the images of a folder come from are all estimated from the embeddings.

mod model;
mod rounds;
mod search;
mod space;
mod state;
mod untangle;
pub(crate) mod verdict;

use lfs_formats::vectors::Vectors;

pub(crate) use verdict::{Doubt, Judged};

/// Judges every image: `labels[i]` is the class of row `i`, below `classes`. `progress` receives the numbers
/// of comparisons done and in total.
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
