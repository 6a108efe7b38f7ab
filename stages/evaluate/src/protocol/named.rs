//! Lines of the LFW kind: `Name i j` for a pair of one person, `NameA i NameB j` for two, separated by tabs,
//! commas or blanks.

use lfs_formats::lists;
use lfs_stage::Result;

use super::Pair;
use crate::lists::Line;

/// Parses a pair from a line; `prefix` is put before `Name/Name_0001.jpg`.
pub fn pair(line: &Line<'_>, prefix: &str, fold: u32) -> Result<Pair> {
    let image = |name: &str, number: &str| -> Result<String> {
        let number: u32 = line.number(number, "the number of an image")?;
        Ok(format!("{prefix}{name}/{name}_{number:04}.jpg"))
    };
    let Some(lists::Pair { images: [(a, i), (b, j)], one_person }) = lists::pair(line.text) else {
        return Err(line.fault("`Name<tab>i<tab>j` or `NameA<tab>i<tab>NameB<tab>j`"));
    };
    Ok(Pair { a: image(&a, &i)?, b: image(&b, &j)?, same: one_person, fold })
}
