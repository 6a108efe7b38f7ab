//! The reports beside the kept faces.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_stage::{IoContext, Result};
use serde::Serialize;

use crate::apply::Finding;
use crate::judge::{Reason, Verdict};
use crate::listing::{Scores, reason};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Labels>,
}

/// The summary of the judgements of labels.
#[derive(Default, Serialize)]
pub(crate) struct Labels {
    /// By reason.
    doubtful: BTreeMap<&'static str, usize>,
    /// Of identities with one image.
    doubtful_singletons: usize,
    /// Of identities with two.
    doubtful_pairs: usize,
    actions: BTreeMap<&'static str, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scores: Option<Scores>,
}

impl Labels {
    pub(crate) fn new(findings: &[Finding], scores: Option<Scores>) -> Self {
        let mut labels = Self { scores, ..Self::default() };
        for f in findings {
            *labels.actions.entry(f.action.name()).or_default() += 1;
            let reason = reason(f);
            if !reason.is_empty() {
                *labels.doubtful.entry(reason).or_default() += 1;
            }
            let doubtful = usize::from(f.judged.doubt.is_some());
            match f.judged.images {
                1 => labels.doubtful_singletons += doubtful,
                2 => labels.doubtful_pairs += doubtful,
                _ => {}
            }
        }
        labels
    }
}

pub(crate) fn write(
    folder: &Path,
    dataset: &Dataset,
    verdict: &Verdict,
    identities_kept: usize,
    judged: Option<Labels>,
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
        labels: judged,
    };
    let path = folder.join("summary.json");
    let text = serde_json::to_string_pretty(&summary).doing("write", &path)?;
    save(&path, &format!("{text}\n"))
}

fn save(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).doing("write", path)
}

/// A CSV field.
pub(crate) fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
