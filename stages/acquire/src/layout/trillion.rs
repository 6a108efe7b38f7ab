//! Trillion-Pairs: one list of images with landmarks, in the order of the feature matrix.

use std::collections::HashMap;

use lfs_formats::landmarks::list;
use lfs_formats::{lists, names};
use lfs_stage::{Failure, Result};

use super::{Plan, Planned, Stems, Used, landmark_failure, lines, off};
use crate::tree::Tree;

const LIST: &str = "testdata_lmk.txt";
/// Not from the authors of the set, who do not publish the labels: `path role identity`.
const LABELS: &str = "labels.tsv";

pub(super) fn plan(tree: &Tree, own_landmarks: bool) -> Result<Plan> {
    let entries = list::read_all(&tree.text(LIST)?).map_err(landmark_failure(LIST))?;
    let mut plan = Plan { lists: vec![LIST.to_owned()], ..Plan::default() };
    let labels = if tree.is_file(LABELS) {
        plan.lists.push(LABELS.to_owned());
        Some(labels(&tree.text(LABELS)?)?)
    } else {
        plan.notes.push(format!("there is no {LABELS}: identities are the folders of `elfw`"));
        None
    };
    let (mut stems, mut used) = (Stems::default(), Used::default());
    for (k, (name, points)) in entries.into_iter().enumerate() {
        let Some(file) = stems.file(tree, "testdata", &name)? else {
            return Err(Failure::new(format!(
                "{LIST}, entry {}: the image `testdata/{name}` is missing",
                k + 1
            ))
            .help("the list and the images must be of the same set, and the set complete"));
        };
        used.take(&file, &name, LIST, k + 1)?;
        let celebrity = match &labels {
            Some(labels) => {
                let label = labels.get(&name);
                label
                    .ok_or_else(|| Failure::new(format!("{LABELS} has no line for `{name}` of {LIST}")))?
                    .clone()
            }
            None => name.strip_prefix("elfw/").and_then(|n| n.split_once('/')).map(|(id, _)| id.to_owned()),
        };
        let identity = celebrity.unwrap_or_else(|| format!("distractor:{name}"));
        let points = points.filter(|_| own_landmarks);
        plan.faces.push(Planned { identity, file, name, points, group: None });
    }
    used.tell_others(tree, &["testdata"], &mut plan.left_out)?;
    Ok(plan)
}

/// The identity of each image; none for a distractor, whose identity is negative.
fn labels(text: &str) -> Result<HashMap<String, Option<String>>> {
    let mut labels = HashMap::new();
    for (at, line) in lines(text) {
        let fields = lists::fields(line);
        let &[path, "probe" | "gallery", identity] = fields.as_slice() else {
            return Err(off(LABELS, at, "`path`, `probe` or `gallery`, `identity`, separated by tabs", line));
        };
        let identity = (!identity.starts_with('-')).then(|| identity.to_owned());
        if labels.insert(names::tidy(path), identity.clone()).is_some_and(|before| before != identity) {
            return Err(off(LABELS, at, "one identity for each path, as in a line before", line));
        }
    }
    Ok(labels)
}
