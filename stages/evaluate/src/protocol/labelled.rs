//! Lists of the CALFW kind: two lines per pair, `file.jpg label`, with the same label on both: non-zero for
//! one person, 0 for two. Fold k contains the k-th tenth of the pairs of one person and the k-th tenth of the
//! others, in the order of the list. This is correct both if all pairs of one person come first and if the
//! folds are written one after the other.

use lfs_formats::{lists, names};
use lfs_stage::Result;

use super::{Lists, Pair, balanced, in_folds};

const FOLDS: usize = 10;

/// Reads a list of this kind.
pub fn read(lists: &Lists, name: &str) -> Result<Vec<Pair>> {
    let text = lists.read_only(name)?;
    let lines: Vec<_> = text.lines().collect();
    let mut pairs = Vec::with_capacity(lines.len() / 2);
    for two in lines.chunks(2) {
        let [first, second] = two else {
            return Err(two[0].fault("a second image of this pair on the next line"));
        };
        let mut fields = [const { (String::new(), 0_i64) }; 2];
        for (line, field) in [first, second].into_iter().zip(&mut fields) {
            let Some((file, label)) = lists::last(line.text) else {
                return Err(line.fault("`file.jpg label`"));
            };
            *field = (names::tidy(file), line.number(label, "a label")?);
        }
        let [(a, label), (b, other)] = fields;
        if label != other {
            return Err(second.fault(format!("the label of the pair's first line, {label}")));
        }
        pairs.push(Pair { a, b, same: label != 0, fold: 0 });
    }
    let total = |same| pairs.iter().filter(|p| p.same == same).count();
    let totals = [total(false), total(true)];
    if totals.iter().any(|t| *t < FOLDS || !t.is_multiple_of(FOLDS)) {
        return Err(text.fault(format!(
            "{} pairs of one person and {} of two; expected multiples of ten, for ten folds",
            totals[1], totals[0]
        )));
    }
    in_folds(&mut pairs, FOLDS);
    balanced(&text.file, pairs)
}
