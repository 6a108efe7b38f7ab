//! XQLFW: `xqlfw_pairs.txt`, as LFW's list, of images of unequal quality. Officially 10 folds of 300 + 300.

use lfs_stage::Result;

use super::{Lists, Pair, lfw};

/// Reads `xqlfw_pairs.txt`.
pub fn read(lists: &Lists) -> Result<Vec<Pair>> {
    lfw::read_list(lists, "xqlfw_pairs.txt")
}
