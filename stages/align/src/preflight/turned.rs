//! Detects that part of the landmarks are of another variant of the set, whose pictures were turned differently.
//!
//! In a set whose faces were brought upright, few landmarks are turned. If they are right, the picture is turned, too: the crop
//! agrees better with other crops when it is aligned by them. If most of them are not right, the landmarks are of pictures that
//! were turned differently.

use rayon::prelude::*;
use serde::Serialize;

use lfs_faces::dataset::Dataset;
use lfs_faces::image::decode_part;

use super::SIDE;
use super::crops::{FACE, Grey, Typical};
use crate::template::Layout;
use crate::transform::Similarity;
use crate::warp::{needed, warp};

// Angles are compared by their sines, which avoids functions whose last bits depend on the machine.

/// The maximum spread of angles (1.4826 times the median absolute deviation) in a set of upright faces: 4 degrees. LFW's
/// deep-funnelled pictures have 1.8, CFP's frontal ones 3.3, unprocessed photographs 5 to 6.
const UPRIGHT: f64 = 0.07;
/// A head counts as turned if its angle differs from the median by this multiple of the spread, and by at least 2.5 degrees.
const FAR: f64 = 2.5;
const LEAST: f64 = 0.0436;
/// The number of heads in the sample, and the minimum for a verdict.
const SAMPLE: usize = 400;
const ENOUGH: usize = 40;
/// At least one in so many images must be turned: a few bad rows among very many are no other variant.
const PART: usize = 50;
/// The share of turned heads that may look as upright as the others. LFW's own landmarks, which have errors of a degree or two,
/// have 0.46, and so have those of MTCNN; CFP's have 0.01. With a tenth of LFW's landmarks from before funnelling it is 0.65, with
/// three tenths 0.80.
const SHARE: f64 = 0.53;

/// Heads with turned landmarks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Turned {
    /// The number of examined heads.
    pub images: usize,
    /// The threshold in degrees, relative to the median of all.
    pub degrees: f64,
    /// The number of them that look as upright as the others.
    pub upright: usize,
}

impl Turned {
    /// Whether more heads look upright than chance explains (two standard errors).
    pub(super) fn too_many(&self) -> bool {
        let n = self.images as f64;
        let share = self.upright as f64 / n;
        self.images >= ENOUGH && share - 2.0 * (share * (1.0 - share) / n).sqrt() > SHARE
    }
}

/// Examines heads with turned landmarks. `sines`: rows of the data set with the sine of each angle; `crops`: those of a sample of
/// all rows. None if faces were not brought upright, or too few are turned.
pub(super) fn turned(dataset: &Dataset, sines: &[(u32, f32)], crops: &[Grey]) -> Option<Turned> {
    let middle = |mut values: Vec<f32>| {
        values.sort_by(f32::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let median = middle(sines.iter().map(|a| a.1).collect())?;
    let spread = f64::from(middle(sines.iter().map(|a| (a.1 - median).abs()).collect())?) * 1.4826;
    if spread > UPRIGHT {
        return None;
    }
    let far = (FAR * spread).max(LEAST);
    let turned = |a: &&(u32, f32)| f64::from((a.1 - median).abs()) > far;
    let all: Vec<u32> = sines.iter().filter(turned).map(|a| a.0).collect();
    let n = all.len().min(SAMPLE);
    if n < ENOUGH || all.len() * PART < sines.len() {
        return None;
    }
    let typical = Typical::in_window(FACE, crops)?;
    let layout = Layout::square(SIDE);
    let nose = layout.points[2];
    let looks_upright = |k: usize| -> Option<bool> {
        let face = dataset.face(all[k * all.len() / n] as usize);
        let points = face.points?;
        let fit = Similarity::fit(&points, &layout.points)?;
        // The same transform with the median angle.
        let upright = fit.turned_to(f64::from(median), nose)?;
        let both = needed(&fit, SIDE, SIDE)?.with(&needed(&upright, SIDE, SIDE)?);
        let picture = decode_part(face.image, &both).ok()?;
        let agreement = |fit: &Similarity| {
            warp(&picture, fit, SIDE, SIDE).map(|crop| typical.best_agreement(&Grey::new(&crop)))
        };
        Some(agreement(&upright)? > agreement(&fit)?)
    };
    let looks: Vec<bool> = (0..n).into_par_iter().filter_map(looks_upright).collect();
    let upright = looks.iter().filter(|l| **l).count();
    // The sine of a small angle is about the angle.
    Some(Turned { images: looks.len(), degrees: far.to_degrees(), upright })
}
