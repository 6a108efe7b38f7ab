//! What is written beside the kept faces.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_stage::{IoContext, Result};
use serde::Serialize;

use crate::judge::{Reason, Verdict};

#[derive(Serialize)]
struct Summary {
    images: usize,
    kept: usize,
    dropped: BTreeMap<&'static str, usize>,
    identities: usize,
    identities_kept: usize,
    near_duplicates_kept: usize,
    near_duplicates_across_identities: usize,
    near_duplicates_across_identities_complete: bool,
}

pub(crate) fn write(
    folder: &Path,
    dataset: &Dataset,
    verdict: &Verdict,
    identities_kept: usize,
) -> Result<()> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let mut rows = "name,identity,reason,detail\n".to_owned();
    let mut dropped: BTreeMap<&'static str, usize> = Reason::ALL.iter().map(|r| (r.name(), 0)).collect();
    for (face, fate) in dataset.iter().zip(&verdict.dropped) {
        if let Some((reason, detail)) = fate {
            *dropped.entry(reason.name()).or_default() += 1;
            let identity = &dataset.info().identities[face.identity as usize];
            let fields = [face.name, identity, reason.name(), detail].map(quoted);
            let _ = writeln!(rows, "{}", fields.join(","));
        }
    }
    save(&folder.join("dropped.csv"), &rows)?;
    let mut rows = "name,identity,other-name,other-identity,bits\n".to_owned();
    for &(i, j, bits) in &verdict.across {
        let (a, b) = (dataset.face(i), dataset.face(j));
        let identity = |k: u32| dataset.info().identities[k as usize].as_str();
        let fields = [a.name, identity(a.identity), b.name, identity(b.identity)].map(quoted);
        let _ = writeln!(rows, "{},{bits}", fields.join(","));
    }
    save(&folder.join("across.csv"), &rows)?;
    let summary = Summary {
        images: dataset.len(),
        kept: verdict.dropped.iter().filter(|d| d.is_none()).count(),
        dropped,
        identities: dataset.info().identities.len(),
        identities_kept,
        near_duplicates_kept: verdict.near_kept,
        near_duplicates_across_identities: verdict.across.len(),
        near_duplicates_across_identities_complete: !verdict.across_cut,
    };
    let path = folder.join("summary.json");
    let text = serde_json::to_string_pretty(&summary).doing("write", &path)?;
    save(&path, &format!("{text}\n"))
}

fn save(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).doing("write", path)
}

/// A CSV field.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
