//! The work: see every image, judge, write what is kept.

use lfs_faces::dataset::{Dataset, FaceRef, Writer};
use lfs_stage::{Context, Failure, Progress, Result};
use rayon::prelude::*;

use crate::hash::Hasher;
use crate::judge::{Seen, judge, see};
use crate::options::Options;
use crate::report;

/// How many images are seen between two reports of progress.
const CHUNK: usize = 1024;

pub(crate) fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
    let failed = |e: lfs_faces::DataError| Failure::new(e.to_string());
    let dataset = Dataset::open(cx.input("dataset")?).map_err(failed)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(cx.threads()).build();
    let pool = pool.map_err(|e| Failure::new(format!("cannot start {} threads: {e}", cx.threads())))?;
    let hasher = Hasher::new();
    let mut seen: Vec<Seen> = Vec::with_capacity(dataset.len());
    while seen.len() < dataset.len() {
        let end = (seen.len() + CHUNK).min(dataset.len());
        let range = seen.len()..end;
        pool.install(|| seen.par_extend(range.into_par_iter().map(|i| see(&hasher, &dataset.face(i)))));
        cx.progress(Progress {
            doing: "looking at images".to_owned(),
            done: end as u64,
            total: Some(dataset.len() as u64),
            unit: "images".to_owned(),
            ..Progress::default()
        });
    }
    let verdict = pool.install(|| judge(options, &dataset, &seen));
    let mut info = dataset.info().clone();
    let mut kept = vec![false; info.identities.len()];
    for (face, _) in dataset.iter().zip(&verdict.dropped).filter(|(_, d)| d.is_none()) {
        kept[face.identity as usize] = true;
    }
    // Identities are numbered anew, so that a number is a class and every class has images.
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
    for (face, _) in dataset.iter().zip(&verdict.dropped).filter(|(_, d)| d.is_none()) {
        writer.push(FaceRef { identity: numbers[face.identity as usize], ..face }).map_err(failed)?;
    }
    writer.finish(info).map_err(failed)?;
    let gone = verdict.dropped.iter().filter(|d| d.is_some()).count();
    cx.note(format!("{gone} of {} images are dropped; dropped.csv of the report says why", dataset.len()));
    if gone == dataset.len() && gone > 0 {
        return Err(Failure::new(format!("every one of {gone} images would be dropped"))
            .help("look at `min-side`, `min-images` and `near-distance`, and whether the images are what they should be"));
    }
    report::write(cx.output("report")?, &dataset, &verdict, identities_kept)
}
