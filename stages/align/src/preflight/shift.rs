//! Landmarks of which a part was made for another cut of the pictures: moved, perhaps scaled, too.

use std::ops::RangeInclusive;

use lfs_faces::dataset::{Dataset, Points};
use lfs_faces::image::{Area, Part, decode_part};
use rayon::prelude::*;
use serde::Serialize;

use super::crops::{Grey, Typical};
use super::{SIDE, Sampled};
use crate::template::Layout;
use crate::transform::Similarity;
use crate::warp::warp;

/// A crop that agrees less than this with what most show (correlation around the eyes) may show something else than a face.
const ODD: f64 = 0.4;
/// A place that agrees more than this shows eyes.
const EYES: f64 = 0.5;
/// By how much it must agree better than the place that the landmarks mark.
const GAIN: f64 = 0.3;
/// How far eyes are looked for, and in what steps, in pixels of a 112-pixel crop.
const REACH: i64 = 60;
const STEP: usize = 3;
/// Eyes that are nearer are no sign: heads are turned and lowered.
const NEAR: f64 = 9.0;
/// Images are moved alike when they are moved to within this distance.
const ALIKE: f64 = 6.0;
/// The share of images that may be moved alike, and their number. With right landmarks none of 400 are (LFW, CFP), with those of another
/// alignment of all images 13, with one in nine moved by 25 to 40 pixels or cut and scaled 28 and more.
const SHARE: f64 = 0.05;
const FEW: usize = 4;
/// By what landmarks may have to be scaled around their middle.
const FACTORS: [f64; 7] = [1.0, 0.7, 0.8, 0.9, 1.12, 1.25, 1.4];

/// Images whose landmarks fit when they are moved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moved {
    /// By what their landmarks have to be moved, about, in pixels of the picture: to the right and down.
    pub by: [f64; 2],
    /// By what they have to be scaled around their middle before, about.
    pub factor: f64,
    /// Their names.
    pub images: Vec<String>,
}

/// A move that shows eyes in an image.
struct Found {
    face: usize,
    by: [f64; 2],
    agreement: f64,
    /// Pixels of the crop for one of the picture.
    scale: f64,
}

/// The move that puts most of the odd images' landmarks right, when these are more than a few.
pub(super) fn other(dataset: &Dataset, sample: &[Sampled], crops: &[Grey]) -> Option<Moved> {
    let typical = Typical::of(crops)?;
    let odd: Vec<(&Sampled, f64)> = sample
        .iter()
        .zip(crops)
        .map(|(s, crop)| (s, typical.agreement(crop)))
        .filter(|(_, agreement)| *agreement < ODD)
        .collect();
    let enough = |n: usize| n >= FEW && n as f64 > SHARE * sample.len() as f64;
    if !enough(odd.len()) {
        return None;
    }
    let found: Vec<[Option<Found>; FACTORS.len()]> = odd
        .par_iter()
        .map(|(s, before)| {
            let picture = decode_part(dataset.face(s.face).image, &Area::ALL).ok();
            FACTORS.map(|factor| best(s, picture.as_ref()?, &typical, *before, factor))
        })
        .collect();
    // The largest group of each factor that are moved alike.
    let groups = (0..FACTORS.len()).map(|k| {
        let all: Vec<&Found> = found.iter().filter_map(|f| f[k].as_ref()).collect();
        let around = |middle: &&Found| -> Vec<&Found> {
            let near = |f: &&&Found| {
                let [dx, dy] = [f.by[0] - middle.by[0], f.by[1] - middle.by[1]];
                dx.hypot(dy) * middle.scale <= ALIKE
            };
            all.iter().filter(near).copied().collect()
        };
        let group = all.iter().map(around).max_by_key(Vec::len).unwrap_or_default();
        (FACTORS[k], group)
    });
    let groups: Vec<(f64, Vec<&Found>)> = groups.collect();
    let largest = groups.iter().map(|g| g.1.len()).max().filter(|n| enough(*n))?;
    // Of the factors that explain about as many, the one at which eyes show best.
    let mean = |group: &[&Found]| group.iter().map(|f| f.agreement).sum::<f64>() / group.len() as f64;
    let (factor, group) = groups
        .into_iter()
        .filter(|g| 3 * g.1.len() >= 2 * largest)
        .max_by(|a, b| mean(&a.1).total_cmp(&mean(&b.1)))?;
    let by = [0, 1].map(|c| {
        let mean = group.iter().map(|f| f.by[c]).sum::<f64>() / group.len() as f64;
        mean.round()
    });
    let images = group.iter().map(|f| dataset.face(f.face).name.to_owned()).collect();
    Some(Moved { by, factor, images })
}

/// Where eyes show best around where landmarks that are scaled put them; none where they show nowhere, or nearby.
fn best(s: &Sampled, picture: &Part, typical: &Typical, before: f64, factor: f64) -> Option<Found> {
    let middle = [0, 1].map(|c| s.points.iter().map(|p| f64::from(p[c])).sum::<f64>() / 5.0);
    let points: Points =
        s.points.map(|p| [0, 1].map(|c| ((f64::from(p[c]) - middle[c]) * factor + middle[c]) as f32));
    let fit = Similarity::fit(&points, &Layout::square(SIDE).points)?;
    let wide = Similarity { tx: fit.tx + REACH as f64, ty: fit.ty + REACH as f64, ..fit };
    let side = SIDE + 2 * REACH as u32;
    let crop = Grey::new(&warp(picture, &wide, side, side)?);
    let mut most = (f64::MIN, 0, 0);
    let mut look = |columns: RangeInclusive<i64>, rows: RangeInclusive<i64>, step: usize| {
        for dy in rows.step_by(step) {
            for dx in columns.clone().step_by(step) {
                let agreement = typical.agreement_at(&crop, REACH + dx, REACH + dy);
                if agreement > most.0 {
                    most = (agreement, dx, dy);
                }
            }
        }
        most
    };
    let (_, x, y) = look(-REACH..=REACH, -REACH..=REACH, STEP);
    let most = look(x - 2..=x + 2, y - 2..=y + 2, 1);
    let (agreement, dx, dy) = (most.0, most.1 as f64, most.2 as f64);
    let shows = agreement > EYES && agreement > before + GAIN && dx.hypot(dy) > NEAR;
    // From the crop back to the picture, without the translation.
    let n = fit.a * fit.a + fit.b * fit.b;
    let by = [(fit.a * dx + fit.b * dy) / n, (fit.a * dy - fit.b * dx) / n];
    shows.then(|| Found { face: s.face, by, agreement, scale: fit.scale() })
}
