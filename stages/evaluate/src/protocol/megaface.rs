//! MegaFace: `facescrub_features_list.json` (probes), `megaface_features_list.json_<size>_<set>`
//! (distractors), `facescrub_noises.txt`, `megaface_noises.txt`.
//!
//! The JSON files are `{"path": [..], "id": [..]}`. Noise lists name images to be removed entirely, one per
//! line, with `#` before comments: file names for the probes; for the distractors, the path follows the last
//! tab. Officially 3,530 probes of 80 persons and 1,000,000 distractors.

use std::collections::{BTreeMap, HashSet};

use lfs_formats::names;
use lfs_stage::{Failure, Result};
use serde::Deserialize;

use super::{Lists, Search};

const DISTRACTORS: &str = "megaface_features_list.json_";

#[derive(Deserialize)]
struct Features {
    path: Vec<String>,
    id: Vec<serde_json::Value>,
}

/// Reads the lists; `size` selects the distractor list, 0 the largest.
pub fn read(lists: &Lists, size: u64) -> Result<Search> {
    let mut out = Search::default();
    let noisy = noises(lists, "facescrub_noises.txt")?;
    let probes = features(lists, "facescrub_features_list.json")?;
    let mut ids: BTreeMap<String, i64> = BTreeMap::new();
    for (path, id) in probes.path.into_iter().zip(probes.id) {
        let file = path.rsplit('/').next().unwrap_or_default();
        if noisy.contains(file) || noisy.contains(&path) {
            out.noisy_probes += 1;
            continue;
        }
        let next = ids.len() as i64;
        let id = *ids.entry(id.to_string()).or_insert(next);
        out.probes.push((path, id));
    }
    let noisy = noises(lists, "megaface_noises.txt")?;
    for path in features(lists, &distractors(lists, size)?)?.path {
        if noisy.contains(&path) {
            out.noisy_distractors += 1;
        } else {
            out.gallery.push((path, -1));
        }
    }
    Ok(out)
}

/// The name of the distractor list of this size (0 = the largest); of its sets, the first.
fn distractors(lists: &Lists, size: u64) -> Result<String> {
    let mut sizes: Vec<(u64, u64, String)> = Vec::new();
    for file in lists.files() {
        let name = file.rsplit('/').next().unwrap_or_default();
        let numbers = name.strip_prefix(DISTRACTORS).and_then(|rest| rest.split_once('_'));
        if let Some((Ok(size), Ok(set))) = numbers.map(|(a, b)| (a.parse(), b.parse())) {
            sizes.push((size, set, name.to_owned()));
        }
    }
    sizes.sort_by_key(|(size, set, _)| (*size, std::cmp::Reverse(*set)));
    let found = if size == 0 { sizes.last() } else { sizes.iter().rfind(|s| s.0 == size) };
    found.map(|s| s.2.clone()).ok_or_else(|| {
        let mut there: Vec<String> = sizes.iter().map(|s| s.0.to_string()).collect();
        there.dedup();
        let want = if size == 0 { "<size>".to_owned() } else { size.to_string() };
        Failure::new(format!("the input `lists` has no `{DISTRACTORS}{want}_1`"))
            .help(format!("lists of these sizes are there: [{}]", there.join(", ")))
    })
}

fn features(lists: &Lists, name: &str) -> Result<Features> {
    let text = lists.read(name)?;
    let mut list: Features = serde_json::from_str(&text.text)
        .map_err(|e| text.fault(format!("expected {{\"path\": [..], \"id\": [..]}}: {e}")))?;
    if list.path.len() != list.id.len() || list.path.is_empty() {
        return Err(text.fault(format!("{} paths and {} ids", list.path.len(), list.id.len())));
    }
    for path in &mut list.path {
        *path = names::tidy(path);
    }
    Ok(list)
}

/// The names in a noise list; empty if there is no such file (the unrefined protocol).
fn noises(lists: &Lists, name: &str) -> Result<HashSet<String>> {
    if lists.find(name).is_err() {
        return Ok(HashSet::new());
    }
    let text = lists.read(name)?;
    let lines = text.text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
    Ok(lines.map(|l| names::tidy(l.rsplit('\t').next().unwrap_or(l).trim())).collect())
}
