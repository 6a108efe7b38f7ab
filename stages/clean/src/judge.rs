//! Decides which images are dropped, and why.

use std::collections::HashMap;

use lfs_faces::dataset::{Dataset, FaceRef};
use lfs_faces::image::decode;
use lfs_rows::Digest;
use serde::{Deserialize, Serialize};

use crate::hash::{Hasher, Look};
use crate::labels::Doubt;
use crate::near::near;
use crate::options::{Near, Options};
use crate::sharpness::sharpness;

/// Why an image is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    Undecodable,
    TooSmall,
    ExactDuplicate,
    NearDuplicate,
    Label(Doubt),
    Blur,
    Decided,
    TooFewImages,
}

impl Reason {
    pub(crate) const ALL: [Self; 12] = [
        Self::Undecodable,
        Self::TooSmall,
        Self::ExactDuplicate,
        Self::NearDuplicate,
        Self::Label(Doubt::Flip),
        Self::Label(Doubt::LookAlike),
        Self::Label(Doubt::Merged),
        Self::Label(Doubt::Stranger),
        Self::Label(Doubt::NonFace),
        Self::Blur,
        Self::Decided,
        Self::TooFewImages,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::TooSmall => "too-small",
            Self::ExactDuplicate => "exact-duplicate",
            Self::NearDuplicate => "near-duplicate",
            Self::Label(doubt) => doubt.name(),
            Self::Blur => "blur",
            Self::Decided => "decided",
            Self::TooFewImages => "too-few-images",
        }
    }
}

/// The measurements of an image.
#[derive(Serialize, Deserialize)]
#[serde(tag = "seen", rename_all = "kebab-case")]
pub(crate) enum Seen {
    Picture { width: u32, height: u32, content: Digest, look: Look, sharpness: f64 },
    Broken { why: String },
}

pub(crate) fn see(hasher: &Hasher, face: &FaceRef<'_>) -> Seen {
    match decode(face.image) {
        Ok(p) => Seen::Picture {
            width: p.width,
            height: p.height,
            content: Digest::of(face.image),
            look: hasher.look(&p, face.points.as_ref()),
            sharpness: sharpness(&p),
        },
        Err(e) => Seen::Broken { why: e.to_string() },
    }
}

/// The verdict on a data set.
#[derive(Default)]
pub(crate) struct Verdict {
    /// For each row: the reason for dropping it, and a detail.
    pub(crate) dropped: Vec<Option<(Reason, String)>>,
    /// For each row: the identity to which it is relabelled.
    pub(crate) moved: Vec<Option<u32>>,
    /// The number of near-duplicates within an identity that are kept.
    pub(crate) near_kept: usize,
    /// Pairs of rows that are near-duplicates under two identities, with their distance.
    pub(crate) across: Vec<(usize, usize, u32)>,
    /// Whether the list of these pairs was truncated.
    pub(crate) across_cut: bool,
}

/// Judges every image. `is_apart`: pairs that are known to be no duplicates. `extra`: further judgements,
/// made before identities with too few images are dropped. `spared`: images that the user keeps.
pub(crate) fn judge(
    options: &Options,
    dataset: &Dataset,
    seen: &[Seen],
    pool: &rayon::ThreadPool,
    is_apart: &(dyn Fn(usize, usize) -> bool + Sync),
    extra: &mut dyn FnMut(&mut Verdict),
    spared: &dyn Fn(usize) -> bool,
) -> Verdict {
    let mut verdict =
        Verdict { dropped: vec![None; seen.len()], moved: vec![None; seen.len()], ..Verdict::default() };
    let mut first: HashMap<Digest, usize> = HashMap::new();
    for (i, seen) in seen.iter().enumerate() {
        verdict.dropped[i] = match seen {
            Seen::Broken { why } => Some((Reason::Undecodable, why.clone())),
            Seen::Picture { width, height, .. } if *width.min(height) < options.min_side => Some((
                Reason::TooSmall,
                format!("{width}x{height} pixels, at least {} wanted", options.min_side),
            )),
            Seen::Picture { content, .. } if options.exact_duplicates => match first.get(content) {
                None => {
                    first.insert(*content, i);
                    None
                }
                Some(&k) => Some((Reason::ExactDuplicate, format!("of {}", dataset.face(k).name))),
            },
            Seen::Picture { .. } => None,
        };
    }
    if options.near_duplicates != Near::Off {
        pool.install(|| near(options, dataset, seen, is_apart, &mut verdict));
    }
    extra(&mut verdict);
    too_few(options, dataset, &mut verdict, spared);
    let kept = |i: &usize| verdict.dropped[*i].is_none();
    verdict.across =
        std::mem::take(&mut verdict.across).into_iter().filter(|(i, j, _)| kept(i) && kept(j)).collect();
    verdict
}

fn too_few(options: &Options, dataset: &Dataset, verdict: &mut Verdict, spared: &dyn Fn(usize) -> bool) {
    let mut counts = vec![0_u32; dataset.info().identities.len()];
    for i in (0..dataset.len()).filter(|&i| verdict.dropped[i].is_none()) {
        counts[verdict.moved[i].unwrap_or(dataset.face(i).identity) as usize] += 1;
    }
    for i in 0..dataset.len() {
        let count = counts[verdict.moved[i].unwrap_or(dataset.face(i).identity) as usize];
        if verdict.dropped[i].is_none() && !spared(i) && count < options.min_images {
            let detail = format!("the identity keeps {count}, at least {} wanted", options.min_images);
            verdict.dropped[i] = Some((Reason::TooFewImages, detail));
        }
    }
}
