//! CFP: `Pair_list_F.txt`, `Pair_list_P.txt` and `Split/{FF,FP}/01..10/{same,diff}.txt`.
//!
//! The first two contain lines `index path` (frontal and profile images, from 1), the others lines `a,b` of
//! such indices. FF: both frontal; FP: a frontal, b profile. Officially ten folds of 350 + 350.

use std::collections::HashMap;

use lfs_formats::{lists, names};
use lfs_stage::Result;

use super::{Lists, Pair, balanced};
use crate::rows;

/// Frontal against profile.
pub fn read_fp(lists: &Lists) -> Result<Vec<Pair>> {
    read(lists, "FP", ["Pair_list_F.txt", "Pair_list_P.txt"])
}

/// Frontal against frontal.
pub fn read_ff(lists: &Lists) -> Result<Vec<Pair>> {
    read(lists, "FF", ["Pair_list_F.txt", "Pair_list_F.txt"])
}

/// The person of an image: `001/frontal/01.jpg`.
pub fn person(image: &str) -> String {
    match image.rsplit('/').collect::<Vec<_>>().as_slice() {
        [_, "frontal" | "profile", person, ..] => (*person).to_owned(),
        _ => rows::person(image),
    }
}

fn read(lists: &Lists, split: &str, sides: [&str; 2]) -> Result<Vec<Pair>> {
    let sides = [images(lists, sides[0])?, images(lists, sides[1])?];
    let mut pairs = Vec::new();
    for fold in 0..10 {
        for (file, same) in [("same.txt", true), ("diff.txt", false)] {
            let text = lists.read(&format!("Split/{split}/{:02}/{file}", fold + 1))?;
            for line in text.lines() {
                let Some((a, b)) = lists::first(line.text) else {
                    return Err(line.fault("two indices, `a,b`"));
                };
                let image = |side: usize, index: &str| {
                    let index: usize = line.number(index, "the index of an image")?;
                    let known = sides[side].get(&index).cloned();
                    known.ok_or_else(|| {
                        line.fault(format!("indices of images; the image list has no {index}"))
                    })
                };
                pairs.push(Pair { a: image(0, a)?, b: image(1, b)?, same, fold });
            }
        }
    }
    balanced(&format!("Split/{split}"), pairs)
}

fn images(lists: &Lists, name: &str) -> Result<HashMap<usize, String>> {
    let text = lists.read(name)?;
    let mut out = HashMap::new();
    for line in text.lines() {
        let Some((index, path)) = lists::first(line.text) else {
            return Err(line.fault("`index path`"));
        };
        let index = line.number(index, "an index")?;
        if out.insert(index, names::tidy(path.trim())).is_some() {
            return Err(line.fault("an index that was not given before"));
        }
    }
    Ok(out)
}
