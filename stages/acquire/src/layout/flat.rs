//! CALFW and CPLFW: all images in one folder, with a landmark file for each.

use lfs_formats::landmarks::five;
use lfs_formats::{lists, names};
use lfs_stage::{Failure, Result};

use super::{Known, Plan, Planned, landmark_failure, lines, off};
use crate::tree::Tree;

/// One of the two sets.
pub(super) struct Flat {
    list: &'static str,
    landmarks: &'static str,
}

pub(super) const CALFW: Flat = Flat { list: "pairs_CALFW.txt", landmarks: "CA_landmarks" };
pub(super) const CPLFW: Flat = Flat { list: "pairs_CPLFW.txt", landmarks: "CP_landmarks" };

pub(super) fn plan(tree: &Tree, set: &Flat, own_landmarks: bool) -> Result<Plan> {
    let mut plan = Plan::default();
    for name in tree.images("images", None, &mut plan.left_out)? {
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(s, _)| s);
        let Some((identity, number)) = stem.rsplit_once('_') else {
            return Err(Failure::new(format!(
                "expected images named `Name_<number>.jpg`, found `images/{name}`"
            )));
        };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Failure::new(format!(
                "expected images named `Name_<number>.jpg`, found `images/{name}`"
            )));
        }
        let landmarks = format!("{}/{stem}_5loc_attri.txt", set.landmarks);
        let points = if own_landmarks && tree.is_file(&landmarks) {
            Some(five::read(&tree.text(&landmarks)?).map_err(landmark_failure(&landmarks))?)
        } else {
            None
        };
        let (identity, file) = (identity.to_owned(), format!("images/{name}"));
        plan.faces.push(Planned { identity, file, name, points, ..Planned::default() });
    }
    let known = Known::new(&plan.faces);
    check(&tree.text(set.list)?, &known, set.list)?;
    known.call(&mut plan.faces);
    plan.lists.push(set.list.to_owned());
    Ok(plan)
}

/// Checks two lines for each pair, `file label`; both lines have the same label, 0 for different persons.
fn check(text: &str, known: &Known, list: &str) -> Result<()> {
    let mut first: Option<&str> = None;
    for (at, line) in lines(text) {
        let (file, label) = lists::last(line)
            .filter(|(_, label)| label.parse::<i64>().is_ok())
            .ok_or_else(|| off(list, at, "`file.jpg label`", line))?;
        known.need(&names::tidy(file.trim()), list, format_args!("line {at}"))?;
        first = match first {
            None => Some(label),
            Some(other) if (other == "0") == (label == "0") => None,
            Some(other) => {
                return Err(off(list, at, &format!("the label of the pair's first line, `{other}`"), label));
            }
        };
    }
    match first {
        None => Ok(()),
        Some(_) => Err(Failure::new(format!("{list}: the last pair has one line, two were expected"))),
    }
}
