//! Turns the estimates into a score and a reason for each image.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::rounds::Belief;
use super::space::{Folders, Space, dot};
use super::state::NONE;

/// What is wrong with an image's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    /// It belongs to another identity.
    Flip,
    /// It belongs to the identity most similar to its own.
    LookAlike,
    /// It belongs to another identity, together with a large part of its folder.
    Merged,
    /// It resembles no identity of the set.
    Stranger,
    /// It resembles no identity, and its embedding is as short as those of pictures without a face.
    NonFace,
}

impl Doubt {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flip => "label-flip",
            Self::LookAlike => "look-alike-flip",
            Self::Merged => "merged-folder",
            Self::Stranger => "stranger",
            Self::NonFace => "non-face",
        }
    }

    /// Whether another identity of the set is the right one.
    pub(crate) fn is_elsewhere(self) -> bool {
        matches!(self, Self::Flip | Self::LookAlike | Self::Merged)
    }
}

/// The judgement of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Judged {
    /// The probability that the label is wrong.
    pub(crate) score: f64,
    pub(crate) doubt: Option<Doubt>,
    /// The most likely other identity.
    pub(crate) other: Option<u32>,
    /// The cosine to the rest of its own identity; none if it is alone.
    pub(crate) own_cosine: Option<f64>,
    /// The cosine to the other identity.
    pub(crate) other_cosine: Option<f64>,
    /// The number of images with its label.
    pub(crate) images: usize,
}

/// At most this share of trusted images is called strangers because of their distance alone.
const FAR: f64 = 0.001;
/// An image is a stranger because of its distance if its best cosine is below this quantile of the cosines of
/// trusted images to their best other identity.
const SOMEBODY: f64 = 0.1;
/// An embedding is short if its length is this many standard deviations below the median (estimated from the
/// median absolute deviation).
const SHORT: f64 = 3.0;
/// A folder is merged from this many images, and this share of the folder, with the same destination.
const MERGED: (usize, f64) = (3, 0.25);
/// With fewer trusted images, strangers are not judged.
const ENOUGH: usize = 20;

pub(crate) fn verdict(
    space: &Space<'_>,
    labels: &[u32],
    classes: usize,
    belief: &Belief,
    sure: f64,
) -> Vec<Judged> {
    let folders = Folders::new(labels, classes);
    let cosine = |i: usize, class: u32, share: f64| cosine(space, belief, i, class, share);
    let mut judged: Vec<Judged> = (0..space.len())
        .into_par_iter()
        .map(|i| {
            let other = Some(belief.other[i]).filter(|c| *c != NONE);
            let at = other.and_then(|c| belief.state.others(i).iter().position(|o| *o == c));
            let share = at.map_or(0.0, |k| f64::from(belief.state.share(i)[1 + k]));
            Judged {
                score: (1.0 - belief.state.own(i)).clamp(0.0, 1.0),
                doubt: None,
                other,
                own_cosine: cosine(i, labels[i], belief.state.own(i)),
                other_cosine: other.and_then(|c| cosine(i, c, share)),
                images: folders.rows(labels[i] as usize).len(),
            }
        })
        .collect();
    let bounds = Bounds::new(space, &judged);
    let mut to: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for (i, j) in judged.iter_mut().enumerate() {
        let nearest = j.own_cosine.into_iter().chain(j.other_cosine).fold(f64::NEG_INFINITY, f64::max);
        if j.score >= sure {
            let elsewhere = j.other_cosine.is_some_and(|c| c >= bounds.same);
            j.doubt = Some(if elsewhere { Doubt::Flip } else { Doubt::Stranger });
        } else if j.own_cosine.is_some() && nearest < bounds.nobody {
            j.doubt = Some(Doubt::Stranger);
            j.score = j.score.max(sure + (1.0 - sure) * (bounds.nobody - nearest) / (1.0 + bounds.nobody));
        }
        if j.doubt == Some(Doubt::Stranger) && space.norm(i) < bounds.short {
            j.doubt = Some(Doubt::NonFace);
        }
        if let (Some(Doubt::Flip), Some(other)) = (j.doubt, j.other) {
            *to.entry((labels[i], other)).or_default() += 1;
        }
    }
    let alike = alike(&judged, &folders, sure);
    for (j, &y) in judged.iter_mut().zip(labels) {
        if let (Some(Doubt::Flip), Some(other)) = (j.doubt, j.other) {
            let count = to.get(&(y, other)).copied().unwrap_or(0);
            if count >= MERGED.0 && count as f64 >= MERGED.1 * j.images as f64 {
                j.doubt = Some(Doubt::Merged);
            } else if alike[y as usize] == other {
                j.doubt = Some(Doubt::LookAlike);
            }
        }
    }
    judged
}

/// The cosine of an image to the images of an identity, without its own share in it; none if nothing remains.
fn cosine(space: &Space<'_>, belief: &Belief, i: usize, class: u32, share: f64) -> Option<f64> {
    let left = belief.sums.count[class as usize] - share;
    if left < 0.5 {
        return None;
    }
    let mut row = vec![0.0; space.width()];
    space.row(i, &mut row);
    let mut centre: Vec<f64> = belief
        .sums
        .of(class)
        .iter()
        .zip(&row)
        .zip(&space.mean)
        .map(|((s, z), m)| s - share * z + left * m)
        .collect();
    let norm = dot(&centre, &centre).sqrt();
    if norm == 0.0 {
        return None;
    }
    centre.iter_mut().for_each(|x| *x /= norm);
    row.iter_mut().zip(&space.mean).for_each(|(x, m)| *x += m);
    Some(dot(&row, &centre).clamp(-1.0, 1.0))
}

/// For each identity, the most frequent second-best identity of its trusted images; [`NONE`] if there are
/// none.
fn alike(judged: &[Judged], folders: &Folders, sure: f64) -> Vec<u32> {
    let of = |c: usize| {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for j in folders.rows(c).iter().map(|&i| &judged[i as usize]).filter(|j| j.score < sure) {
            if let Some(other) = j.other {
                *counts.entry(other).or_default() += 1;
            }
        }
        counts.into_iter().fold((NONE, 0), |best, (c, n)| if n > best.1 { (c, n) } else { best }).0
    };
    (0..folders.len()).into_par_iter().map(of).collect()
}

/// Bounds from the distributions of cosines and lengths.
struct Bounds {
    /// The cosine from which an image matches an identity: the share of trusted images below it equals the
    /// share of best other identities above it.
    same: f64,
    /// An image whose largest cosine is below this matches no identity.
    nobody: f64,
    /// An embedding shorter than this may show no face.
    short: f64,
}

impl Bounds {
    fn new(space: &Space<'_>, judged: &[Judged]) -> Self {
        let trusted = || judged.iter().enumerate().filter(|(_, j)| j.score < 0.5 && j.own_cosine.is_some());
        let sorted = |mut values: Vec<f64>| {
            values.sort_unstable_by(f64::total_cmp);
            values
        };
        let own = sorted(trusted().filter_map(|(_, j)| j.own_cosine).collect());
        let other = sorted(trusted().filter_map(|(_, j)| j.other_cosine).collect());
        let norms = sorted(trusted().map(|(i, _)| space.norm(i)).collect());
        if own.len() < ENOUGH || other.len() < ENOUGH {
            return Self { same: f64::NEG_INFINITY, nobody: f64::NEG_INFINITY, short: 0.0 };
        }
        let above = |t: f64| (other.len() - other.partition_point(|x| *x < t)) as f64 / other.len() as f64;
        let crossing = (0..own.len()).find(|&k| k as f64 / own.len() as f64 >= above(own[k]));
        let same = crossing.map_or(own[0], |k| own[k]);
        let median = |v: &[f64]| v[v.len() / 2];
        let at = |v: &[f64], part: f64| v[(part * v.len() as f64) as usize];
        let nobody = at(&other, SOMEBODY).min(at(&own, FAR));
        let middle = median(&norms);
        let off = median(&sorted(norms.iter().map(|x| (x - middle).abs()).collect()));
        // Normalised rows carry no information in their lengths.
        let short = if off > 1e-4 * middle { middle - SHORT * 1.4826 * off } else { 0.0 };
        Self { same, nobody, short }
    }
}
