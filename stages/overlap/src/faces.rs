//! Matches by nearest neighbours among embeddings.

use std::collections::BTreeMap;

use lfs_faces::dataset::Dataset;
use lfs_formats::vectors::Vectors;
use lfs_stage::{Context, Failure, Member, Progress, Result};

use crate::centres::{Centres, Directions, directions, dot};
use crate::evidence::Alike;
use crate::nearest::nearest;
use crate::options::Options;
use crate::threshold::{TAIL, Thresholds, thresholds};

/// The evidence from embeddings.
pub(crate) struct Faces {
    train: Directions,
    tests: Directions,
    /// The index in `tests` of the first identity of each test set; none for a set without embeddings.
    starts: Vec<Option<usize>>,
    pub(crate) thresholds: Option<Thresholds>,
    /// Pairs similar enough to report: training identity, test set, test identity, score.
    pub(crate) pairs: Vec<(usize, usize, usize, i32)>,
    /// Digests of the directions of both sides.
    pub(crate) digests: [String; 2],
}

/// Compares all identities, if there are embeddings.
pub(crate) fn compare(
    options: &Options,
    cx: &Context<'_>,
    train: &Dataset,
    tests: &[Dataset],
    names: &[String],
) -> Result<Option<Faces>> {
    let (mine, theirs) = (cx.input_opt("embeddings")?, cx.inputs("test-embeddings"));
    let Some(mine) = mine else {
        return match theirs.is_empty() {
            true => Ok(None),
            false => Err(lacking("embeddings", "the training set")),
        };
    };
    if theirs.is_empty() {
        return Err(lacking("test-embeddings", "the test sets"));
    }
    let open = |path: &std::path::Path, what: &str| {
        Vectors::open(path).map_err(|e| Failure::new(format!("the embeddings of {what}: {e}")))
    };
    let embeddings = open(mine, "the training set")?;
    let mut a = Centres::new(embeddings.width());
    a.add(train, &embeddings, "the training set")?;
    let mut b = Centres::new(embeddings.width());
    let (mut starts, mut next) = (vec![None; tests.len()], 0);
    for (set, member) in assigned(&cx.inputs("tests"), &theirs)? {
        let what = format!("the test set `{}`", names[set]);
        b.add(&tests[set], &open(&member.path, &what)?, &what)?;
        starts[set] = Some(next);
        next += tests[set].info().identities.len();
    }
    let (train, tests_all) = directions(&a, &b);
    drop((a, b));
    let digest = |d: &Directions| {
        let mut hasher = blake3::Hasher::new();
        d.rows.chunks(1 << 14).for_each(|c| {
            hasher.update(&c.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        });
        hasher.finalize().to_hex().to_string()
    };
    let digests = [digest(&train), digest(&tests_all)];
    let told = |doing: &str, done| {
        cx.progress(Progress {
            doing: doing.to_owned(),
            done,
            total: Some(2),
            unit: "sides".to_owned(),
            ..Progress::default()
        });
    };
    told("comparing faces", 0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(cx.threads()).build();
    let pool = pool.map_err(|e| Failure::new(format!("cannot start {} threads: {e}", cx.threads())))?;
    let of_tests = pool.install(|| nearest(&tests_all, &train, TAIL + 1));
    told("comparing faces", 1);
    let of_train = pool.install(|| nearest(&train, &tests_all, TAIL + 1));
    told("comparing faces", 2);
    let thresholds = thresholds(&of_tests, &of_train, options.doubt, options.review_doubt);
    if thresholds.is_none() {
        cx.warn("there are too few identities to estimate from their embeddings how similar others are by chance: nothing is matched by face");
    }
    let least = thresholds.as_ref().and_then(|t| t.review).unwrap_or(i32::MAX);
    let mut found = BTreeMap::new();
    for (j, list) in of_tests.iter().enumerate() {
        found.extend(list.iter().filter(|n| n.score >= least).map(|n| ((n.index as usize, j), n.score)));
    }
    for (i, list) in of_train.iter().enumerate() {
        found.extend(list.iter().filter(|n| n.score >= least).map(|n| ((i, n.index as usize), n.score)));
    }
    let faces = Faces { train, tests: tests_all, starts, thresholds, pairs: Vec::new(), digests };
    let pairs = found
        .into_iter()
        .filter_map(|((i, j), score)| faces.place(j).map(|(set, test)| (i, set, test, score)))
        .collect();
    Ok(Some(Faces { pairs, ..faces }))
}

fn lacking(input: &str, whose: &str) -> Failure {
    Failure::new(format!("the embeddings of {whose} are missing"))
        .help(format!("add `input.{input} = \"...\"`, made with the same model as the others"))
}

/// The test set of each member of the embeddings: by the label `set`, else by order.
fn assigned<'m>(tests: &[Member], embeddings: &'m [Member]) -> Result<Vec<(usize, &'m Member)>> {
    let mut out: Vec<(usize, &Member)> = Vec::new();
    if embeddings.iter().chain(tests).all(|m| m.labels.contains_key("set")) {
        for member in embeddings {
            let wanted = member.labels.get("set");
            let set = tests.iter().position(|t| t.labels.get("set") == wanted);
            let name = wanted.map_or("", String::as_str);
            let set = set.ok_or_else(|| {
                Failure::new(format!("`test-embeddings` has a set `{name}`, and `tests` has none"))
                    .help("give embeddings and data sets the same values of the label `set`")
            })?;
            if out.iter().any(|(s, _)| *s == set) {
                return Err(Failure::new(format!("`test-embeddings` has the set `{name}` twice"))
                    .help("choose one, as `embed[method=softmax]`"));
            }
            out.push((set, member));
        }
        return Ok(out);
    }
    if embeddings.len() != tests.len() {
        return Err(Failure::new(format!(
            "there are {} test sets and {} embeddings of test sets",
            tests.len(),
            embeddings.len()
        ))
        .help("give one for each, in the same order, or label both with `set`"));
    }
    Ok(embeddings.iter().enumerate().collect())
}

impl Faces {
    /// The test set and identity of a direction.
    fn place(&self, j: usize) -> Option<(usize, usize)> {
        let before = self.starts.iter().enumerate().filter_map(|(set, s)| Some((set, (*s)?)));
        before.filter(|(_, s)| *s <= j).max_by_key(|(set, s)| (*s, *set)).map(|(set, s)| (set, j - s))
    }

    /// The similarity of two identities; none if one has no embeddings or there are no thresholds.
    pub(crate) fn of(&self, train: usize, set: usize, test: usize) -> Option<(i32, Alike)> {
        let thresholds = self.thresholds.as_ref()?;
        let j = self.starts.get(set).copied().flatten()? + test;
        if !self.train.is_known(train) || !self.tests.is_known(j) {
            return None;
        }
        let score = dot(self.train.row(train), self.tests.row(j));
        let reaches = |t: Option<i32>| t.is_some_and(|t| score >= t);
        let alike = if reaches(thresholds.same) {
            Alike::Same
        } else if reaches(thresholds.review) || thresholds.same.is_none() {
            Alike::Perhaps
        } else {
            Alike::No
        };
        Some((score, alike))
    }
}
