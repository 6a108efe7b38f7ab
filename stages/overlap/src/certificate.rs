//! `certificate.json`: what was compared, how, and the result, for readers of numbers that depend on it.

use std::collections::BTreeSet;
use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_stage::{IoContext, Result};
use serde_json::{Value, json};

use crate::centres::cosine;
use crate::evidence::Status;
use crate::lists::digest;
use crate::options::{Options, Policy};
use crate::run::Found;

/// A set with the digest of its list of identities: BLAKE3 of their names in order, each with a line feed.
fn set(name: &str, dataset: &Dataset) -> Value {
    let names: String = dataset.info().identities.iter().map(|n| format!("{n}\n")).collect();
    json!({
        "name": name,
        "identities": dataset.info().identities.len(),
        "images": dataset.len(),
        "identities-blake3": digest(names.as_bytes()),
    })
}

/// Rounded to six digits, so that the last bit of a logarithm does not matter.
fn rounded(x: f64) -> f64 {
    (x * 1e6).round() / 1e6
}

pub(crate) fn write(options: &Options, folder: &Path, found: &Found) -> Result<()> {
    let mut methods = Vec::new();
    methods.extend(options.names.then_some("name"));
    methods.extend(options.joined_names.then_some("joined-name"));
    methods.push("id");
    methods.extend(found.faces.as_ref().map(|_| "embedding"));
    methods.extend((!found.lists.is_empty()).then_some("list"));
    let embedding = found.faces.as_ref().map(|faces| {
        let t = faces.thresholds.as_ref();
        let score = |s: Option<i32>| s.map(|s| rounded(cosine(s)));
        json!({
            "directions-blake3": { "training-set": faces.digests[0], "test-sets": faces.digests[1] },
            "doubt": options.doubt,
            "review-doubt": options.review_doubt,
            "shared-from-cosine": score(t.and_then(|t| t.same)),
            "review-from-cosine": score(t.and_then(|t| t.review)),
            "expected-by-chance": t.map(|t| rounded(t.by_chance)),
            "scales-of-the-tails": t.map(|t| t.scales.iter().map(|s| rounded(*s)).collect::<Vec<_>>()),
        })
    });
    let matches: Vec<Value> = found
        .matches
        .iter()
        .map(|(pair, e)| {
            let [train, set, test] = found.called(*pair);
            json!({
                "training-identity": train,
                "test-set": set,
                "test-identity": test,
                "evidence": e.words(&|k| found.list(k)),
                "status": e.status(options).name(),
                "open": e.is_open(options),
            })
        })
        .collect();
    let lists: Vec<Value> = found
        .lists
        .iter()
        .map(|l| json!({ "test-set": l.set, "blake3": l.digest, "ids": l.ids.len() }))
        .collect();
    let shared: BTreeSet<usize> = found.shared(options).map(|(train, _)| train).collect();
    let is = |status| found.matches.values().filter(|e| e.status(options) == status).count();
    let certificate = json!({
        "form": "overlap-certificate-1",
        "training-set": set("", &found.train),
        "test-sets": found.names.iter().zip(&found.tests).map(|(n, t)| set(n, t)).collect::<Vec<_>>(),
        "methods": methods,
        "parameters": options,
        "names-of-ids": found.known,
        "lists": lists,
        "embedding": embedding,
        "decisions": {
            "blake3": found.decisions.digest,
            "rows": found.decisions.iter().count(),
            "signed-by": found.decisions.iter().map(|(_, d)| &d.signed_by).collect::<BTreeSet<_>>(),
        },
        "policy": options.policy,
        "shared-training-identities": shared.len(),
        "left-in-training-set": match options.policy {
            Policy::DropFromTrain | Policy::Move => 0,
            Policy::DropFromTest | Policy::Report => shared.len(),
        },
        "counts": {
            "shared": is(Status::Shared),
            "review": is(Status::Review),
            "different": is(Status::Different),
        },
        "undecided": found.matches.values().filter(|e| e.is_open(options)).count(),
        "matches": matches,
    });
    let path = folder.join("certificate.json");
    let text = serde_json::to_string_pretty(&certificate).doing("write", &path)?;
    std::fs::write(&path, text + "\n").doing("write", &path)
}
