//! CALFW: `pairs_CALFW.txt`, two lines per pair, `file.jpg label`. Officially 3,000 + 3,000 pairs.

use lfs_stage::Result;

use super::{Lists, Pair, labelled};

/// Reads `pairs_CALFW.txt`.
pub fn read(lists: &Lists) -> Result<Vec<Pair>> {
    labelled::read(lists, "pairs_CALFW.txt")
}
