//! `labels.csv`, and its comparison with the ground truth if known.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_stage::{Failure, IoContext, Result};
use serde::Serialize;

use crate::apply::{FEW, Finding};
use crate::report::quoted;

/// The reason of a finding; empty if there is none.
pub(crate) fn reason(finding: &Finding) -> &'static str {
    match finding.judged.doubt {
        Some(doubt) => doubt.name(),
        None if finding.blurred => "blur",
        None => "",
    }
}

/// Writes a row per image.
pub(crate) fn write(folder: &Path, dataset: &Dataset, findings: &[Finding]) -> Result<()> {
    let path = folder.join("labels.csv");
    let mut out = BufWriter::new(File::create(&path).doing("create", &path)?);
    let identity = |k: u32| dataset.info().identities.get(k as usize).map_or("", String::as_str);
    let number = |x: Option<f64>| x.map_or(String::new(), |x| format!("{x:.4}"));
    writeln!(out, "name,identity,images,score,reason,nearest,cosine,nearest-cosine,action")
        .doing("write", &path)?;
    for (face, f) in dataset.iter().zip(findings) {
        let j = &f.judged;
        writeln!(
            out,
            "{},{},{},{:.4},{},{},{},{},{}",
            quoted(face.name),
            quoted(identity(face.identity)),
            j.images,
            j.score,
            reason(f),
            quoted(j.other.map_or("", identity)),
            number(j.own_cosine),
            number(j.other_cosine),
            f.action.name()
        )
        .doing("write", &path)?;
    }
    out.flush().doing("write", &path)
}

/// Precision and recall of the doubted labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Score {
    pub(crate) images: usize,
    pub(crate) wrong: usize,
    pub(crate) flagged: usize,
    pub(crate) right: usize,
    pub(crate) precision: f64,
    pub(crate) recall: f64,
}

impl Score {
    fn add(&mut self, wrong: bool, flagged: bool) {
        self.images += 1;
        self.wrong += usize::from(wrong);
        self.flagged += usize::from(flagged);
        self.right += usize::from(wrong && flagged);
        self.precision = self.right as f64 / self.flagged.max(1) as f64;
        self.recall = self.right as f64 / self.wrong.max(1) as f64;
    }
}

/// Scores by the number of images with the label: `all`, `singletons`, `pairs`, `others`.
pub(crate) type Scores = BTreeMap<&'static str, Score>;

/// Compares the doubts with a table whose columns `name` and `identity` give the true identity of each image;
/// an empty identity is nobody of the set.
///
/// # Errors
/// If the table cannot be read, lacks a column, or an image has no row.
pub(crate) fn compare(path: &Path, dataset: &Dataset, findings: &[Finding]) -> Result<Scores> {
    let mut reader = csv::Reader::from_path(path).doing("read", path)?;
    let header = reader.headers().doing("read", path)?.clone();
    let column = |name: &str| {
        header.iter().position(|h| h == name).ok_or_else(|| {
            Failure::new(format!("{} has no column `{name}`", path.display()))
                .help("`truth` is a table with the columns name and identity, as the kind `noise` writes it")
        })
    };
    let (name, identity) = (column("name")?, column("identity")?);
    let mut truth: HashMap<String, String> = HashMap::new();
    for record in reader.records() {
        let record = record.doing("read", path)?;
        truth.insert(record[name].to_owned(), record[identity].to_owned());
    }
    let mut scores = Scores::new();
    for (face, f) in dataset.iter().zip(findings) {
        let who = truth.get(face.name).ok_or_else(|| {
            Failure::new(format!("{} has no row for `{}`", path.display(), face.name))
                .help("`truth` must be of the same data set")
        })?;
        let label = &dataset.info().identities[face.identity as usize];
        let (wrong, flagged) = (who != label, f.judged.doubt.is_some());
        let group = match f.judged.images {
            1 => "singletons",
            n if n < FEW => "pairs",
            _ => "others",
        };
        scores.entry("all").or_default().add(wrong, flagged);
        scores.entry(group).or_default().add(wrong, flagged);
    }
    Ok(scores)
}
