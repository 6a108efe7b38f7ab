//! SLLFW: `pair_SLLFW.txt`.
//!
//! No header; two lines a pair, each `Name/Name_0001.jpg`; one person when both are in one folder. Folds as LFW
//! has them: ten, each n pairs of one person and then n of two. Officially n = 300.

use lfs_stage::Result;

use super::{Lists, Pair, balanced};

const FOLDS: usize = 10;

/// Reads `pair_SLLFW.txt`.
pub fn read(lists: &Lists) -> Result<Vec<Pair>> {
    let text = lists.read("pair_SLLFW.txt")?;
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
        let mut person = [""; 2];
        for (line, person) in two.iter().zip(&mut person) {
            // A label may follow the path in some copies; the folder says the same.
            let path = line.text.split(['\t', ' ']).next().unwrap_or_default();
            let Some((folder, _)) = path.rsplit_once('/') else {
                return Err(line.fault("`Name/Name_0001.jpg`"));
            };
            *person = folder;
        }
        let image = |i: usize| two[i].text.split(['\t', ' ']).next().unwrap_or_default().to_owned();
        pairs.push(Pair { a: image(0), b: image(1), same: person[0] == person[1], fold: (k / fold) as u32 });
    }
    balanced(&text.file, pairs)
}
