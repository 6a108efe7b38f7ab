//! Do these landmarks belong to these images?
//!
//! Landmarks of another variant of a data set (LFW before and after deep funnelling) differ by a few pixels, fit the
//! template as well as the right ones, and cost a percent of accuracy without any other sign. Seven looks; what
//! needs pixels looks at a sample, and distances are in pixels of a 112-pixel crop:
//!
//! - *residual*: the distance between template and fitted landmarks. Large when points are in another order
//!   or coordinates are swapped (about 22, against 2 to 3 for landmarks that fit). The median over all images, and the share of
//!   those that are far off: what is wrong with some of them hides behind a median.
//! - *place and size*: points within a few pixels are no face (fractions of width and height look so; shape cannot tell, as it is the
//!   same at any size), nor are points around a place outside of the picture.
//! - *wander*: crops are compared with their own mean around the eyes; how far must each be shifted to agree best?
//!   Once with its landmarks, once with the mean position of all landmarks in its place. Landmarks that fit leave
//!   less than two pixels or at least beat the mean position; landmarks that do neither say nothing about the images.
//! - *eyes*: in the mean crop, the places of the eyes are darker than what surrounds them. When they are not but some place
//!   nearby is, all landmarks are off by the same amount. When crops agree on nothing, and no eyes are where they should be, there
//!   are no faces in them.
//! - *scale*: in a crop that shows something else than most do, are there eyes when its landmarks are multiplied by some factor? When
//!   one factor does that for several images, their landmarks were made for another size, however few they are.
//! - *turned*: in a set whose faces were brought upright, do the few look turned that are turned by their landmarks?
//! - *turn*: hardly anybody's head is turned by more than 60 degrees in the plane of the picture. Landmarks that were made before
//!   the picture was turned as its EXIF data says are.
//!
//! Heads seen from the side do not fit the template, either, and are no fault: they are told by their shape and counted apart.

use lfs_faces::dataset::{Dataset, Points, known};
use lfs_faces::image::{Area, Part, decode_part};
use rayon::prelude::*;
use serde::Serialize;

use crate::template::Layout;
use crate::transform::Similarity;
use crate::warp::{needed, warp};

mod crops;
mod scale;
mod shape;
mod turned;
mod verdict;

/// How many images are looked at.
const SAMPLE: usize = 400;
/// With fewer images, a mean crop says little.
const ENOUGH: usize = 40;

/// What a look at a sample showed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Look {
    /// How many images were decoded.
    pub images: usize,
    /// The median residual, in pixels of a 112-pixel crop.
    pub residual: Option<f64>,
    /// How many images of the sample have all points within a few pixels.
    #[serde(skip_serializing_if = "is_zero")]
    pub small: usize,
    /// How many images of the sample have their points around a place outside of the picture.
    #[serde(skip_serializing_if = "is_zero")]
    pub outside: usize,
    /// How many images were looked at for these two.
    #[serde(skip)]
    pub placed: usize,
    /// In how many images the landmarks are turned by more than 60 degrees, of all that have some.
    #[serde(skip_serializing_if = "is_zero")]
    pub turned: usize,
    /// The residuals of all images, each with whether the points have the shape of a head seen from the side.
    #[serde(skip)]
    pub residuals: Vec<(f64, bool)>,
    /// Median shift to the best agreement with the mean crop, with the landmarks.
    pub wander: Option<f64>,
    /// The same with the mean position in the landmarks' place.
    pub wander_of_mean_position: Option<f64>,
    /// How well crops agree with their mean at that shift: correlation, median.
    pub agreement: Option<f64>,
    /// How much darker than its surroundings the mean crop is at the eyes, in standard deviations.
    pub eyes: Option<f64>,
    /// The same at the place within 12 pixels where it is largest.
    pub eyes_elsewhere: Option<f64>,
    /// Which images' landmarks fit at another scale, when these are more than a few.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_scale: Option<scale::Other>,
    /// How many of the heads that are turned by their landmarks look upright, in a set of upright ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turned_heads: Option<turned::Turned>,
}

/// One image that is looked at.
struct Sampled {
    /// Its number in the data set.
    face: usize,
    width: u32,
    height: u32,
    points: Points,
}

/// The side of the crops that are compared.
const SIDE: u32 = 112;

/// The crop of 112 by 112 pixels that landmarks make of a picture; none when they fit no transform.
fn cut(source: &Part, points: &Points) -> Option<crops::Grey> {
    let fit = Similarity::fit(points, &Layout::square(SIDE).points)?;
    warp(source, &fit, SIDE, SIDE).map(|p| crops::Grey::new(&p))
}

/// What has to be decoded for [`cut`].
fn shown(points: &Points) -> Area {
    let fit = Similarity::fit(points, &Layout::square(SIDE).points);
    fit.and_then(|fit| needed(&fit, SIDE, SIDE)).unwrap_or(Area { right: 0, bottom: 0, ..Area::ALL })
}

/// Looks at up to 400 images, evenly spread over the data set.
pub fn look(dataset: &Dataset) -> Look {
    let target = Layout::square(SIDE).points;
    // A few bytes an image, as there may be very many.
    let (mut residuals, mut turned) = (Vec::new(), 0);
    let (mut with, mut whole): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut sines: Vec<(u32, f32)> = Vec::new();
    for (row, face) in (0..).zip(dataset.iter()) {
        let Some(points) = face.points else { continue };
        with.push(row);
        if known(&points).count() == 5 {
            whole.push(row);
        }
        if let Some(fit) = Similarity::fit(&points, &target) {
            residuals.push((fit.residual(&points, &target), shape::is_profile(&points)));
            turned += usize::from(fit.is_turned());
            if known(&points).count() == 5 && !fit.is_turned() {
                sines.push((row, fit.sine() as f32));
            }
        }
    }
    let residual = median(residuals.iter().map(|r| r.0).collect());
    // Crops are kept, not pictures: however large these are, memory is the same.
    let sampled = |from: &[u32]| -> Vec<(Sampled, Option<crops::Grey>)> {
        let n = from.len().min(SAMPLE);
        let one = |k: usize| {
            let face = from[k * from.len() / n] as usize;
            let points = dataset.face(face).points?;
            let part = decode_part(dataset.face(face).image, &shown(&points)).ok()?;
            let sampled = Sampled { face, width: part.width, height: part.height, points };
            Some((sampled, cut(&part, &points)))
        };
        (0..n).into_par_iter().filter_map(one).collect()
    };
    let sample = sampled(&whole);
    let mut look = Look { images: sample.len(), residual, turned, residuals, ..Look::default() };
    // Profile photographs, of which no more than three points are known, have a place and a size, too.
    let some = if whole.is_empty() { sampled(&with) } else { Vec::new() };
    for (Sampled { width, height, points, .. }, _) in sample.iter().chain(&some) {
        look.placed += 1;
        match place(points, *width, *height) {
            Some(Misplaced::Small) => look.small += 1,
            Some(Misplaced::Outside) => look.outside += 1,
            None => {}
        }
    }
    if sample.len() < ENOUGH {
        return look;
    }
    let mean = mean_position(sample.iter().map(|s| &s.0));
    let constant = |s: &Sampled| {
        let points = scaled(&mean, s, false);
        cut(&decode_part(dataset.face(s.face).image, &shown(&points)).ok()?, &points)
    };
    let constant: Vec<crops::Grey> = sample.par_iter().filter_map(|(s, _)| constant(s)).collect();
    let (sampled, real): (Vec<Sampled>, Vec<crops::Grey>) =
        sample.into_iter().filter_map(|(s, crop)| Some((s, crop?))).unzip();
    look.other_scale = scale::other(dataset, &sampled, &real);
    look.turned_heads = turned::turned(dataset, &sines, &real);
    let wander = crops::wander(&real);
    look.wander = median(wander.iter().map(|w| w.shift).collect());
    look.agreement = median(wander.iter().map(|w| w.agreement).collect());
    look.wander_of_mean_position = median(crops::wander(&constant).iter().map(|w| w.shift).collect());
    let (centre, best) = crops::eyes(&real);
    (look.eyes, look.eyes_elsewhere) = (Some(centre), Some(best));
    look
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
pub(crate) fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Why points are no face in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misplaced {
    /// All lie within a few pixels: less than 4, or less than 8 where that is less than a twentieth of the picture's longer side.
    Small,
    /// Their middle lies outside of the picture.
    Outside,
}

/// Whether points can be a face in a picture of this size, by place and size alone.
pub fn place(points: &Points, width: u32, height: u32) -> Option<Misplaced> {
    let n = known(points).count() as f32;
    let range = |c: usize| {
        let values = || known(points).map(|k| points[k][c]);
        (values().fold(f32::MAX, f32::min), values().fold(f32::MIN, f32::max), values().sum::<f32>() / n)
    };
    let ((left, right, x), (top, bottom, y)) = (range(0), range(1));
    let extent = (right - left).max(bottom - top);
    if n > 1.0 && extent < (0.05 * width.max(height) as f32).clamp(4.0, 8.0) {
        return Some(Misplaced::Small);
    }
    let inside = (0.0..width as f32).contains(&x) && (0.0..height as f32).contains(&y);
    (n > 0.0 && !inside).then_some(Misplaced::Outside)
}

/// Landmarks as a part of width and height, or back.
fn scaled(points: &Points, image: &Sampled, to_parts: bool) -> Points {
    let side = [image.width as f32, image.height as f32];
    points.map(|p| [0, 1].map(|c| if to_parts { p[c] / side[c] } else { p[c] * side[c] }))
}

fn mean_position<'a>(sample: impl ExactSizeIterator<Item = &'a Sampled>) -> Points {
    let mut mean = Points::default();
    let n = sample.len() as f32;
    for image in sample {
        let parts = scaled(&image.points, image, true);
        for (m, v) in mean.as_flattened_mut().iter_mut().zip(parts.as_flattened()) {
            *m += v / n;
        }
    }
    mean
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
