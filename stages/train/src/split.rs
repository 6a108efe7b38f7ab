//! Splits identities into training and held-out ones, and makes pairs for the reward.

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
    /// The number of classes.
    pub classes: usize,
}

/// A pair of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// A row of the dataset.
    pub a: usize,
    /// Another row of the dataset.
    pub b: usize,
    /// Whether both show the same identity.
    pub same: bool,
}

/// The identities, by number, that are held out of training.
///
/// They are those with the lowest digests of their names, among identities with at least two images. So the
/// choice depends neither on seed nor method, and hardly changes when identities are added or removed.
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

/// All rows except those of the identities in `out`, which is sorted.
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

/// The order of the images in an epoch, as indices into `training.rows`. With `images_per_identity` above 1,
/// that many images of an identity are adjacent. Of identities with fewer images some are repeated, and those
/// with a single image are left out.
///
/// # Errors
/// When images of an identity must be adjacent, but fewer than two identities have several.
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
    of.retain(|images| images.len() >= 2);
    if of.len() < 2 {
        return Err(Failure::new(format!(
            "this method compares images of one identity with those of others, but {} of {} identities have two or more",
            of.len(),
            training.classes
        ))
        .help("train on identities with several images, or with another method"));
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for images in &of {
        for part in images.chunks(images_per_identity) {
            groups
                .push(part.iter().chain(images.iter().cycle()).take(images_per_identity).copied().collect());
        }
    }
    groups.shuffle(random);
    Ok(groups.concat())
}

/// The classes that a step uses, in rising order: those of its images, and random others up to the share.
pub fn sample(labels: &[i64], classes: usize, share: f64, random: &mut impl rand::Rng) -> Vec<i64> {
    let wanted = ((classes as f64 * share).ceil() as usize).clamp(2.min(classes), classes);
    let mut chosen: std::collections::BTreeSet<i64> = labels.iter().copied().collect();
    let others = wanted.saturating_sub(chosen.len());
    let free: Vec<i64> = (0..classes as i64).filter(|class| !chosen.contains(class)).collect();
    chosen.extend(free.choose_multiple(random, others));
    chosen.into_iter().collect()
}

/// At most `most` pairs of the rows of these identities, half of them of the same identity, in a random order
/// that depends only on the rows.
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
    // Same and different pairs alternate, so that every fold has as many of each.
    Ok(same.into_iter().zip(different).flat_map(|(s, d)| [s, d]).collect())
}

/// The number of folds of the verification accuracy.
pub const FOLDS: usize = 10;

/// Up to `count` distinct pairs of two identities each.
fn different(groups: &[Vec<usize>], count: usize, random: &mut impl rand::Rng) -> Vec<Pair> {
    let mut found = std::collections::BTreeSet::new();
    let mut out = Vec::new();
    let group_of: Vec<(usize, usize)> =
        groups.iter().enumerate().flat_map(|(g, rows)| rows.iter().map(move |row| (g, *row))).collect();
    // Nearly all draws are new unless there are very few images. The bound prevents an endless loop for
    // those.
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

/// The number of images of each identity.
fn counts(crops: &Crops) -> Vec<usize> {
    let highest = crops.identities.iter().max().map_or(0, |i| *i as usize + 1);
    let mut counts = vec![0; highest.max(crops.names.len())];
    crops.identities.iter().for_each(|i| counts[*i as usize] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// The order of images with these labels, four of an identity side by side.
    fn ordered(labels: &[i64], classes: usize) -> Result<Vec<usize>> {
        let training = Training { rows: (0..labels.len()).collect(), labels: labels.to_vec(), classes };
        order(&training, 4, &mut rand_chacha::ChaCha8Rng::seed_from_u64(1))
    }

    #[test]
    fn one_identity_with_several_images_has_no_negatives() {
        let why = ordered(&[0, 0, 0, 0, 0, 0, 0, 0, 1], 2).unwrap_err().message;
        assert!(why.contains("1 of 2 identities"), "{why}");
    }

    #[test]
    fn images_of_an_identity_are_adjacent_and_repeated_to_fill_their_place() {
        let labels = [0, 0, 1, 1, 1, 1, 2];
        let order = ordered(&labels, 3).unwrap();
        assert_eq!(order.len(), 8);
        for four in order.chunks(4) {
            assert!(four.iter().all(|i| labels[*i] == labels[four[0]] && labels[*i] != 2), "{order:?}");
        }
    }
}
