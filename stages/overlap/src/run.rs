//! The work: match, apply the policy, write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lfs_faces::dataset::{Dataset, FaceRef, Writer};
use lfs_formats::names::set_folder;
use lfs_stage::{Context, Failure, Member, Progress, Result};

use crate::evidence::{Alike, Matches, Status};
use crate::faces::Faces;
use crate::lists::{self, Decisions, Published};
use crate::matching::Train;
use crate::options::{Initials, Options, Policy};
use crate::{certificate, faces, report, review};

/// All that was compared, and what came out of it.
pub(crate) struct Found {
    pub(crate) train: Dataset,
    pub(crate) tests: Vec<Dataset>,
    /// Names of the test sets.
    pub(crate) names: Vec<String>,
    pub(crate) lists: Vec<Published>,
    /// How many names of ids were given.
    pub(crate) known: usize,
    pub(crate) decisions: Decisions,
    pub(crate) faces: Option<Faces>,
    pub(crate) matches: Matches,
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
    let known = lists::names(&cx.inputs("names"))?;
    let mut found = Found {
        faces: faces::compare(options, cx, &train, &tests, &names)?,
        lists: lists::published(&cx.inputs("lists"))?,
        decisions: Decisions::read(cx.input_opt("decisions")?)?,
        known: known.len(),
        matches: Matches::new(),
        train,
        tests,
        names,
    };
    found.by_name(options, &known, cx);
    found.by_face();
    found.by_list(cx);
    found.decided(cx);
    let shared: BTreeSet<u32> = found.shared(options).map(|(train, _)| train as u32).collect();
    let leave = matches!(options.policy, Policy::DropFromTrain | Policy::Move);
    let none = BTreeSet::new();
    keep(&found.train, &|k| !(leave && shared.contains(&k)), cx.output("dataset")?)?;
    keep(&found.train, &|k| options.policy == Policy::Move && shared.contains(&k), cx.output("moved")?)?;
    for (set, dataset) in found.tests.iter().enumerate() {
        let of_set = found.shared(options).filter_map(|(_, test)| test.filter(|t| t.0 == set));
        let drop: BTreeSet<u32> = match options.policy {
            Policy::DropFromTest => of_set.map(|t| t.1 as u32).collect(),
            _ => none.clone(),
        };
        keep(dataset, &|k| !drop.contains(&k), &cx.output("tests")?.join(&found.names[set]))?;
    }
    if leave && shared.len() == found.train.info().identities.len() {
        // Names that are written alike are those of the same data; where they are not, the list of matches is worth more.
        let alike = found.matches.iter().filter(|(_, e)| e.written.iter().any(|(_, how)| how.is_alike()));
        let alike: BTreeSet<usize> = alike.map(|((train, _), _)| *train).collect();
        if alike.len() == shared.len() {
            return Err(Failure::new(
                "every identity of the training set is in a test set; nothing would be left",
            )
            .help("are `dataset` and `tests` the same data? `policy = \"report\"` only lists the matches"));
        }
        cx.warn("every identity of the training set is in a test set; nothing is left");
    }
    cx.note(format!(
        "{} of {} training identities are in a test set",
        shared.len(),
        found.train.info().identities.len()
    ));
    let open = found.matches.values().filter(|e| e.is_open(options)).count();
    if open > 0 {
        cx.warn(format!(
            "{open} pairs of identities may be one person each, and a person must decide; see review.html, and the rows `near miss`{} of matches.csv",
            if options.initials == Initials::List { " and `initials`" } else { "" }
        ));
    }
    let folder = cx.output("matches")?;
    report::write(options, folder, &found)?;
    review::write(options, folder, &found)?;
    certificate::write(options, folder, &found)
}

impl Found {
    fn by_name(&mut self, options: &Options, known: &BTreeMap<String, String>, cx: &Context<'_>) {
        let asked = Train::new(options, &self.train.info().identities, known);
        for (set, dataset) in self.tests.iter().enumerate() {
            for (test, identity) in dataset.info().identities.iter().enumerate() {
                for m in asked.matches(identity) {
                    let evidence = self.matches.entry((m.train, Some((set, test)))).or_default();
                    evidence.written.push((m.rule, m.how));
                }
            }
            cx.progress(Progress {
                doing: "matching".to_owned(),
                done: set as u64 + 1,
                total: Some(self.tests.len() as u64),
                unit: "test sets".to_owned(),
                ..Progress::default()
            });
        }
    }

    /// Adds the pairs whose faces are alike, and to the others what their faces say.
    fn by_face(&mut self) {
        let Some(faces) = &self.faces else { return };
        for &(train, set, test, _) in &faces.pairs {
            self.matches.entry((train, Some((set, test)))).or_default();
        }
        for (&(train, test), evidence) in &mut self.matches {
            evidence.embedding = test.and_then(|(set, test)| faces.of(train, set, test));
        }
        self.matches
            .retain(|_, e| !e.written.is_empty() || e.embedding.is_some_and(|(_, alike)| alike != Alike::No));
    }

    /// A list is further evidence of the matches with its test set; where there is none, it is a match of its own.
    fn by_list(&mut self, cx: &Context<'_>) {
        let places = places(&self.train.info().identities);
        for (k, list) in self.lists.iter().enumerate() {
            let listed: Vec<usize> =
                list.ids.iter().filter_map(|id| places.get(id.as_str()).copied()).collect();
            if listed.is_empty() {
                cx.warn(format!(
                    "none of the {} ids of list {} is a training identity",
                    list.ids.len(),
                    k + 1
                ));
            }
            for train in listed {
                let of = |test: Option<(usize, usize)>| {
                    test.is_some_and(|(set, _)| list.set.is_empty() || self.names[set] == list.set)
                };
                let mut alone = true;
                for ((_, test), evidence) in self.matches.range_mut((train, None)..(train + 1, None)) {
                    if of(*test) {
                        evidence.lists.push(k);
                        alone = false;
                    }
                }
                if alone {
                    self.matches.entry((train, None)).or_default().lists.push(k);
                }
            }
        }
    }

    fn decided(&mut self, cx: &Context<'_>) {
        let trains = places(&self.train.info().identities);
        let tests: Vec<_> = self.tests.iter().map(|t| places(&t.info().identities)).collect();
        let mut unknown = 0;
        for ([train, set, test], decision) in self.decisions.iter() {
            let train = trains.get(train.as_str()).copied();
            let set = self.names.iter().position(|n| n == set);
            let test = set.and_then(|s| tests[s].get(test.as_str()).map(|t| (s, *t)));
            match (train, test) {
                (Some(train), Some(test)) => {
                    self.matches.entry((train, Some(test))).or_default().decision = Some(decision.clone());
                }
                _ => unknown += 1,
            }
        }
        if unknown > 0 {
            cx.warn(format!("{unknown} decisions are about identities that are not there"));
        }
    }

    /// The pairs that are one person.
    pub(crate) fn shared(
        &self,
        options: &Options,
    ) -> impl Iterator<Item = (usize, Option<(usize, usize)>)> + '_ {
        let options = options.clone();
        self.matches.iter().filter(move |(_, e)| e.status(&options) == Status::Shared).map(|(pair, _)| *pair)
    }

    /// What a pair is called: training identity, test set, test identity.
    pub(crate) fn called(&self, pair: (usize, Option<(usize, usize)>)) -> [&str; 3] {
        let train = self.train.info().identities[pair.0].as_str();
        match pair.1 {
            Some((set, test)) => [train, &self.names[set], &self.tests[set].info().identities[test]],
            None => {
                let first = self.matches.get(&pair).and_then(|e| e.lists.first());
                [train, first.map_or("", |&k| &self.lists[k].set), ""]
            }
        }
    }

    /// What a published list is called.
    pub(crate) fn list(&self, k: usize) -> String {
        let (set, digest) = (&self.lists[k].set, &self.lists[k].digest[..12]);
        if set.is_empty() { digest.to_owned() } else { format!("{set} {digest}") }
    }
}

fn places(identities: &[String]) -> BTreeMap<&str, usize> {
    identities.iter().enumerate().map(|(k, name)| (name.as_str(), k)).collect()
}

/// Names of test sets: the label `set`, else the node that made it.
fn names(members: &[Member]) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for member in members {
        let name = member.labels.get("set").unwrap_or(&member.from);
        let safe = set_folder(name);
        if names.contains(&safe) {
            return Err(Failure::new(format!("two test sets are named `{safe}`"))
                .help("give each test set its own value of the label `set`"));
        }
        names.push(safe);
    }
    Ok(names)
}

/// Writes a data set of some identities; they are numbered anew, so that every number has a name.
fn keep(dataset: &Dataset, stays: &dyn Fn(u32) -> bool, folder: &Path) -> Result<()> {
    let failed = |e: lfs_faces::DataError| Failure::new(e.to_string());
    let mut info = dataset.info().clone();
    let mut numbers = BTreeMap::new();
    let mut identities = Vec::new();
    for (k, name) in (0..).zip(std::mem::take(&mut info.identities)) {
        if stays(k) {
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
