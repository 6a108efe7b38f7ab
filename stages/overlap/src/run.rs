//! The work: match, apply the policy, write.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use lfs_faces::dataset::{Dataset, FaceRef, Writer};
use lfs_stage::{Context, Failure, IoContext, Member, Progress, Result};
use serde_json::json;

use crate::matching::{Rule, Train};
use crate::names::How;
use crate::options::{Initials, Options, Policy};

/// One shared identity.
struct Match {
    train: usize,
    set: usize,
    test: usize,
    rule: Rule,
    how: How,
}

pub(crate) fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
    let failed = |e: lfs_faces::DataError| Failure::new(e.to_string());
    let train = Dataset::open(cx.input("dataset")?).map_err(failed)?;
    let members = cx.inputs("tests");
    if members.is_empty() {
        return Err(Failure::new("input `tests` is missing").help("add `input.tests = \"...\"` to the stage"));
    }
    let names = names(&members)?;
    let tests: Vec<Dataset> =
        members.iter().map(|m| Dataset::open(&m.path).map_err(failed)).collect::<Result<_>>()?;
    let asked = Train::new(options, &train.info().identities);
    let (mut matches, mut listed) = (Vec::new(), Vec::new());
    for (set, dataset) in tests.iter().enumerate() {
        for (test, identity) in dataset.info().identities.iter().enumerate() {
            for found in asked.matches(identity) {
                let found = Match { train: found.train, set, test, rule: found.rule, how: found.how };
                if is_shared(options, found.how) { matches.push(found) } else { listed.push(found) }
            }
        }
        cx.progress(Progress {
            doing: "matching".to_owned(),
            done: set as u64 + 1,
            total: Some(tests.len() as u64),
            unit: "test sets".to_owned(),
            ..Progress::default()
        });
    }
    let drop_train: BTreeSet<u32> = match options.policy {
        Policy::DropFromTrain => matches.iter().map(|m| m.train as u32).collect(),
        _ => BTreeSet::new(),
    };
    keep(&train, &drop_train, cx.output("dataset")?)?;
    for (set, dataset) in tests.iter().enumerate() {
        let drop: BTreeSet<u32> = match options.policy {
            Policy::DropFromTest => matches.iter().filter(|m| m.set == set).map(|m| m.test as u32).collect(),
            _ => BTreeSet::new(),
        };
        keep(dataset, &drop, &cx.output("tests")?.join(&names[set]))?;
    }
    if drop_train.len() == train.info().identities.len() {
        // Names that are written alike are those of the same data; where they are not, the list of matches is worth more.
        let alike = matches.iter().filter(|m| m.how.is_alike()).map(|m| m.train).collect::<BTreeSet<_>>();
        if alike.len() < drop_train.len() {
            cx.warn("every identity of the training set is in a test set; nothing is left");
            return report(options, cx.output("matches")?, &train, &tests, &names, &matches, &listed);
        }
        return Err(Failure::new(
            "every identity of the training set is in a test set; nothing would be left",
        )
        .help("are `dataset` and `tests` the same data? `policy = \"report\"` only lists the matches"));
    }
    let shared: BTreeSet<usize> = matches.iter().map(|m| m.train).collect();
    cx.note(format!(
        "{} of {} training identities are in a test set",
        shared.len(),
        train.info().identities.len()
    ));
    if !listed.is_empty() {
        cx.warn(format!(
            "{} pairs of names may be one person each and stay; see the rows `near miss`{} of matches.csv",
            listed.len(),
            if options.initials == Initials::List { " and `initials`" } else { "" }
        ));
    }
    report(options, cx.output("matches")?, &train, &tests, &names, &matches, &listed)
}

/// Whether names that differ so are one person, and not only listed.
fn is_shared(options: &Options, how: How) -> bool {
    match how {
        How::NearMiss => false,
        How::Initials => options.initials == Initials::Match,
        _ => true,
    }
}

/// Names of test sets: the label `set`, else the node that made it.
fn names(members: &[Member]) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for member in members {
        let name = member.labels.get("set").unwrap_or(&member.from);
        let safe: String =
            name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
        let safe = safe.trim_matches(['-', '.']).to_owned();
        let safe = if safe.is_empty() { "test".to_owned() } else { safe };
        if names.contains(&safe) {
            return Err(Failure::new(format!("two test sets are named `{safe}`"))
                .help("give each test set its own value of the label `set`"));
        }
        names.push(safe);
    }
    Ok(names)
}

/// Writes a data set without some identities; the others are numbered anew, so that every number has a name.
fn keep(dataset: &Dataset, drop: &BTreeSet<u32>, folder: &Path) -> Result<()> {
    let failed = |e: lfs_faces::DataError| Failure::new(e.to_string());
    let mut info = dataset.info().clone();
    let mut numbers = BTreeMap::new();
    let mut identities = Vec::new();
    for (k, name) in (0..).zip(std::mem::take(&mut info.identities)) {
        if !drop.contains(&k) {
            numbers.insert(k, identities.len() as u32);
            identities.push(name);
        }
    }
    info.identities = identities;
    let mut writer = Writer::create(folder).map_err(failed)?;
    for face in dataset.iter() {
        if let Some(&identity) = numbers.get(&face.identity) {
            writer.push(FaceRef { identity, ..face }).map_err(failed)?;
        }
    }
    writer.finish(info).map_err(failed)
}

fn counts(dataset: &Dataset) -> Vec<u64> {
    let mut counts = vec![0; dataset.info().identities.len()];
    for face in dataset.iter() {
        counts[face.identity as usize] += 1;
    }
    counts
}

fn report(
    options: &Options,
    folder: &Path,
    train: &Dataset,
    tests: &[Dataset],
    names: &[String],
    matches: &[Match],
    listed: &[Match],
) -> Result<()> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let of_train = counts(train);
    let of_tests: Vec<Vec<u64>> = tests.iter().map(counts).collect();
    let mut rows: Vec<String> = Vec::new();
    for m in matches.iter().chain(listed) {
        let images = match options.policy {
            _ if !is_shared(options, m.how) => 0,
            Policy::DropFromTrain => of_train[m.train],
            Policy::DropFromTest => of_tests[m.set][m.test],
            Policy::Report => 0,
        };
        let (a, b) = (&train.info().identities[m.train], &tests[m.set].info().identities[m.test]);
        let fields = [a, &names[m.set], b].map(|t| quoted(t));
        rows.push(format!("{},{},{images},{}", fields.join(","), m.rule.name(), quoted(m.how.name())));
    }
    rows.sort();
    let mut text = "training-identity,test-set,test-identity,rule,images-dropped,how\n".to_owned();
    for row in rows {
        let _ = writeln!(text, "{row}");
    }
    let path = folder.join("matches.csv");
    std::fs::write(&path, text).doing("write", &path)?;
    let shared: BTreeSet<usize> = matches.iter().map(|m| m.train).collect();
    let by_rule: BTreeMap<&str, usize> =
        Rule::ALL.iter().map(|r| (r.name(), matches.iter().filter(|m| m.rule == *r).count())).collect();
    let of = |how: How| matches.iter().chain(listed).filter(|m| m.how == how).count();
    let by_how: BTreeMap<&str, usize> = How::ALL.iter().map(|h| (h.name(), of(*h))).collect();
    let by_set: BTreeMap<&String, usize> =
        names.iter().enumerate().map(|(s, n)| (n, matches.iter().filter(|m| m.set == s).count())).collect();
    let summary = json!({
        "policy": options.policy,
        "training_identities": train.info().identities.len(),
        "shared_training_identities": shared.len(),
        "images_of_shared_training_identities": shared.iter().map(|&k| of_train[k]).sum::<u64>(),
        "matches": matches.len(),
        "matches_by_rule": by_rule,
        "matches_by_test_set": by_set,
        "by_how": by_how,
    });
    let path = folder.join("summary.json");
    let text = serde_json::to_string_pretty(&summary).doing("write", &path)?;
    std::fs::write(&path, text + "\n").doing("write", &path)
}

/// A CSV field.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
