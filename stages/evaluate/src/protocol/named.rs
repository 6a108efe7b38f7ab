//! Lines of the LFW kind: `Name i j` for a pair of one person, `NameA i NameB j` for two, tabs between.

use lfs_stage::Result;

use super::Pair;
use crate::lists::Line;

/// A pair out of one line; `prefix` comes before `Name/Name_0001.jpg`.
pub fn pair(line: &Line<'_>, prefix: &str, fold: u32) -> Result<Pair> {
    let image = |name: &str, number: &str| -> Result<String> {
        let number: u32 = line.number(number, "the number of an image")?;
        Ok(format!("{prefix}{name}/{name}_{number:04}.jpg"))
    };
    let fields: Vec<&str> = line.text.split('\t').map(str::trim).collect();
    match fields[..] {
        [name, i, j] => Ok(Pair { a: image(name, i)?, b: image(name, j)?, same: true, fold }),
        [first, i, second, j] => Ok(Pair { a: image(first, i)?, b: image(second, j)?, same: false, fold }),
        _ => Err(line.fault("`Name<tab>i<tab>j` or `NameA<tab>i<tab>NameB<tab>j`")),
    }
}
