//! CFP: frontal and profile photographs with 30 fiducial points each.

use lfs_formats::landmarks::cfp::{View, read};
use lfs_formats::{lists, names};
use lfs_stage::{Failure, Result};

use super::{Known, Plan, Planned, landmark_failure, lines, off};
use crate::tree::Tree;

const IMAGES: &str = "Data/Images";
const NAMES: &str = "Data/list_name.txt";

pub(super) fn plan(tree: &Tree, own_landmarks: bool) -> Result<Plan> {
    let names = tree.text(NAMES)?;
    let names: Vec<&str> = names.lines().map(str::trim).collect();
    let mut plan = Plan::default();
    for path in tree.images(IMAGES, Some(1), &mut plan.left_out)? {
        let strange = || {
            Failure::new(format!(
                "expected images `{IMAGES}/001/frontal/01.jpg` or `profile`, found `{IMAGES}/{path}`"
            ))
        };
        let (id, view, file) = match path.split('/').collect::<Vec<_>>().as_slice() {
            [id, "frontal", file] => (*id, View::Frontal, *file),
            [id, "profile", file] => (*id, View::Profile, *file),
            _ => return Err(strange()),
        };
        let number: usize = id.parse().map_err(|_| strange())?;
        let identity =
            number.checked_sub(1).and_then(|k| names.get(k)).filter(|n| !n.is_empty()).ok_or_else(|| {
                Failure::new(format!(
                    "{NAMES} names {} persons, none of number {id} (of `{IMAGES}/{path}`)",
                    names.len()
                ))
            })?;
        let folder = if view == View::Frontal { "frontal" } else { "profile" };
        let stem = file.rsplit_once('.').map_or(file, |(s, _)| s);
        let fiducials = format!("Data/Fiducials/{id}/{folder}/{stem}.txt");
        let points = if own_landmarks && tree.is_file(&fiducials) {
            Some(read(&tree.text(&fiducials)?, view).map_err(landmark_failure(&fiducials))?)
        } else {
            None
        };
        let name = format!("{IMAGES}/{path}");
        let identity = (*identity).to_owned();
        plan.faces.push(Planned { identity, file: name.clone(), name, points, ..Planned::default() });
    }
    let known = Known::new(&plan.faces);
    let frontal = check_list(tree, "Protocol/Pair_list_F.txt", &known)?;
    let profile = check_list(tree, "Protocol/Pair_list_P.txt", &known)?;
    known.call(&mut plan.faces);
    plan.lists =
        vec![NAMES.to_owned(), "Protocol/Pair_list_F.txt".to_owned(), "Protocol/Pair_list_P.txt".to_owned()];
    for (split, second) in [("FF", frontal), ("FP", profile)] {
        let folder = format!("Protocol/Split/{split}");
        for fold in tree.entries(&folder)? {
            for sort in ["same", "diff"] {
                let list = format!("{folder}/{fold}/{sort}.txt");
                check_split(&tree.text(&list)?, &list, [frontal, second])?;
                plan.lists.push(list);
            }
        }
    }
    Ok(plan)
}

/// Checks lines `index path` with indices from 1; returns their number.
fn check_list(tree: &Tree, list: &str, known: &Known) -> Result<usize> {
    let text = tree.text(list)?;
    let mut n = 0;
    for (at, line) in lines(&text) {
        n += 1;
        let Some((_, path)) = lists::first(line).filter(|(i, _)| i.parse() == Ok(n)) else {
            return Err(off(list, at, &format!("`{n} ../{IMAGES}/...`"), line));
        };
        let path = names::tidy(path.trim());
        known.need(path.trim_start_matches("../"), list, format_args!("line {at}"))?;
    }
    Ok(n)
}

/// Checks lines `a,b` of indices into the two lists, from 1.
fn check_split(text: &str, list: &str, counts: [usize; 2]) -> Result<()> {
    for (at, line) in lines(text) {
        let pair = lists::first(line).and_then(|(a, b)| Some([a.parse().ok()?, b.parse().ok()?]));
        let fits = |p: &[usize; 2]| (1..=counts[0]).contains(&p[0]) && (1..=counts[1]).contains(&p[1]);
        if !pair.as_ref().is_some_and(fits) {
            let expected = format!("`a,b` with a in 1..{} and b in 1..{}", counts[0], counts[1]);
            return Err(off(list, at, &expected, line));
        }
    }
    Ok(())
}
