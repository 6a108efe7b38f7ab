//! The tables: `matches.csv` and `summary.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_stage::{Failure, IoContext, Result};
use serde_json::json;

use crate::evidence::Status;
use crate::matching::Rule;
use crate::names::How;
use crate::options::{Options, Policy};
use crate::run::Found;

/// The number of images of each identity.
fn counts(dataset: &Dataset) -> Vec<u64> {
    let mut counts = vec![0; dataset.info().identities.len()];
    for face in dataset.iter() {
        counts[face.identity as usize] += 1;
    }
    counts
}

/// Writes rows as CSV.
pub(crate) fn table(path: &Path, head: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let failed = |e: csv::Error| Failure::new(format!("cannot write {}: {e}", path.display()));
    let mut out = csv::Writer::from_path(path).map_err(failed)?;
    out.write_record(head).map_err(failed)?;
    for row in rows {
        out.write_record(row).map_err(failed)?;
    }
    out.flush().doing("write", path)
}

pub(crate) fn write(options: &Options, folder: &Path, found: &Found) -> Result<()> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let of_train = counts(&found.train);
    let of_tests: Vec<Vec<u64>> = found.tests.iter().map(counts).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (&(train, test), e) in &found.matches {
        let status = e.status(options);
        let images = match options.policy {
            _ if status != Status::Shared => 0,
            Policy::DropFromTrain | Policy::Move => of_train[train],
            Policy::DropFromTest => test.map_or(0, |(set, test)| of_tests[set][test]),
            Policy::Report => 0,
        };
        let mut row: Vec<String> = found.called((train, test)).map(str::to_owned).into();
        row.extend([e.rule().to_owned(), images.to_string(), e.how().to_owned()]);
        row.extend([e.words(&|k| found.list(k)), status.name().to_owned()]);
        rows.push(row);
    }
    rows.sort();
    let head = [
        "training-identity",
        "test-set",
        "test-identity",
        "rule",
        "images-dropped",
        "how",
        "evidence",
        "status",
    ];
    table(&folder.join("matches.csv"), &head, &rows)?;
    let is = |status: Status| found.matches.values().filter(move |e| e.status(options) == status);
    let shared: BTreeSet<usize> = found.shared(options).map(|(train, _)| train).collect();
    let rules = Rule::ALL.iter().map(|r| r.name()).chain(["embedding", "list", "decision"]);
    let by_rule: BTreeMap<&str, usize> =
        rules.map(|r| (r, is(Status::Shared).filter(|e| e.rule() == r).count())).collect();
    let of = |how: How| found.matches.values().filter(|e| e.how() == how.name()).count();
    let by_how: BTreeMap<&str, usize> = How::ALL.iter().map(|h| (h.name(), of(*h))).collect();
    let in_set = |s: usize| found.shared(options).filter(|(_, t)| t.is_some_and(|t| t.0 == s)).count();
    let by_set: BTreeMap<&String, usize> =
        found.names.iter().enumerate().map(|(s, n)| (n, in_set(s))).collect();
    let summary = json!({
        "policy": options.policy,
        "training_identities": found.train.info().identities.len(),
        "shared_training_identities": shared.len(),
        "images_of_shared_training_identities": shared.iter().map(|&k| of_train[k]).sum::<u64>(),
        "matches": is(Status::Shared).count(),
        "matches_by_rule": by_rule,
        "matches_by_test_set": by_set,
        "by_how": by_how,
        "for_review": found.matches.values().filter(|e| e.is_open(options)).count(),
    });
    let path = folder.join("summary.json");
    let text = serde_json::to_string_pretty(&summary).doing("write", &path)?;
    std::fs::write(&path, text + "\n").doing("write", &path)
}
