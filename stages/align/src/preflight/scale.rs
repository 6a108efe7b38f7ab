//! Landmarks of which a part was made for another size.

use rayon::prelude::*;
use serde::Serialize;

use super::crops::{Grey, Typical};
use super::{Sampled, cut};

/// A crop that agrees less than this with what most show (correlation around the eyes) may show something else than a face.
const ODD: f64 = 0.4;
/// A crop that agrees more than this shows eyes where they should be.
const EYES: f64 = 0.5;
/// By how much a factor must better the agreement of a crop.
const GAIN: f64 = 0.3;
/// The share of images that may fit at one other scale, and their number. With right landmarks 0 to 0.3 % do (LFW, CFP; at a quarter
/// of the size, with noise of a tenth of the face), with one in seven of another scale 8 % and more.
const SHARE: f64 = 0.03;
const FEW: usize = 3;
/// The factors are `STEP^k` for `k` of `2..=STEPS`, and their reciprocals: 0.39 to 0.89 and 1.12 to 2.54.
const STEP: f64 = 1.06;
const STEPS: i32 = 16;

/// Images whose landmarks fit at another scale.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Other {
    /// What their landmarks have to be multiplied by, about.
    pub factor: f64,
    /// Their names.
    pub images: Vec<String>,
}

/// The factor that puts most of the odd images' landmarks right, when these are more than a few.
pub(super) fn other(sample: &[&Sampled], crops: &[Grey], name: impl Fn(usize) -> String) -> Option<Other> {
    let typical = Typical::of(crops)?;
    let odd: Vec<(&Sampled, f64)> = sample
        .iter()
        .zip(crops)
        .map(|(s, crop)| (*s, typical.agreement(crop)))
        .filter(|(_, agreement)| *agreement < ODD)
        .collect();
    let factors: Vec<f64> = (-STEPS..=STEPS).filter(|k| k.abs() > 1).map(|k| STEP.powi(k)).collect();
    let fits = |s: &Sampled, before: f64, factor: f64| {
        let points = s.points.map(|p| p.map(|v| (f64::from(v) * factor) as f32));
        let agreement = cut(&s.pixels, &points).map(|crop| typical.agreement(&crop));
        agreement.is_some_and(|now| now > EYES && now > before + GAIN)
    };
    let found: Vec<Vec<usize>> = factors
        .par_iter()
        .map(|&factor| {
            odd.iter().filter(|(s, before)| fits(s, *before, factor)).map(|(s, _)| s.face).collect()
        })
        .collect();
    let (factor, images) = factors.into_iter().zip(found).max_by_key(|(_, images)| images.len())?;
    (images.len() >= FEW && images.len() as f64 > SHARE * sample.len() as f64)
        .then(|| Other { factor, images: images.into_iter().map(name).collect() })
}
