//! Pairs in one list, separated by tabs, commas or blanks. Lines starting with `#` and a line of titles are ignored.
//!
//! - `image image same [fold]`: a list of one's own. Folds are any words. Without them there are ten: the k-th tenth of the pairs
//!   of one person and the k-th of the others, in the order of the list, are fold k.
//! - `set<tab>fold<tab>image<tab>image<tab>same`: `pairs.tsv`, as the kind `acquire` writes it for containers of pairs. Folds
//!   start at 1.
//!
//! `same` is 1 for one person and 0 for two; `true`, `false` and -1 work, too.

use lfs_formats::names;
use lfs_stage::Result;

use super::{Group, Lists, Pair, in_folds};
use crate::lists::Line;

/// The number of folds of a list that has none.
const FOLDS: usize = 10;
/// What a list of one's own is called in a table.
const OWN: &str = "Pairs";

/// Reads the list into a group for each set, in the order of the list.
pub fn read(lists: &Lists) -> Result<Vec<Group>> {
    let text = lists.read_only("pairs.tsv")?;
    let mut sets: Vec<Group> = Vec::new();
    let (mut folds, mut foldless): (Vec<&str>, usize) = (Vec::new(), 0);
    for (k, line) in text.lines().filter(|l| !l.text.starts_with('#')).enumerate() {
        let fields = line.fields();
        let (set, a, b, label, fold) = match fields[..] {
            [a, b, same] => (OWN, a, b, same, None),
            [a, b, same, fold] => (OWN, a, b, same, Some(fold)),
            [set, fold, a, b, same] => (set, a, b, same, Some(fold)),
            _ => {
                return Err(
                    line.fault("`image image same [fold]`, or `set<tab>fold<tab>image<tab>image<tab>same`")
                );
            }
        };
        if k == 0 && is_title(label) {
            continue;
        }
        let fold = match fold {
            None => {
                foldless += 1;
                0
            }
            Some(fold) if fields.len() == 5 => number(&line, fold)?,
            Some(fold) => match folds.iter().position(|f| *f == fold) {
                Some(known) => known as u32,
                None => {
                    folds.push(fold);
                    folds.len() as u32 - 1
                }
            },
        };
        if foldless > 0
            && (fields.len() != 3
                || !sets.iter().all(|s| s.pairs.iter().all(|p| p.fold == 0))
                || !folds.is_empty())
        {
            return Err(line.fault("a fold on every line, or on none"));
        }
        let pair = Pair { a: names::tidy(a), b: names::tidy(b), same: same(&line, label)?, fold };
        match sets.iter_mut().find(|s| s.name == set) {
            Some(known) => known.pairs.push(pair),
            None => sets.push(Group { name: set.to_owned(), pairs: vec![pair] }),
        }
    }
    if sets.is_empty() {
        return Err(text.fault("no pairs"));
    }
    if let (1.., [set]) = (foldless, sets.as_mut_slice()) {
        let total = |same| set.pairs.iter().filter(|p| p.same == same).count();
        let least = total(true).min(total(false));
        in_folds(&mut set.pairs, FOLDS.min(least).max(1));
    }
    for set in &sets {
        let first = set.pairs.first().map(|p| p.same);
        if set.pairs.iter().all(|p| Some(p.same) == first) {
            return Err(text.fault(format!(
                "{}: all pairs have the same label; expected pairs of one person and of two",
                set.name
            )));
        }
    }
    Ok(sets)
}

fn is_title(label: &str) -> bool {
    ["same", "is_same", "issame", "label", "target", "match"].contains(&label.to_lowercase().as_str())
}

fn number(line: &Line<'_>, fold: &str) -> Result<u32> {
    match line.number(fold, "a fold")? {
        0 => Err(line.fault("folds that count from 1")),
        fold => Ok(fold - 1_u32),
    }
}

fn same(line: &Line<'_>, label: &str) -> Result<bool> {
    match label.to_lowercase().as_str() {
        "1" | "true" | "1.0" => Ok(true),
        "0" | "false" | "0.0" | "-1" => Ok(false),
        _ => Err(line.fault("1 for one person or 0 for two as its label")),
    }
}
