//! The steps of the stage: detect, select, write.

use std::sync::{Mutex, PoisonError};

use lfs_faces::dataset::{Dataset, FaceRef, Points, Writer};
use lfs_faces::image::decode;
use lfs_network::device;
use lfs_rows::{Digest, Earlier, Work};
use lfs_stage::{Context, Failure, Result};

use crate::choose::choose;
use crate::detector::{self, Detector};
use crate::options::{Options, Unreadable, WithoutFace};
use crate::report::{self, Done, Row};
use crate::taken_over::Made;

/// The number of images that are processed before they are written.
const AT_ONCE: usize = 128;

pub(crate) fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
    let failed = |e: lfs_faces::DataError| Failure::new(e.to_string());
    let dataset = Dataset::open(cx.input("dataset")?).map_err(failed)?;
    // Pictures are processed in parallel, each by one thread, so that the numbers do not depend on the number of threads.
    let device = device::prepare(options.device, 1, options.arithmetic)?;
    let threads = if device == tch::Device::Cpu { cx.threads() } else { 1 };
    let detectors = Detectors::open(options, cx, device, threads)?;
    let pool = lfs_rows::threads(threads)?;
    let mut writer = Writer::create(cx.output("dataset")?).map_err(failed)?;
    let (mut rows, mut kept) = (Vec::with_capacity(dataset.len()), 0_u64);
    let all = Work { doing: "looking for faces", rows: dataset.len(), at_once: AT_ONCE };
    let before = cx.earlier("report").map(Earlier::<Made>::open);
    let mut kept_rows = lfs_rows::Writer::create(cx.output("report")?)?;
    let mut taken_over = 0;
    let work = |i: usize| {
        let face = dataset.face(i);
        let source = Digest::of_face(&face);
        match before.as_ref().and_then(|before| before.get(source)) {
            Some(made) => (source, true, Ok(made.give(&face))),
            None => (source, false, look(options, &face, &detectors)),
        }
    };
    all.run(cx, &pool, work, |i, (source, was_known, looked)| {
        let (row, points) = looked?;
        taken_over += usize::from(was_known);
        kept_rows.push(source, &Made::of(&row))?;
        if row.done != Done::Dropped {
            writer.push(FaceRef { points, ..dataset.face(i) }).map_err(failed)?;
            kept += 1;
        }
        rows.push(row);
        Ok(())
    })?;
    kept_rows.finish()?;
    if before.is_some() {
        cx.note(format!(
            "{taken_over} of {} images are unchanged since an earlier result, and were taken over",
            dataset.len()
        ));
    }
    report::not_empty(&rows, kept)?;
    let count = |done: Done| rows.iter().filter(|r| r.done == done).count();
    let found = count(Done::Found);
    let mut info = dataset.info().clone();
    info.notes.insert(
        "landmarks".to_owned(),
        format!("of {found} of {} images found by the detector {}", rows.len(), options.detector.name()),
    );
    writer.finish(info).map_err(failed)?;
    for (done, what) in
        [(Done::Dropped, "are skipped"), (Done::KeptWithoutLandmarks, "stay without landmarks")]
    {
        let some = count(done);
        if some > 0 {
            cx.warn(format!("{some} of {} images {what}; see faces.csv of the report", rows.len()));
        }
    }
    cx.metric("found", found as f64);
    report::write(cx.output("report")?, options.detector.name(), &rows)
}

/// A pool of detectors with the same weights, one for each thread.
struct Detectors {
    first: Mutex<Box<dyn Detector>>,
    idle: Mutex<Vec<Box<dyn Detector>>>,
}

impl Detectors {
    fn open(options: &Options, cx: &Context<'_>, device: tch::Device, threads: usize) -> Result<Self> {
        let first = detector::open(options, cx.input("model")?, device)?;
        let idle = (0..threads).map(|_| first.twin()).collect();
        Ok(Self { first: Mutex::new(first), idle: Mutex::new(idle) })
    }

    /// Runs a function with a detector that no other thread uses meanwhile.
    fn with<T>(&self, work: impl FnOnce(&dyn Detector) -> T) -> T {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let one = idle.unwrap_or_else(|| self.first.lock().unwrap_or_else(PoisonError::into_inner).twin());
        let done = work(one.as_ref());
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(one);
        done
    }
}

/// The outcome for an image, and its landmarks.
fn look(options: &Options, face: &FaceRef<'_>, detectors: &Detectors) -> Result<(Row, Option<Points>)> {
    let row = |done, why: String| Row { name: face.name.to_owned(), done, why, faces: None, taken: None };
    if options.keep_known && face.points.is_some() {
        return Ok((row(Done::KeptItsLandmarks, "it had landmarks".to_owned()), face.points));
    }
    let picture = match decode(face.image) {
        Ok(picture) => picture,
        Err(e) if options.unreadable == Unreadable::Drop => {
            return Ok((row(Done::Dropped, e.to_string()), None));
        }
        Err(e) => {
            return Err(Failure::new(format!("the image `{}` cannot be read: {e}", face.name))
                .help("put a `clean` stage before this one, or set `unreadable = \"drop\"`"));
        }
    };
    let faces = detectors.with(|detector| detector.find(&picture))?;
    let (taken, why) = choose(options.policy, &picture, &faces);
    let row = |done| Row { faces: Some(faces.len()), ..row(done, why.clone()) };
    match (taken, options.without_face) {
        (Some(i), _) => {
            Ok((Row { taken: Some((i + 1, faces[i])), ..row(Done::Found) }, Some(faces[i].points)))
        }
        (None, WithoutFace::Drop) => Ok((row(Done::Dropped), None)),
        (None, WithoutFace::Keep) => Ok((row(Done::KeptWithoutLandmarks), None)),
        (None, WithoutFace::Fail) => {
            Err(Failure::new(format!("in the image `{}` no face is accepted: {why}", face.name)).help(
                "set `without-face` to \"drop\" or \"keep\", or another `policy`, `min-face` or `min-score`",
            ))
        }
    }
}
