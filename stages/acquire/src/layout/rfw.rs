//! RFW: four groups, each with pairs and landmarks.

use lfs_stage::{Failure, Result};

use super::folders::check_pair;
use super::{Known, Plan, Planned, lines};
use crate::landmarks::{assign, read};
use crate::tree::Tree;

pub(super) fn plan(tree: &Tree, own_landmarks: bool) -> Result<Plan> {
    let mut plan = Plan::default();
    for name in tree.images("data", Some(2), &mut plan.left_out)? {
        let &[race, id, _] = name.split('/').collect::<Vec<_>>().as_slice() else {
            return Err(Failure::new(format!(
                "expected images `data/<Race>/<id>/<id>_0001.jpg`, found `data/{name}`"
            )));
        };
        let (identity, group) = (id.to_owned(), Some(race.to_owned()));
        plan.faces.push(Planned { identity, group, file: format!("data/{name}"), name, points: None });
    }
    let races: Vec<String> =
        tree.entries("txts")?.into_iter().filter(|r| tree.is_dir(&format!("txts/{r}"))).collect();
    let known = Known::new(&plan.faces);
    for race in &races {
        let list = format!("txts/{race}/{race}_pairs.txt");
        let text = tree.text(&list)?;
        for (at, line) in lines(&text) {
            check_pair(line, &known, &list, at, |id, n| format!("{race}/{id}/{id}_{n:04}.jpg"))?;
        }
        plan.lists.push(list);
    }
    known.call(&mut plan.faces);
    if own_landmarks {
        let mut entries = Vec::new();
        for race in &races {
            let list = format!("txts/{race}/{race}_lmk.txt");
            if tree.is_file(&list) {
                entries.extend(read(&tree.text(&list)?, &list)?);
            }
        }
        if !entries.is_empty() {
            assign(&mut plan.faces, &entries, "txts/*/*_lmk.txt", tree, &mut plan.left_out)?;
        }
    }
    Ok(plan)
}
