//! The steps of the stage: check, crop, write.

use lfs_faces::dataset::{Crop, Dataset, FaceRef, Writer, known};
use lfs_faces::image::{Area, Part, Pixels, decode_part, encode_jpeg_part, encode_png};
use lfs_rows::{Digest, Work};
use lfs_stage::{Context, Failure, Result};

use crate::options::{Check, Encoding, Options, Unreadable, WithoutLandmarks};
use crate::preflight;
use crate::report::Report;
use crate::taken_over::{Before, Done, Facts, Made};
use crate::template::{Layout, SIDE};
use crate::transform::Similarity;
use crate::warp::{needed, warp};

/// The number of images that are cropped before they are written.
const AT_ONCE: usize = 512;

pub(crate) fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
    let failed = |e: lfs_faces::DataError| Failure::new(e.to_string());
    let dataset = Dataset::open(cx.input("dataset")?).map_err(failed)?;
    let pool = lfs_rows::threads(cx.threads())?;
    let layout = options.layout();
    let mut report = Report { images: dataset.len(), ..Report::default() };
    if options.check != Check::Off {
        let look = pool.install(|| preflight::look(&dataset));
        if let Some(fault) = look.fault(options.max_residual, options.max_wander) {
            if options.check == Check::Refuse {
                return Err(Failure::new(fault).help(
                    "give the landmarks that were made for these very images; `check = \"warn\"` goes on all the same",
                ));
            }
            cx.warn(fault);
        } else if let Some(doubt) = look.doubt() {
            cx.warn(doubt);
        }
        if look.turned > 0 {
            cx.warn(format!(
                "the landmarks of {} of {} images are turned by more than 60 degrees",
                look.turned,
                look.residuals.len()
            ));
        }
        report.profiles = look.far_off(options.max_residual).1;
        report.preflight = Some(look);
    }
    let mut writer = Writer::create(cx.output("dataset")?).map_err(failed)?;
    let before = Before::open(cx.earlier("report"), cx.earlier("dataset"));
    let mut rows = lfs_rows::Writer::create(cx.output("report")?)?;
    let (mut residuals, mut dropped) = (Vec::new(), Vec::new());
    let (mut crops, mut taken_over) = (0_u32, 0_usize);
    let work = |i: usize| {
        let face = dataset.face(i);
        let source = Digest::of_face(&face);
        match before.as_ref().and_then(|before| before.take(source)) {
            Some(done) => (source, true, Ok(done)),
            None => (source, false, one(options, &layout, &face)),
        }
    };
    let all = Work { doing: "aligning", rows: dataset.len(), at_once: AT_ONCE };
    all.run(cx, &pool, work, |i, (source, was_known, done)| {
        let face = dataset.face(i);
        taken_over += usize::from(was_known);
        match done? {
            Done::Dropped(why) => {
                rows.push(source, &Made::Dropped { why: why.clone() })?;
                dropped.push((face.name.to_owned(), why));
            }
            Done::Cropped { image, points, facts } => {
                match facts.residual {
                    Some(r) => residuals.push((r, i as u32)),
                    None => report.centre_cropped += 1,
                }
                report.aligned += usize::from(facts.residual.is_some());
                report.with_some_points += usize::from(points.is_some_and(|p| known(&p).count() < 5));
                report.reaching_outside += usize::from(facts.outside);
                report.misplaced += usize::from(facts.misplaced);
                writer.push(FaceRef { image: &image, points, ..face }).map_err(failed)?;
                rows.push(source, &Made::Cropped { row: crops, facts })?;
                crops += 1;
            }
        }
        Ok(())
    })?;
    rows.finish()?;
    if before.is_some() {
        cx.note(format!(
            "{taken_over} of {} images are unchanged since an earlier result, and were taken over",
            dataset.len()
        ));
    }
    let mut info = dataset.info().clone();
    info.crop = Some(Crop {
        size: layout.height,
        width: (layout.width != layout.height).then_some(layout.width),
        template: layout.name.to_owned(),
        encoding: encoding(options),
    });
    writer.finish(info).map_err(failed)?;
    report.dropped = dropped.len();
    if !dropped.is_empty() {
        cx.warn(format!(
            "{} of {} images are skipped; see dropped.csv of the report",
            dropped.len(),
            dataset.len()
        ));
    }
    report.above_max_residual = residuals.iter().filter(|r| r.0 > options.max_residual).count();
    if report.above_max_residual > 0 {
        cx.warn(format!(
            "the landmarks of {} of {} images fit the template worse than `max-residual`, {} pixels{}; the worst are in residuals.json \
             of the report",
            report.above_max_residual,
            residuals.len(),
            options.max_residual,
            match report.profiles {
                0 => String::new(),
                n => format!(" ({n} of them have the shape of heads seen from the side)"),
            }
        ));
    }
    if report.misplaced > 0 {
        cx.warn(format!(
            "the landmarks of {} of {} images lie within a few pixels or around a place outside of the image",
            report.misplaced,
            residuals.len()
        ));
    }
    report.residuals(residuals, |i| dataset.face(i as usize).name);
    report.write(cx.output("report")?, &dropped)
}

fn encoding(options: &Options) -> String {
    match options.encoding {
        Encoding::Jpeg => format!("jpeg-{}", options.quality),
        Encoding::Png => "png".to_owned(),
    }
}

fn one(options: &Options, layout: &Layout, face: &FaceRef<'_>) -> Result<Done> {
    let fit = match &face.points {
        None => None,
        Some(points) => {
            let Some(fit) = Similarity::fit(points, &layout.points) else {
                return without(options, layout, face, "its landmarks are fewer than two places");
            };
            Some((fit, points))
        }
    };
    if fit.is_none() && options.without_landmarks != WithoutLandmarks::CentreCrop {
        return without(options, layout, face, "it has no landmarks");
    }
    let (width, height) = (layout.width, layout.height);
    let area = fit.and_then(|(fit, _)| needed(&fit, width, height)).unwrap_or(Area::ALL);
    let source = match decode_part(face.image, &area) {
        Ok(source) => source,
        Err(e) if options.unreadable == Unreadable::Drop => return Ok(Done::Dropped(e.to_string())),
        Err(e) => {
            return Err(Failure::new(format!("the image `{}` cannot be read: {e}", face.name))
                .help("put a `clean` stage before this one, or set `unreadable = \"drop\"`"));
        }
    };
    let transform = match fit {
        Some((fit, _)) => fit,
        None => Similarity::centre(source.width, source.height, (width, height)),
    };
    let image =
        crop(&source, &transform, options).map_err(|e| Failure::new(format!("`{}`: {e}", face.name)))?;
    let to_112 = SIDE / f64::from(height);
    Ok(Done::Cropped {
        image,
        points: face.points.map(|p| {
            // The positions of the points in the crop; an unknown point stays unknown.
            p.map(|q| if q[0].is_finite() { transform.apply(q.map(f64::from)).map(|v| v as f32) } else { q })
        }),
        facts: Facts {
            residual: fit.map(|(fit, points)| fit.residual(points, &layout.points) * to_112),
            misplaced: fit.is_some_and(|(_, p)| preflight::place(p, source.width, source.height).is_some()),
            outside: reaches_outside(&transform, &source, (width, height)),
        },
    })
}

/// An image without usable landmarks.
fn without(options: &Options, layout: &Layout, face: &FaceRef<'_>, why: &str) -> Result<Done> {
    match options.without_landmarks {
        WithoutLandmarks::Drop => Ok(Done::Dropped(why.to_owned())),
        WithoutLandmarks::CentreCrop => one(options, layout, &FaceRef { points: None, ..*face }),
        WithoutLandmarks::Fail => Err(Failure::new(format!("the image `{}` cannot be aligned: {why}", face.name))
            .help("set `without-landmarks` to \"drop\" or \"centre-crop\", or give landmarks to the `acquire` stage")),
    }
}

/// Warps and encodes a crop; `source` must contain at least the area that the crop shows.
///
/// # Errors
/// If the transform has no inverse.
pub fn crop(
    source: &Part,
    transform: &Similarity,
    options: &Options,
) -> Result<Vec<u8>, lfs_faces::DataError> {
    let layout = options.layout();
    let crop = warp(source, transform, layout.width, layout.height)
        .ok_or_else(|| lfs_faces::DataError::new("the landmarks give no transform that can be inverted"))?;
    match options.encoding {
        Encoding::Jpeg => encode_jpeg_part(&crop, options.quality),
        Encoding::Png => encode_png(&Pixels::from(&crop)),
    }
}

fn reaches_outside(transform: &Similarity, source: &Part, (width, height): (u32, u32)) -> bool {
    let (right, bottom) = (f64::from(width - 1), f64::from(height - 1));
    let Some(back) = transform.inverse() else { return true };
    [[0.0, 0.0], [right, 0.0], [0.0, bottom], [right, bottom]].iter().any(|&corner| {
        let [x, y] = back.apply(corner);
        x < 0.0 || y < 0.0 || x > f64::from(source.width - 1) || y > f64::from(source.height - 1)
    })
}
