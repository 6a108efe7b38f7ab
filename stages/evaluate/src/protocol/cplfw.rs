//! CPLFW: `pairs_CPLFW.txt`, two lines per pair, `file.jpg label`. Officially 3,000 + 3,000 pairs.

use lfs_stage::Result;

use super::{Lists, Pair, labelled};

/// Reads `pairs_CPLFW.txt`.
pub fn read(lists: &Lists) -> Result<Vec<Pair>> {
    labelled::read(lists, "pairs_CPLFW.txt")
}
