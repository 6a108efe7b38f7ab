//! AgeDB: `AgeDB/<number>_<Name>_<age>_<m|f>.jpg`, 68 landmarks for each image, splits in a MAT-file.

use lfs_formats::landmarks::pts;
use lfs_formats::mat::{self, Value};
use lfs_formats::names;
use lfs_stage::{Failure, Result};

use super::{Known, Plan, Planned, landmark_failure};
use crate::tree::Tree;

const LIST: &str = "splits.mat";

pub(super) fn plan(tree: &Tree, own_landmarks: bool) -> Result<Plan> {
    let mut plan = Plan::default();
    for name in tree.images("AgeDB", None, &mut plan.left_out)? {
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(s, _)| s);
        let identity = match stem.split('_').collect::<Vec<_>>().as_slice() {
            [_, identity @ .., _, _] if !identity.is_empty() => identity.join("_"),
            _ => {
                return Err(Failure::new(format!(
                    "expected images named `<number>_<Name>_<age>_<m or f>.jpg`, found `AgeDB/{name}`"
                )));
            }
        };
        let landmarks = format!("landmarks/{stem}.pts");
        let points = if own_landmarks && tree.is_file(&landmarks) {
            Some(pts::read(&tree.text(&landmarks)?).map_err(landmark_failure(&landmarks))?)
        } else {
            None
        };
        plan.faces.push(Planned {
            identity,
            file: format!("AgeDB/{name}"),
            name,
            points,
            ..Planned::default()
        });
    }
    let known = Known::new(&plan.faces);
    check(&tree.bytes(LIST)?, &known)?;
    known.call(&mut plan.faces);
    plan.lists.push(LIST.to_owned());
    Ok(plan)
}

/// `splits`: structs with `pairs`, two rows of file names, and `labels`, one for each column.
fn check(bytes: &[u8], known: &Known) -> Result<()> {
    let failed = |e: lfs_faces::DataError| Failure::new(format!("{LIST}: {e}"));
    let variables = mat::read(bytes).map_err(failed)?;
    let splits = mat::variable(&variables, "splits").map_err(failed)?;
    for fold in 0..splits.structs().map_err(failed)? {
        let (dims, items) = splits.field(fold, "pairs").and_then(Value::cells).map_err(failed)?;
        let labels = splits.field(fold, "labels").and_then(Value::numbers).map_err(failed)?;
        if dims.first() != Some(&2) || labels.len() * 2 != items.len() {
            return Err(Failure::new(format!(
                "{LIST}: expected 2 x n names and n labels in split {}, found {dims:?} and {}",
                fold + 1,
                labels.len()
            )));
        }
        for (k, item) in items.iter().enumerate() {
            let name = names::tidy(item.name().map_err(failed)?.trim());
            // Some copies have no extensions.
            let name = if names::is_any_image(&name) { name } else { format!("{name}.jpg") };
            known.need(&name, LIST, format_args!("split {}, pair {}", fold + 1, k / 2 + 1))?;
        }
    }
    Ok(())
}
