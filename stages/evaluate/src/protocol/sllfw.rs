//! SLLFW: `pair_SLLFW.txt`.
//!
//! No header; two lines per pair, each `Name/Name_0001.jpg`; one person if both are in one folder. Folds are
//! as in LFW: ten, each with n pairs of one person and then n of two. Officially n = 300.

use lfs_formats::{lists as lines_of, names};
use lfs_stage::Result;

use super::{Lists, Pair, balanced};

const FOLDS: usize = 10;

/// Reads `pair_SLLFW.txt`.
pub fn read(lists: &Lists) -> Result<Vec<Pair>> {
    let text = lists.read_only("pair_SLLFW.txt")?;
    let lines: Vec<_> = text.lines().collect();
    if !lines.len().is_multiple_of(4 * FOLDS) {
        return Err(text.fault(format!(
            "{} lines; expected two a pair in ten folds of as many same as different pairs, a multiple of 40",
            lines.len()
        )));
    }
    let fold = lines.len() / 2 / FOLDS;
    let mut pairs = Vec::with_capacity(lines.len() / 2);
    for (k, two) in lines.chunks_exact(2).enumerate() {
        let mut images = [const { String::new() }; 2];
        for (line, image) in two.iter().zip(&mut images) {
            // In some copies, a label follows the path; it agrees with the folder.
            *image = names::tidy(lines_of::image(line.text).0);
            if !image.contains('/') {
                return Err(line.fault("`Name/Name_0001.jpg`"));
            }
        }
        let [a, b] = images;
        let person = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        let same = person(&a) == person(&b);
        pairs.push(Pair { a, b, same, fold: (k / fold) as u32 });
    }
    balanced(&text.file, pairs)
}
