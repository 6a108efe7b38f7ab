//! MegaFace: FaceScrub's probes and a million distractors, in JSON lists.

use std::collections::{BTreeMap, HashMap};

use lfs_formats::names;
use lfs_stage::{Failure, Result};
use serde::Deserialize;

use super::{Plan, Planned, Stems, Used};
use crate::landmarks::{assign, read};
use crate::tree::Tree;

const PROBES: &str = "facescrub_features_list.json";
const DISTRACTORS: &str = "megaface_features_list.json_";

#[derive(Deserialize)]
struct List {
    path: Vec<String>,
    id: Vec<serde_json::Value>,
}

pub(super) fn plan(tree: &Tree, own_landmarks: bool) -> Result<Plan> {
    let top = tree.entries("")?;
    let mut plan = Plan::default();
    let mut faces: BTreeMap<String, Planned> = BTreeMap::new();
    let mut used = Used::default();
    add(tree, PROBES, "facescrub", "", &mut faces, &mut used)?;
    plan.lists.push(PROBES.to_owned());
    for list in top.iter().filter(|n| n.starts_with(DISTRACTORS)) {
        add(tree, list, "distractors", "distractor:", &mut faces, &mut used)?;
        plan.lists.push(list.clone());
    }
    if plan.lists.len() == 1 {
        return Err(Failure::new(format!("the source has no list `{DISTRACTORS}<size>_<set>`"))
            .help(format!("it holds at its top: {}", tree.top())));
    }
    plan.faces = faces.into_values().collect();
    plan.lists.extend(top.iter().filter(|n| n.ends_with("_noises.txt")).cloned());
    used.tell_others(tree, &["facescrub", "distractors"], &mut plan.left_out)?;
    if own_landmarks && tree.is_file("landmarks.tsv") {
        let entries = read(&tree.text("landmarks.tsv")?, "landmarks.tsv")?;
        assign(&mut plan.faces, &entries, "landmarks.tsv", tree, &mut plan.left_out)?;
    }
    Ok(plan)
}

fn add(
    tree: &Tree,
    list: &str,
    folder: &str,
    prefix: &str,
    faces: &mut BTreeMap<String, Planned>,
    used: &mut Used,
) -> Result<()> {
    let read: List = serde_json::from_str(&tree.text(list)?)
        .map_err(|e| Failure::new(format!("{list}: expected {{\"path\": [..], \"id\": [..]}}: {e}")))?;
    if read.path.len() != read.id.len() {
        return Err(Failure::new(format!("{list}: {} paths but {} ids", read.path.len(), read.id.len())));
    }
    let mut stems = Stems::default();
    let mut here: HashMap<String, String> = HashMap::new();
    for (k, (path, id)) in read.path.into_iter().zip(read.id).enumerate() {
        let path = names::tidy(&path);
        let name = format!("{folder}/{path}");
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        let identity = format!("{prefix}{id}");
        // Lists of several sizes share images, and each list may number them differently.
        if let Some(before) = here.insert(name.clone(), identity.clone())
            && before != identity
        {
            return Err(Failure::new(format!(
                "{list}, entry {}: the image `{name}` has the id `{identity}`, and `{before}` in an entry before",
                k + 1
            ))
            .help("an image is of one person: correct the list"));
        }
        if faces.contains_key(&name) {
            continue;
        }
        let Some(file) = stems.file(tree, folder, &path)? else {
            return Err(Failure::new(format!("{list}, entry {}: the image `{name}` is missing", k + 1))
                .help("the list and the images must be of the same set, and the set complete"));
        };
        used.take(&file, &name, list, k + 1)?;
        faces.insert(name.clone(), Planned { identity, file, name, ..Planned::default() });
    }
    Ok(())
}
