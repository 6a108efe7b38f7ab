//! Sets of pairs in one list: `pairs.tsv`, lines `set<tab>fold<tab>image<tab>image<tab>same`, as the kind
//! `acquire` writes it for containers of pairs. Folds start at 1; same is 1 for one person and 0 for two.
//! Lines starting with `#` are ignored.

use lfs_stage::{Failure, Result};

use super::{Group, Lists, Pair};

/// Reads `pairs.tsv` into a group for each set, in the order of the list.
pub fn read(lists: &Lists) -> Result<Vec<Group>> {
    let text = lists.read("pairs.tsv")?;
    let mut sets: Vec<Group> = Vec::new();
    for line in text.lines().filter(|l| !l.text.starts_with('#')) {
        let fields = line.fields();
        let [set, fold, a, b, same] = fields.as_slice() else {
            return Err(line.fault("`set<tab>fold<tab>image<tab>image<tab>same`"));
        };
        let fold: u32 = line.number(fold, "a fold")?;
        if fold == 0 {
            return Err(line.fault("folds that count from 1"));
        }
        let same = match *same {
            "1" => true,
            "0" => false,
            _ => return Err(line.fault("1 for one person or 0 for two at its end")),
        };
        let pair = Pair { a: (*a).to_owned(), b: (*b).to_owned(), same, fold: fold - 1 };
        match sets.iter_mut().find(|s| s.name == *set) {
            Some(known) => known.pairs.push(pair),
            None => sets.push(Group { name: (*set).to_owned(), pairs: vec![pair] }),
        }
    }
    if sets.is_empty() {
        return Err(Failure::new("pairs.tsv: no pairs"));
    }
    Ok(sets)
}
