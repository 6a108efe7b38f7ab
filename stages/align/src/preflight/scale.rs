//! Detects that part of the landmarks were made for another size.

use rayon::prelude::*;
use serde::Serialize;

use lfs_faces::dataset::Dataset;
use lfs_faces::image::{Area, Part, decode_part};

use super::crops::{Grey, Typical};
use super::{Sampled, cut};

/// A crop with less agreement than this (correlation with the typical crop around the eyes) may be a non-face.
const ODD: f64 = 0.4;
/// A crop with more agreement than this has eyes in the right place.
const EYES: f64 = 0.5;
/// The minimum improvement of the agreement by a factor.
const GAIN: f64 = 0.3;
/// The share and the number of images that may fit at one other scale. With right landmarks 0 to 0.3 % do (LFW, CFP; at a quarter
/// of the size, with noise of a tenth of the face); with one in seven at another scale, 8 % or more do.
const SHARE: f64 = 0.03;
const FEW: usize = 3;
/// The factors are `STEP^k` for `k` of `2..=STEPS`, and their reciprocals: 0.39 to 0.89 and 1.12 to 2.54.
const STEP: f64 = 1.06;
const STEPS: i32 = 16;

/// Images whose landmarks fit at another scale.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Other {
    /// The approximate factor by which their landmarks must be multiplied.
    pub factor: f64,
    /// Their names.
    pub images: Vec<String>,
}

/// The factor that corrects the landmarks of most odd images, if these are more than a few.
pub(super) fn other(dataset: &Dataset, sample: &[Sampled], crops: &[Grey]) -> Option<Other> {
    let typical = Typical::of(crops)?;
    let odd: Vec<(&Sampled, f64)> = sample
        .iter()
        .zip(crops)
        .map(|(s, crop)| (s, typical.agreement(crop)))
        .filter(|(_, agreement)| *agreement < ODD)
        .collect();
    let factors: Vec<f64> = (-STEPS..=STEPS).filter(|k| k.abs() > 1).map(|k| STEP.powi(k)).collect();
    let fits = |s: &Sampled, picture: &Part, before: f64, factor: f64| {
        let points = s.points.map(|p| p.map(|v| (f64::from(v) * factor) as f32));
        let agreement = cut(picture, &points).map(|crop| typical.agreement(&crop));
        agreement.is_some_and(|now| now > EYES && now > before + GAIN)
    };
    // For each odd image, the factors that correct it.
    let found: Vec<Vec<bool>> = odd
        .par_iter()
        .map(|(s, before)| {
            let picture = decode_part(dataset.face(s.face).image, &Area::ALL);
            let one = |factor: &f64| picture.as_ref().is_ok_and(|p| fits(s, p, *before, *factor));
            factors.iter().map(one).collect()
        })
        .collect();
    let images = |k: usize| odd.iter().zip(&found).filter(move |(_, fits)| fits[k]).map(|((s, _), _)| s.face);
    let best = (0..factors.len()).max_by_key(|&k| images(k).count())?;
    let n = images(best).count();
    (n >= FEW && n as f64 > SHARE * sample.len() as f64).then(|| Other {
        factor: factors[best],
        images: images(best).map(|face| dataset.face(face).name.to_owned()).collect(),
    })
}
