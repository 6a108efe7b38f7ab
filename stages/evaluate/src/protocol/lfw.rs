//! LFW: `pairs.txt`.
//!
//! A header `folds<tab>n`, then for each fold n lines `Name<tab>i<tab>j` (one person) and n lines
//! `NameA<tab>i<tab>NameB<tab>j` (two). The image is `Name/Name_%04d.jpg`. Officially 10 folds of 300 + 300.

use lfs_stage::Result;

use super::{Lists, Pair, balanced, named};

/// Reads `pairs.txt`.
pub fn read(lists: &Lists) -> Result<Vec<Pair>> {
    read_list(lists, "pairs.txt")
}

/// Reads a list of this kind.
pub fn read_list(lists: &Lists, name: &str) -> Result<Vec<Pair>> {
    let text = lists.read_only(name)?;
    let mut lines = text.lines();
    let header = lines.next().ok_or_else(|| text.fault("the file is empty"))?;
    let numbers: Vec<usize> =
        header.fields().into_iter().map(|f| header.number(f, "`folds<tab>pairs`")).collect::<Result<_>>()?;
    let [folds, each] = numbers[..] else {
        return Err(header.fault("a header of two numbers, `folds<tab>pairs`"));
    };
    if folds == 0 || each == 0 {
        return Err(header.fault("two numbers above 0"));
    }
    let Some(wanted) = folds.checked_mul(each).and_then(|n| n.checked_mul(2)) else {
        return Err(header.fault("numbers of folds and pairs that a list can have"));
    };
    let mut pairs = Vec::new();
    for line in lines {
        let k = pairs.len();
        let pair = named::pair(&line, "", (k / (2 * each)) as u32)?;
        let one_person = (k / each).is_multiple_of(2);
        if pair.same != one_person {
            let what = if one_person { "one person" } else { "two persons" };
            return Err(line.fault(format!("a pair of {what} (pair {} of its fold)", k % (2 * each) + 1)));
        }
        pairs.push(pair);
    }
    if pairs.len() != wanted {
        let (is, want) = (pairs.len(), wanted);
        return Err(text.fault(format!(
            "the header announces {folds} folds of {each} + {each}, {want} pairs; {is} follow"
        )));
    }
    balanced(&text.file, pairs)
}
