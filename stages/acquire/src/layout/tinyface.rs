//! TinyFace: `Testing_Set/` with `Probe/`, `Gallery_Match/`, `Gallery_Distractor/` and two MATLAB lists. The images are faces
//! already; there are no landmarks.

use lfs_formats::mat::{self, Value};
use lfs_formats::names;
use lfs_stage::{Failure, Result};

use super::{Known, Plan, Planned};
use crate::tree::Tree;

/// The lists, each with its variable of names and the folder of its images.
const LISTS: [[&str; 3]; 2] = [
    ["probe_img_ID_pairs.mat", "probe_set", "Probe"],
    ["gallery_match_img_ID_pairs.mat", "gallery_set", "Gallery_Match"],
];
const DISTRACTORS: &str = "Gallery_Distractor";

pub(super) fn plan(tree: &Tree) -> Result<Plan> {
    let root = if tree.is_dir("Testing_Set") { "Testing_Set/" } else { "" };
    let mut plan = Plan::default();
    for folder in [LISTS[0][2], LISTS[1][2], DISTRACTORS] {
        for image in tree.images(&format!("{root}{folder}"), None, &mut plan.left_out)? {
            let name = format!("{folder}/{image}");
            let identity = match names::stem(&image).split_once('_') {
                _ if folder == DISTRACTORS => format!("distractor:{image}"),
                Some((person, _)) if person.parse::<u32>().is_ok() => person.to_owned(),
                _ => {
                    return Err(Failure::new(format!(
                        "expected images named `<person>_<number>.jpg`, found `{root}{name}`"
                    )));
                }
            };
            plan.faces.push(Planned { identity, file: format!("{root}{name}"), name, ..Planned::default() });
        }
    }
    let known = Known::new(&plan.faces);
    for [list, variable, folder] in LISTS {
        let list = format!("{root}{list}");
        check(&tree.bytes(&list)?, variable, folder, &list, &known)?;
        plan.lists.push(list);
    }
    known.call(&mut plan.faces);
    Ok(plan)
}

fn check(bytes: &[u8], variable: &str, folder: &str, list: &str, known: &Known) -> Result<()> {
    let failed = |e: lfs_faces::DataError| Failure::new(format!("{list}: {e}"));
    let variables = mat::read(bytes).map_err(failed)?;
    let (_, items) = mat::variable(&variables, variable).and_then(Value::cells).map_err(failed)?;
    for (k, item) in items.iter().enumerate() {
        let name = format!("{folder}/{}", names::tidy(item.name().map_err(failed)?.trim()));
        known.need(&name, list, format_args!("image {}", k + 1))?;
    }
    Ok(())
}
