//! `identity/image.jpg`: training sets, LFW, SLLFW.

use lfs_stage::{Failure, Result};

use super::{Known, Plan, Planned, lines, off};
use crate::landmarks::assign;
use crate::tree::Tree;

/// A protocol that goes with such folders.
pub(super) struct Protocol {
    list: &'static str,
    check: fn(&str, &Known<'_>, &str) -> Result<()>,
}

pub(super) const LFW: Protocol = Protocol { list: "pairs.txt", check: check_pairs };
pub(super) const SLLFW: Protocol = Protocol { list: "pair_SLLFW.txt", check: check_two_lines };

/// What the archives of LFW call the folder of the images.
const FOLDERS: [&str; 4] = ["lfw-deepfunneled", "lfw_funneled", "lfw", "images"];

pub(super) fn plan(tree: &Tree, protocol: Option<Protocol>, own_landmarks: bool) -> Result<Plan> {
    // An identity may well be called `lfw`: only the protocols' own archives have such a folder.
    let folder = FOLDERS.into_iter().find(|f| protocol.is_some() && tree.is_dir(f)).unwrap_or("");
    let mut plan = Plan::default();
    for name in tree.images(folder)? {
        let Some((identity, _)) = name.split_once('/') else {
            return Err(Failure::new(format!("the image `{name}` lies at the top of the source"))
                .help("this layout has a folder for each identity: identity/image.jpg"));
        };
        let file = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        plan.faces.push(Planned { identity: identity.to_owned(), file, name, ..Planned::default() });
    }
    if own_landmarks && tree.is_file("landmarks.tsv") {
        assign(&mut plan.faces, &tree.text("landmarks.tsv")?, "landmarks.tsv")?;
    }
    if let Some(protocol) = protocol {
        (protocol.check)(&tree.text(protocol.list)?, &Known::new(&plan.faces), protocol.list)?;
        plan.lists.push(protocol.list.to_owned());
    }
    Ok(plan)
}

/// A header `folds N`, then in each fold N lines `Name i j` and N lines `NameA i NameB j`.
fn check_pairs(text: &str, known: &Known<'_>, list: &str) -> Result<()> {
    let mut rows = lines(text);
    let (at, header) = rows.next().unwrap_or((1, ""));
    let numbers: Option<Vec<usize>> = header.split_whitespace().map(|w| w.parse().ok()).collect();
    let Some([folds, pairs]) = numbers.as_deref() else {
        return Err(off(list, at, "a header `10 300` (folds, pairs of a sort in a fold)", header));
    };
    let mut found = 0_usize;
    for (at, line) in rows {
        check_pair(line, known, list, at, |name, n| format!("{name}/{name}_{n:04}.jpg"))?;
        found += 1;
    }
    let wanted = folds.saturating_mul(*pairs).saturating_mul(2);
    if found != wanted {
        return Err(Failure::new(format!(
            "{list}: the header promises {folds} folds of 2 x {pairs} pairs, {wanted} in all; found {found}"
        )));
    }
    Ok(())
}

/// A line `Name i j` or `NameA i NameB j`: both images must be there.
pub(super) fn check_pair(
    line: &str,
    known: &Known<'_>,
    list: &str,
    at: usize,
    file: impl Fn(&str, u32) -> String,
) -> Result<()> {
    let words: Vec<&str> =
        if line.contains('\t') { line.split('\t').collect() } else { line.split_whitespace().collect() };
    let number = |w: &str| {
        w.trim()
            .parse::<u32>()
            .map_err(|_| off(list, at, "`Name i j` or `NameA i NameB j` with image numbers", line))
    };
    let both = match words.as_slice() {
        [name, i, j] => [(name, number(i)?), (name, number(j)?)],
        [a, i, b, j] => [(a, number(i)?), (b, number(j)?)],
        _ => return Err(off(list, at, "`Name i j` or `NameA i NameB j`", line)),
    };
    for (name, n) in both {
        known.need(&file(name.trim(), n), list, format_args!("line {at}"))?;
    }
    Ok(())
}

/// Two lines a pair, each an image.
fn check_two_lines(text: &str, known: &Known<'_>, list: &str) -> Result<()> {
    let mut n = 0_usize;
    for (at, line) in lines(text) {
        known.need(line, list, format_args!("line {at}"))?;
        n += 1;
    }
    if n == 0 || !n.is_multiple_of(2) {
        return Err(Failure::new(format!("{list}: expected two lines a pair, found {n} lines")));
    }
    Ok(())
}
