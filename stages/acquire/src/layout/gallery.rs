//! A gallery and probes of one's own: images in any folders, and `labels.tsv` with lines `image role person`.

use std::collections::BTreeMap;

use lfs_formats::{lists, names};
use lfs_stage::Result;

use super::{Known, Plan, Planned, lines, off};
use crate::landmarks::{assign, read};
use crate::tree::Tree;

const LIST: &str = "labels.tsv";

pub(super) fn plan(tree: &Tree, own_landmarks: bool) -> Result<Plan> {
    let mut plan = Plan { lists: vec![LIST.to_owned()], ..Plan::default() };
    let text = tree.text(LIST)?;
    let mut persons: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (at, line) in lines(&text).filter(|(_, l)| !l.starts_with('#')) {
        let person = match lists::fields(line).as_slice() {
            &[path, "probe" | "gallery", person] => (names::tidy(path), person.to_owned()),
            [_, "role", _] => continue,
            _ => {
                return Err(off(
                    LIST,
                    at,
                    "`image`, `probe` or `gallery`, `person`, separated by tabs",
                    line,
                ));
            }
        };
        let (path, person) = person;
        let before = persons.insert(path, (at, person.clone()));
        if before.is_some_and(|(_, before)| before != person) {
            return Err(off(LIST, at, "one person for each image, as in a line before", line));
        }
    }
    for name in tree.images("", None, &mut plan.left_out)? {
        let identity = match persons.get(&name).map(|(_, person)| person.as_str()) {
            Some("-" | "-1") => format!("distractor:{name}"),
            Some(person) => person.to_owned(),
            None => {
                plan.left_out.row(&name, "in no list");
                continue;
            }
        };
        plan.faces.push(Planned { identity, file: name.clone(), name, ..Planned::default() });
    }
    let known = Known::new(&plan.faces);
    for (path, (at, _)) in &persons {
        known.need(path, LIST, format_args!("line {at}"))?;
    }
    if own_landmarks && tree.is_file("landmarks.tsv") {
        let entries = read(&tree.text("landmarks.tsv")?, "landmarks.tsv")?;
        assign(&mut plan.faces, &entries, "landmarks.tsv", tree, &mut plan.left_out)?;
    }
    Ok(plan)
}
