//! The figures of a data set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The figures of a data set; `description.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The name, if the parameters give one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The format of the container or list.
    pub format: String,
    /// The number of images, including those that cannot be decoded.
    pub images: u64,
    /// The number of identities; none if no image has one.
    pub identities: Option<u64>,
    /// The number of pairs of a verification set.
    pub pairs: u64,
    /// The number of genuine pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs_of_one_person: Option<u64>,
    /// The number of images that cannot be decoded.
    pub unreadable: u64,
    /// The size of all images in bytes.
    pub bytes: u64,
    /// The number of images with five landmarks.
    pub landmarks: u64,
    /// The distribution of images per identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_per_identity: Option<Spread>,
    /// The distribution of widths in pixels, of the images that can be decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widths: Option<Spread>,
    /// The distribution of heights in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heights: Option<Spread>,
    /// The number of images of each group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, u64>,
    /// The number of images of each encoding.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub encodings: BTreeMap<String, u64>,
    /// How unequally images are distributed among identities: the Gini coefficient, from 0 (equal) to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imbalance: Option<f64>,
    /// The number of images that are byte for byte equal to an earlier image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<Duplicates>,
    /// `rgb`, `bgr` (red and blue seem to be exchanged), `grey`, or `unknown`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub colour_order: String,
    /// The number of rows and columns of a matrix, or of the only array of a MATLAB file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<[u64; 2]>,
    /// The licence, if the parameters give one.
    pub licence: Option<String>,
    /// The origin, if the parameters give one.
    pub source: Option<String>,
    /// BLAKE3 over the names, identities and digests of all images in order: the same content has the same digest in any container.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Further information, by title.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
    /// Images that cannot be decoded, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable_images: Vec<Odd>,
    /// Entries that are no images, with the reason why they were skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<Odd>,
}

/// An entry with a defect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Odd {
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub why: String,
}

/// Numbers of exact duplicates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Duplicates of an image of the same identity.
    pub within_identities: u64,
    /// Duplicates of an image of another identity.
    pub across_identities: u64,
}

/// The distribution of a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The minimum.
    pub min: u64,
    /// The median; of an even number of values, the lower of the two.
    pub median: u64,
    /// The mean.
    pub mean: f64,
    /// The maximum.
    pub max: u64,
    /// How many values are 1.
    pub ones: u64,
    /// The bins of the histogram: from, to (both inclusive), count.
    pub histogram: Vec<[u64; 3]>,
}

/// The maximum number of bins.
const BARS: u64 = 24;

impl Spread {
    /// The distribution of values; none without values.
    pub fn of(mut all: Vec<u64>) -> Option<Self> {
        all.sort_unstable();
        let (min, max) = (*all.first()?, *all.last()?);
        let wide = (max - min) / BARS + 1;
        let mut histogram = Vec::new();
        let mut from = min;
        while from <= max {
            let to = from.saturating_add(wide - 1);
            let (below, upto) = (all.partition_point(|x| *x < from), all.partition_point(|x| *x <= to));
            histogram.push([from, to.min(max), (upto - below) as u64]);
            let Some(next) = from.checked_add(wide) else { break };
            from = next;
        }
        let sum: u128 = all.iter().map(|x| u128::from(*x)).sum();
        Some(Self {
            min,
            median: all[(all.len() - 1) / 2],
            mean: sum as f64 / all.len() as f64,
            max,
            ones: all.iter().filter(|x| **x == 1).count() as u64,
            histogram,
        })
    }
}

/// The Gini coefficient of counts, 0 if all are equal (C. Gini, 1912; over sorted counts x_i: (2 sum i x_i / (n sum x)) - (n + 1) /
/// n).
pub fn gini(counts: &[u64]) -> Option<f64> {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let (n, sum) = (sorted.len() as f64, sorted.iter().sum::<u64>() as f64);
    if sum == 0.0 {
        return None;
    }
    let weighted: f64 = sorted.iter().zip(1_u64..).map(|(x, i)| *x as f64 * i as f64).sum();
    Some((2.0 * weighted / (n * sum) - (n + 1.0) / n).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_over_bars_that_hold_all_of_them() {
        for all in [vec![5], vec![1, 1, 2, 9], (0..1000).collect(), vec![0, u64::MAX]] {
            let n = all.len() as u64;
            let spread = Spread::of(all).unwrap();
            assert_eq!(spread.histogram.iter().map(|b| b[2]).sum::<u64>(), n);
            assert!(spread.histogram.len() as u64 <= BARS + 1);
        }
        assert_eq!(Spread::of(vec![1, 1, 2, 9]).unwrap().median, 1);
        assert_eq!(Spread::of(vec![]), None);
    }

    #[test]
    fn shares_are_equal_or_one_has_all() {
        assert_eq!(gini(&[4, 4, 4]), Some(0.0));
        assert!((gini(&[0, 0, 0, 8]).unwrap() - 0.75).abs() < 1e-12);
        assert_eq!(gini(&[]), None);
    }
}
