//! Do these landmarks belong to these images?
//!
//! Landmarks of another variant of a data set (LFW before and after deep funnelling) differ by a few pixels, fit the
//! template as well as the right ones, and cost a percent of accuracy without any other sign. Three looks at a
//! sample, all in pixels of a 112-pixel crop:
//!
//! - *residual*: the distance between template and fitted landmarks. Large when points are in another order
//!   or coordinates are swapped (about 22, against 2 to 3 for landmarks that fit).
//! - *wander*: crops are compared with their own mean around the eyes; how far must each be shifted to agree best?
//!   Once with its landmarks, once with the mean position of all landmarks in its place. Landmarks that fit leave
//!   less than two pixels or at least beat the mean position; landmarks that do neither say nothing about the images.
//! - *eyes*: in the mean crop, the places of the eyes are darker than what surrounds them. When they are not but some place
//!   nearby is, all landmarks are off by the same amount.

use lfs_faces::dataset::{Dataset, Points, known};
use lfs_faces::image::{Pixels, decode};
use rayon::prelude::*;
use serde::Serialize;

use crate::template;
use crate::transform::Similarity;
use crate::warp::warp;

mod crops;

/// How many images are looked at.
const SAMPLE: usize = 400;
/// With fewer images, a mean crop says little.
const ENOUGH: usize = 40;
/// Crops that agree less with their mean than this (correlation, median) are not comparable: nothing is concluded.
const COMPARABLE: f64 = 0.45;

/// What a look at a sample showed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Look {
    /// How many images were decoded.
    pub images: usize,
    /// The median residual, in pixels of a 112-pixel crop.
    pub residual: Option<f64>,
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
}

/// Looks at up to 400 images, evenly spread over the data set.
pub fn look(dataset: &Dataset) -> Look {
    let with: Vec<(usize, Points)> =
        (0..dataset.len()).filter_map(|i| Some((i, dataset.face(i).points?))).collect();
    let target = template::points(template::SIDE as u32);
    let residuals = with.iter().filter_map(|(_, p)| Some(Similarity::fit(p, &target)?.residual(p, &target)));
    let residual = median(residuals.collect());
    let whole: Vec<&(usize, Points)> = with.iter().filter(|(_, p)| known(p).count() == 5).collect();
    let n = whole.len().min(SAMPLE);
    let sample: Vec<(Pixels, Points)> = (0..n)
        .into_par_iter()
        .filter_map(|k| {
            let (i, points) = whole[k * whole.len() / n];
            Some((decode(dataset.face(*i).image).ok()?, *points))
        })
        .collect();
    let mut look = Look { images: sample.len(), residual, ..Look::default() };
    if sample.len() < ENOUGH {
        return look;
    }
    let mean = mean_position(&sample);
    let cut = |pixels: &Pixels, points: &Points| {
        Similarity::fit(points, &target).and_then(|t| warp(pixels, &t, 112)).map(|p| crops::Grey::new(&p))
    };
    let real: Vec<crops::Grey> = sample.par_iter().filter_map(|(i, p)| cut(i, p)).collect();
    let constant: Vec<crops::Grey> =
        sample.par_iter().filter_map(|(i, _)| cut(i, &scaled(&mean, i, false))).collect();
    let wander = crops::wander(&real);
    look.wander = median(wander.iter().map(|w| w.shift).collect());
    look.agreement = median(wander.iter().map(|w| w.agreement).collect());
    look.wander_of_mean_position = median(crops::wander(&constant).iter().map(|w| w.shift).collect());
    let (centre, best) = crops::eyes(&real);
    (look.eyes, look.eyes_elsewhere) = (Some(centre), Some(best));
    look
}

impl Look {
    /// What is wrong, in one sentence, or nothing.
    pub fn fault(&self, max_residual: f64, max_wander: f64) -> Option<String> {
        if let Some(r) = self.residual.filter(|&r| r > max_residual) {
            return Some(format!(
                "the landmarks do not have the shape of faces: fitted to the template they are {r:.1} pixels off \
                 (median, in a 112-pixel crop; at most {max_residual} are accepted): are points in another order, or x and y swapped?"
            ));
        }
        if self.agreement? < COMPARABLE {
            return None;
        }
        let (wander, mean) = (self.wander?, self.wander_of_mean_position?);
        if wander > max_wander && wander > 0.8 * mean {
            return Some(format!(
                "the landmarks do not belong to these images: eyes lie {wander:.1} pixels from where the landmarks put them \
                 (median of {} images, in a 112-pixel crop; at most {max_wander} are accepted), while one mean position for all \
                 images leaves {mean:.1}: are they of another variant of the set (other crop, other alignment)?",
                self.images
            ));
        }
        let (eyes, best) = (self.eyes?, self.eyes_elsewhere?);
        if best > 0.5 && eyes < 0.1 * best {
            return Some(format!(
                "the landmarks are all off by the same amount: the mean crop of {} images shows no eyes where the landmarks \
                 put them, but does beside that place: are the images of another size than those that were marked?",
                self.images
            ));
        }
        None
    }
}

/// Landmarks as a part of width and height, or back.
fn scaled(points: &Points, image: &Pixels, to_parts: bool) -> Points {
    let side = [image.width as f32, image.height as f32];
    points.map(|p| [0, 1].map(|c| if to_parts { p[c] / side[c] } else { p[c] * side[c] }))
}

fn mean_position(sample: &[(Pixels, Points)]) -> Points {
    let mut mean = Points::default();
    for (image, points) in sample {
        let parts = scaled(points, image, true);
        for (m, v) in mean.as_flattened_mut().iter_mut().zip(parts.as_flattened()) {
            *m += v / sample.len() as f32;
        }
    }
    mean
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
