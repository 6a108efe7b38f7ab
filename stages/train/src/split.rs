//! Which identities are trained on, and which pairs of the others give the reward.

use lfs_network::crops::Crops;
use lfs_network::random::stream;
use lfs_stage::{Failure, Result};
use rand::seq::{IndexedRandom, SliceRandom};

/// A training set with its class labels, in dataset order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Training {
    /// Rows of the dataset.
    pub rows: Vec<usize>,
    /// The class of each row, from 0 without gaps.
    pub labels: Vec<i64>,
    /// How many classes there are.
    pub classes: usize,
}

/// Two images, and whether they show one identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// A row of the dataset.
    pub a: usize,
    /// Another one.
    pub b: usize,
    /// Whether both show the same identity.
    pub same: bool,
}

/// The identities, by number, that are held out of training.
///
/// They are the ones with the lowest digest of their names among those with at least two images. So the choice
/// depends neither on seed nor method, and hardly changes when identities come or go.
pub fn held_out(crops: &Crops, share: f64) -> Result<Vec<u32>> {
    let counts = counts(crops);
    let mut able: Vec<u32> = (0..counts.len() as u32).filter(|i| counts[*i as usize] >= 2).collect();
    let present = counts.iter().filter(|c| **c > 0).count();
    if share <= 0.0 {
        return Ok(Vec::new());
    }
    let wanted = ((present as f64 * share).round() as usize).max(2);
    if able.len() < wanted || present < wanted + 2 {
        return Err(Failure::new(format!(
            "holdout = {share} takes {wanted} identities with two images or more out of training, but of {present} \
             identities {} have as many",
            able.len()
        ))
        .help("train on more identities, set holdout = 0, or give the input `validation`"));
    }
    let digest = |i: &u32| {
        let name = crops.names.get(*i as usize).map(String::as_str).unwrap_or_default();
        *blake3::Hasher::new_derive_key("lfs-pipe held-out identities v1")
            .update(name.as_bytes())
            .finalize()
            .as_bytes()
    };
    able.sort_by_cached_key(|i| (digest(i), *i));
    able.truncate(wanted);
    able.sort_unstable();
    Ok(able)
}

/// All rows but those of the identities in `out`, which is sorted.
pub fn training(crops: &Crops, out: &[u32]) -> Result<Training> {
    let counts = counts(crops);
    let mut class = vec![-1_i64; counts.len()];
    let mut classes = 0;
    for (identity, count) in counts.iter().enumerate() {
        if *count > 0 && out.binary_search(&(identity as u32)).is_err() {
            class[identity] = classes as i64;
            classes += 1;
        }
    }
    if classes < 2 {
        return Err(Failure::new(format!(
            "training wants two identities or more, but the dataset has {classes}"
        )));
    }
    let label = |row: usize| class[crops.identities[row] as usize];
    let rows: Vec<usize> = (0..crops.len()).filter(|row| label(*row) >= 0).collect();
    let labels = rows.iter().map(|row| label(*row)).collect();
    Ok(Training { rows, labels, classes })
}

/// The order in which an epoch sees the images, as places in `training.rows`. With `images_per_identity` above 1, so many images of
/// an identity follow one another; one with fewer gives some of them twice, and one with a single image gives none.
///
/// # Errors
/// When no identity has two images, and images of one must be together.
pub fn order(
    training: &Training,
    images_per_identity: usize,
    random: &mut impl rand::Rng,
) -> Result<Vec<usize>> {
    let mut all: Vec<usize> = (0..training.rows.len()).collect();
    all.shuffle(random);
    if images_per_identity <= 1 {
        return Ok(all);
    }
    let mut of: Vec<Vec<usize>> = vec![Vec::new(); training.classes];
    for place in all {
        if let Some(of) = usize::try_from(training.labels[place]).ok().and_then(|label| of.get_mut(label)) {
            of.push(place);
        }
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for images in of.iter().filter(|images| images.len() >= 2) {
        for part in images.chunks(images_per_identity) {
            groups
                .push(part.iter().chain(images.iter().cycle()).take(images_per_identity).copied().collect());
        }
    }
    if groups.len() < 2 {
        return Err(Failure::new(format!(
            "this method compares images of one identity, but {} of {} identities have two or more",
            groups.len(),
            training.classes
        ))
        .help("train on identities with several images, or with another method"));
    }
    groups.shuffle(random);
    Ok(groups.concat())
}

/// The classes that a step looks at, rising: those of its images, and others to make up the share.
pub fn sample(labels: &[i64], classes: usize, share: f64, random: &mut impl rand::Rng) -> Vec<i64> {
    let wanted = ((classes as f64 * share).ceil() as usize).clamp(2.min(classes), classes);
    let mut chosen: std::collections::BTreeSet<i64> = labels.iter().copied().collect();
    let others = wanted.saturating_sub(chosen.len());
    let free: Vec<i64> = (0..classes as i64).filter(|class| !chosen.contains(class)).collect();
    chosen.extend(free.choose_multiple(random, others));
    chosen.into_iter().collect()
}

/// At most `most` pairs among the rows of these identities, half of them of one identity, in a random order that
/// depends on nothing but the rows.
pub fn pairs(crops: &Crops, identities: &[u32], most: usize) -> Result<Vec<Pair>> {
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); crops.names.len()];
    for (row, identity) in crops.identities.iter().enumerate() {
        if identities.binary_search(identity).is_ok()
            && let Some(group) = groups.get_mut(*identity as usize)
        {
            group.push(row);
        }
    }
    groups.retain(|group| !group.is_empty());
    let mut random = stream(0, "reward pairs", &[]);
    let mut same = Vec::new();
    for group in &groups {
        for (i, &a) in group.iter().enumerate() {
            same.extend(group[i + 1..].iter().map(|&b| Pair { a, b, same: true }));
        }
    }
    same.shuffle(&mut random);
    same.truncate(most / 2);
    let different = different(&groups, same.len(), &mut random);
    let count = same.len().min(different.len());
    if count < FOLDS {
        return Err(Failure::new(format!(
            "the images for the reward give {count} pairs of one identity and as many of two, but {FOLDS} of each \
             are needed"
        ))
        .help("hold out more identities, or give a larger input `validation`"));
    }
    // Same and different take turns, so that every fold has as many of either.
    Ok(same.into_iter().zip(different).flat_map(|(s, d)| [s, d]).collect())
}

/// Folds of the verification accuracy.
pub const FOLDS: usize = 10;

/// Up to `count` different pairs of two identities, each pair once.
fn different(groups: &[Vec<usize>], count: usize, random: &mut impl rand::Rng) -> Vec<Pair> {
    let mut found = std::collections::BTreeSet::new();
    let mut out = Vec::new();
    let group_of: Vec<(usize, usize)> =
        groups.iter().enumerate().flat_map(|(g, rows)| rows.iter().map(move |row| (g, *row))).collect();
    // Nearly all draws are new unless there are very few images; a bound keeps those few from looping for ever.
    for _ in 0..count * 50 {
        if out.len() == count || groups.len() < 2 {
            break;
        }
        let (g, a) = group_of[random.random_range(0..group_of.len())];
        let (h, b) = group_of[random.random_range(0..group_of.len())];
        let pair = (a.min(b), a.max(b));
        if g != h && found.insert(pair) {
            out.push(Pair { a: pair.0, b: pair.1, same: false });
        }
    }
    out
}

/// Images of each identity.
fn counts(crops: &Crops) -> Vec<usize> {
    let highest = crops.identities.iter().max().map_or(0, |i| *i as usize + 1);
    let mut counts = vec![0; highest.max(crops.names.len())];
    crops.identities.iter().for_each(|i| counts[*i as usize] += 1);
    counts
}
