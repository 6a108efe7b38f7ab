//! Checks whether landmarks belong to their images.
//!
//! Landmarks of another variant of a data set (LFW before and after deep funnelling) differ by a few pixels, fit the template as
//! well as the right ones, and cost a percent of accuracy without any other sign. There are seven checks. Those that need pixels
//! use a sample; distances are in pixels of a 112-pixel crop:
//!
//! - *residual*: the distance between template and fitted landmarks. It is large when points are in another order or coordinates
//!   are swapped (about 22, against 2 to 3 for landmarks that fit). Both the median over all images and the share of outliers
//!   count, since a median hides a fault of some images.
//! - *place and size*: points within a few pixels are no face (a typical case are fractions of width and height, which the residual
//!   cannot detect since it does not depend on scale), nor are points centred outside of the picture.
//! - *wander*: how far must each crop be shifted around the eyes to agree best with the mean crop? This is measured with the
//!   landmarks, and with the mean position of all landmarks in their place. Landmarks that fit leave less than two pixels, or at
//!   least beat the mean position; landmarks that do neither have no relation to the images.
//! - *eyes*: in the mean crop, the eyes are darker than their surroundings. If they are not, but some place nearby is, all
//!   landmarks are off by the same amount. If crops do not agree, and no eyes are where they should be, the crops are non-faces.
//! - *scale*: for crops that differ from most others, do eyes appear when the landmarks are multiplied by some factor? If one
//!   factor works for several images, their landmarks were made for another size, however few they are.
//! - *turned*: in a set whose faces were brought upright, do the few faces with turned landmarks look turned?
//! - *turn*: heads are rarely turned by more than 60 degrees in the plane of the picture. Landmarks that were made before the EXIF
//!   orientation was applied are.
//!
//! Profile heads do not fit the template, either, and are no fault: they are recognised by their shape and counted separately.

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

/// The number of images in the sample.
const SAMPLE: usize = 400;
/// The minimum number of images for a meaningful mean crop.
const ENOUGH: usize = 40;

/// The result of checking a sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Look {
    /// The number of decoded images.
    pub images: usize,
    /// The median residual, in pixels of a 112-pixel crop.
    pub residual: Option<f64>,
    /// The number of images of the sample that have all points within a few pixels.
    #[serde(skip_serializing_if = "is_zero")]
    pub small: usize,
    /// The number of images of the sample whose points are centred outside of the picture.
    #[serde(skip_serializing_if = "is_zero")]
    pub outside: usize,
    /// The number of images checked for these two.
    #[serde(skip)]
    pub placed: usize,
    /// The number of images with landmarks turned by more than 60 degrees, of all that have some.
    #[serde(skip_serializing_if = "is_zero")]
    pub turned: usize,
    /// The residuals of all images, each with whether the points have the shape of a profile head.
    #[serde(skip)]
    pub residuals: Vec<(f64, bool)>,
    /// The median shift to the best agreement with the mean crop, with the landmarks.
    pub wander: Option<f64>,
    /// The same with the mean position in place of the landmarks.
    pub wander_of_mean_position: Option<f64>,
    /// The agreement of crops with their mean at that shift: the median correlation.
    pub agreement: Option<f64>,
    /// How much darker the mean crop is at the eyes than around them, in standard deviations.
    pub eyes: Option<f64>,
    /// The same at the place within 12 pixels at which it is largest.
    pub eyes_elsewhere: Option<f64>,
    /// The images whose landmarks fit at another scale, if there are more than a few.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_scale: Option<scale::Other>,
    /// How many heads with turned landmarks look upright, in a set of upright faces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turned_heads: Option<turned::Turned>,
}

/// An image of the sample.
struct Sampled {
    /// Its row in the data set.
    face: usize,
    width: u32,
    height: u32,
    points: Points,
}

/// The side of the crops to compare.
const SIDE: u32 = 112;

/// The aligned crop of 112 by 112 pixels; none if the landmarks fit no transform.
fn cut(source: &Part, points: &Points) -> Option<crops::Grey> {
    let fit = Similarity::fit(points, &Layout::square(SIDE).points)?;
    warp(source, &fit, SIDE, SIDE).map(|p| crops::Grey::new(&p))
}

/// The area to decode for [`cut`].
fn shown(points: &Points) -> Area {
    let fit = Similarity::fit(points, &Layout::square(SIDE).points);
    fit.and_then(|fit| needed(&fit, SIDE, SIDE)).unwrap_or(Area { right: 0, bottom: 0, ..Area::ALL })
}

/// Checks up to 400 images, evenly spread over the data set.
pub fn look(dataset: &Dataset) -> Look {
    let target = Layout::square(SIDE).points;
    // Only a few bytes for each image, since there may be very many.
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
    // Crops are kept, not pictures, so that memory does not depend on the size of the pictures.
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
    // Place and size can also be checked for profile photographs with no more than three known points.
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

/// Why points cannot be a face in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misplaced {
    /// All points lie within a few pixels: a twentieth of the picture's longer side, clamped to the range from 4 to 8.
    Small,
    /// The mean of the points lies outside of the picture.
    Outside,
}

/// Whether points cannot be a face in a picture of this size, by place and size alone.
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

/// Converts landmarks to fractions of width and height, or back.
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
