//! The steps of the stage: measure every image, judge, write what is kept.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use lfs_faces::dataset::{Dataset, FaceRef, Writer};
use lfs_formats::vectors::Vectors;
use lfs_rows::{Digest, Earlier, Work};
use lfs_stage::{Context, Failure, IoContext, Progress, Result};

use crate::apply;
use crate::decisions::{Decisions, Fate};
use crate::hash::Hasher;
use crate::judge::{Seen, Verdict, judge, see};
use crate::labels::Judged;
use crate::listing;
use crate::options::Options;
use crate::report::{self, Labels};
use crate::review;

/// The number of images that are measured before the results are written.
const AT_ONCE: usize = 1024;

pub(crate) fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
    let failed = |e: lfs_faces::DataError| Failure::new(e.to_string());
    let dataset = Dataset::open(cx.input("dataset")?).map_err(failed)?;
    let pool = lfs_rows::threads(cx.threads())?;
    let hasher = Hasher::new();
    let before = cx.earlier("report").map(Earlier::<Seen>::open);
    let mut rows = lfs_rows::Writer::create(cx.output("report")?)?;
    let mut seen: Vec<Seen> = Vec::with_capacity(dataset.len());
    let mut taken_over = 0;
    let look = |i: usize| {
        let face = dataset.face(i);
        let source = Digest::of_face(&face);
        let known = before.as_ref().and_then(|before| before.get(source));
        (source, known.is_some(), known.unwrap_or_else(|| see(&hasher, &face)))
    };
    let all = Work { doing: "reading images", rows: dataset.len(), at_once: AT_ONCE };
    all.run(cx, &pool, look, |_, (source, was_known, look)| {
        taken_over += usize::from(was_known);
        rows.push(source, &look)?;
        seen.push(look);
        Ok(())
    })?;
    rows.finish()?;
    if before.is_some() {
        cx.note(format!(
            "{taken_over} of {} images are unchanged since an earlier result, and were not decoded again",
            dataset.len()
        ));
    }
    let decisions = cx.input_opt("decisions")?.map(Decisions::read).transpose()?.unwrap_or_default();
    let vectors = cx.input_opt("embeddings")?.map(|path| embeddings(&dataset, path)).transpose()?;
    let judged = match &vectors {
        Some(vectors) => Some(judge_labels(options, &dataset, vectors, &pool, cx)?),
        None => None,
    };
    let is_apart = |i: usize, k: usize| {
        decisions.are_apart(dataset.face(i).name, dataset.face(k).name)
            || vectors.as_ref().is_some_and(|vectors| vectors.cosine(i, k) < options.near_cosine)
    };
    let mut findings = Vec::new();
    let spared = |i: usize| decisions.of(dataset.face(i).name) == Some(Fate::Keep);
    let mut extra = |verdict: &mut Verdict| {
        if let Some(judged) = &judged {
            findings = apply::apply(options, &dataset, &seen, judged, verdict);
        }
        apply::decide(&decisions, &dataset, verdict, &mut findings);
    };
    let verdict = judge(options, &dataset, &seen, &pool, &is_apart, &mut extra, &spared);
    unknown(&decisions, &dataset, cx);
    let mut info = dataset.info().clone();
    let mut kept = vec![false; info.identities.len()];
    let stays = |i: &usize| verdict.dropped[*i].is_none();
    let identity = |i: usize| verdict.moved[i].unwrap_or(dataset.face(i).identity);
    for i in (0..dataset.len()).filter(stays) {
        kept[identity(i) as usize] = true;
    }
    // Identities are renumbered, so that each number is a class with images.
    let mut next = 0;
    let mut number = |kept: &bool| {
        next += u32::from(*kept);
        next.saturating_sub(1)
    };
    let numbers: Vec<u32> = kept.iter().map(&mut number).collect();
    let mut is_kept = kept.iter();
    info.identities.retain(|_| is_kept.next() == Some(&true));
    let identities_kept = info.identities.len();
    let mut writer = Writer::create(cx.output("dataset")?).map_err(failed)?;
    for i in (0..dataset.len()).filter(stays) {
        let identity = numbers[identity(i) as usize];
        writer.push(FaceRef { identity, ..dataset.face(i) }).map_err(failed)?;
    }
    writer.finish(info).map_err(failed)?;
    let gone = verdict.dropped.iter().filter(|d| d.is_some()).count();
    cx.note(format!("{gone} of {} images are dropped; dropped.csv of the report says why", dataset.len()));
    if gone == dataset.len() && gone > 0 {
        return Err(Failure::new(format!("every one of {gone} images would be dropped"))
            .help("check `min-side`, `min-images` and `near-distance`, and whether the images are what they should be"));
    }
    let folder = cx.output("report")?;
    std::fs::create_dir_all(folder).doing("create", folder)?;
    let mut labels = None;
    if judged.is_some() {
        let truth = cx.input_opt("truth")?;
        let scores = truth.map(|path| listing::compare(path, &dataset, &findings)).transpose()?;
        if let Some(all) = scores.as_ref().and_then(|s| s.get("all")) {
            cx.metric("precision", all.precision);
            cx.metric("recall", all.recall);
        }
        listing::write(folder, &dataset, &findings)?;
        labels = Some(Labels::new(&findings, scores));
        review::write(folder, &dataset, &verdict, &findings)?;
    }
    report::write(folder, &dataset, &verdict, identities_kept, labels)
}

/// The embeddings of the images.
fn embeddings(dataset: &Dataset, path: &std::path::Path) -> Result<Vectors> {
    let vectors = Vectors::open(path).map_err(|e| Failure::new(e.to_string()))?;
    if vectors.len() != dataset.len() {
        return Err(Failure::new(format!(
            "{} embeddings for a data set of {} images",
            vectors.len(),
            dataset.len()
        ))
        .help("`embeddings` has a row an image, in the order of `dataset`: embed that very data set"));
    }
    Ok(vectors)
}

fn judge_labels(
    options: &Options,
    dataset: &Dataset,
    vectors: &Vectors,
    pool: &rayon::ThreadPool,
    cx: &Context<'_>,
) -> Result<Vec<Judged>> {
    let labels: Vec<u32> = dataset.iter().map(|f| f.identity).collect();
    let classes = dataset.info().identities.len();
    let (done, all) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let seen = |now: usize, total: usize| {
        done.store(now, Ordering::Relaxed);
        all.store(total, Ordering::Relaxed);
    };
    let (answer, wait) = mpsc::channel();
    let (seen, labels) = (&seen, labels.as_slice());
    std::thread::scope(|scope| {
        // This thread talks to the runner while the others work.
        scope.spawn(move || {
            let judged = pool.install(|| crate::labels::judge(vectors, labels, classes, options.sure, seen));
            let _ = answer.send(judged);
        });
        loop {
            match wait.recv_timeout(Duration::from_millis(200)) {
                Ok(judged) => return Ok(judged),
                Err(RecvTimeoutError::Timeout) => cx.progress(Progress {
                    doing: "comparing with identities".to_owned(),
                    done: done.load(Ordering::Relaxed) as u64,
                    total: Some(all.load(Ordering::Relaxed) as u64),
                    unit: "images".to_owned(),
                    ..Progress::default()
                }),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new("the judging of labels broke off"));
                }
            }
        }
    })
}

/// Warns of names in the decisions that the data set does not have: the file may belong to another one.
fn unknown(decisions: &Decisions, dataset: &Dataset, cx: &Context<'_>) {
    let mut names = decisions.names();
    let all = names.len();
    for face in dataset.iter() {
        names.remove(face.name);
    }
    if let Some(first) = names.first() {
        cx.warn(format!(
            "{} of {all} images in `decisions` are not in the data set: {first} ..",
            names.len()
        ));
    }
}
