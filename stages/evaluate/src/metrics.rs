//! `metrics.json`: what an evaluation found, with everything that is needed to compare it or not.
//!
//! ```text
//! { "protocol": "LFW View 2, ...",      the protocol in words
//!   "set": "lfw",                       the set, as the parameter names it
//!   "confidence": 0.95,                 of the intervals
//!   "columns": [                        one number each
//!     { "name": "LFW",                  the column's name in a table
//!       "definition": "exact",          numbers of different definitions are not comparable
//!       "flip": "none",                 what was done with the mirror image
//!       "value": 0.98,                  0 .. 1; null where it is not resolved
//!       "resolved": true,               false: fewer than 1 / FAR negatives
//!       "std": 0.004, "stderr": 0.001,  over folds, by the definition; null without folds
//!       "interval": [0.977, 0.983],     bootstrap over identities; null without
//!       "pairs": 6000, "listed": 6000,  scored, of so many in the list
//!       "positives": 3000, "negatives": 3000,
//!       "threshold": 0.31, "unit": "cosine" | "squared-distance",
//!       "far": 1e-6 } ],                the target, for TPR columns
//!   "details": { ... } }                see [`Details`]
//! ```

use std::fmt;

use lfs_faces::TestSet;
use lfs_stage::{Failure, Result};
use serde::{Deserialize, Serialize};

use crate::definition::{Definition, Unit};
use crate::score::Flip;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The protocol in words.
    pub protocol: String,
    /// The set.
    pub set: TestSet,
    /// The probability that the intervals are to cover.
    pub confidence: f64,
    /// The numbers.
    pub columns: Vec<Column>,
    /// What stands behind them.
    pub details: Details,
}

/// One number, with what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in a table: `LFW`, `RFW African`, `MegaFace rank-1`.
    pub name: String,
    /// How it was computed.
    pub definition: Definition,
    /// What was done with the mirror image: never `by-definition`.
    pub flip: Flip,
    /// 0 to 1; none where it is not resolved.
    pub value: Option<f64>,
    /// Whether there are enough negatives for the FAR.
    pub resolved: bool,
    /// The standard deviation over folds, as the definition has it.
    pub std: Option<f64>,
    /// The standard error: over folds where there are folds, else over bootstrap replicates.
    pub stderr: Option<f64>,
    /// The bootstrap interval over identities.
    pub interval: Option<[f64; 2]>,
    /// How many pairs were scored (for ranks: mate pairs).
    pub pairs: u64,
    /// How many the list has.
    pub listed: u64,
    /// How many pairs of one person are behind the number.
    pub positives: u64,
    /// How many pairs of two persons, or probes for an open-set FAR, are behind it.
    pub negatives: u64,
    /// The threshold; the mean over folds.
    pub threshold: Option<f64>,
    /// What the threshold is measured in.
    pub unit: Unit,
    /// The FAR that was asked for.
    pub far: Option<f64>,
}

/// What stands behind the numbers; parts that do not apply are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Whether the lists have the official size.
    pub official: bool,
    /// The test set whose accuracy the network's loss was chosen by, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_on: Option<String>,
    /// Counts of images: `probes`, `noisy-distractors`, `missing`.
    pub counts: std::collections::BTreeMap<String, u64>,
    /// The folds of each verification column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub folds: Vec<Folds>,
    /// RFW: error rates at thresholds common to all groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupRates>,
    /// RFW: standard deviation of the groups' accuracies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_std: Option<Figure>,
}

/// The folds of a verification column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Folds {
    /// The column.
    pub column: String,
    /// The accuracy of each.
    pub accuracy: Vec<f64>,
    /// The threshold of each.
    pub threshold: Vec<f64>,
    /// The pairs of each.
    pub pairs: Vec<u64>,
}

/// A figure with its bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The figure; none where it does not exist (a ratio to zero).
    pub value: Option<f64>,
    /// Its interval.
    pub interval: Option<[f64; 2]>,
}

/// Error rates of all groups at one threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRates {
    /// How the threshold was chosen, in words.
    pub rule: String,
    /// The definition: always [`Definition::GlobalThreshold`].
    pub definition: Definition,
    /// A pair is accepted above this cosine.
    pub threshold: f64,
    /// The groups.
    pub groups: Vec<OneGroup>,
    /// Largest minus least false match rate.
    pub false_match_gap: Figure,
    /// Largest over least false match rate.
    pub false_match_ratio: Figure,
    /// Largest minus least false non-match rate.
    pub false_non_match_gap: Figure,
    /// Largest over least false non-match rate.
    pub false_non_match_ratio: Figure,
}

/// Error rates of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneGroup {
    /// The group.
    pub name: String,
    /// Share of the pairs of two persons that are accepted.
    pub false_match: Figure,
    /// Share of the pairs of one person that are rejected.
    pub false_non_match: Figure,
    /// How many pairs of two persons it has.
    pub negatives: u64,
    /// How many pairs of one person it has.
    pub positives: u64,
}

impl Column {
    /// How much larger this number is than `other`.
    ///
    /// # Errors
    /// When they are not the same number of two systems: another column, definition, treatment of the mirror
    /// image, or FAR; or when one of them is not resolved.
    pub fn minus(&self, other: &Self) -> Result<f64> {
        let unlike = |what: &str, a: &dyn fmt::Display, b: &dyn fmt::Display| {
            Err(Failure::new(format!(
                "{} and {} are not comparable: {what} {a} against {b}",
                self.name, other.name
            ))
            .help("evaluate both in the same way"))
        };
        if self.name != other.name {
            return unlike("column", &self.name, &other.name);
        }
        if self.definition != other.definition {
            return unlike("definition", &self.definition, &other.definition);
        }
        if self.flip != other.flip {
            return unlike("mirror images", &self.flip.name(), &other.flip.name());
        }
        match (self.value, other.value) {
            (Some(a), Some(b)) => Ok(a - b),
            _ => Err(Failure::new(format!("{self} against {other}: one of them is not resolved"))),
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match self.value {
            Some(value) => write!(f, "{:.2} %", 100.0 * value)?,
            None => write!(f, "not resolved with {} negatives", self.negatives)?,
        }
        if let Some(e) = self.stderr {
            write!(f, " +- {:.2}", 100.0 * e)?;
        }
        write!(f, " ({}", self.definition)?;
        if self.flip != Flip::None {
            write!(f, ", flip {}", self.flip.name())?;
        }
        if self.pairs != self.listed {
            write!(f, ", {} of {} pairs", self.pairs, self.listed)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(definition: Definition, value: Option<f64>) -> Column {
        Column {
            name: "LFW".into(),
            definition,
            flip: Flip::None,
            value,
            resolved: value.is_some(),
            std: None,
            stderr: Some(0.001),
            interval: None,
            pairs: 5990,
            listed: 6000,
            positives: 2990,
            negatives: 3000,
            threshold: None,
            unit: Unit::Cosine,
            far: None,
        }
    }

    #[test]
    fn printing_names_the_definition_and_what_is_missing() {
        let text = column(Definition::Exact, Some(0.9825)).to_string();
        assert_eq!(text, "LFW: 98.25 % +- 0.10 (exact, 5990 of 6000 pairs)");
        let text = column(Definition::OrderStatistics, None).to_string();
        assert!(text.starts_with("LFW: not resolved with 3000 negatives"), "{text}");
    }

    #[test]
    fn unlike_numbers_are_not_compared() {
        let exact = column(Definition::Exact, Some(0.98));
        let paper = column(Definition::Paper, Some(0.97));
        let why = exact.minus(&paper).unwrap_err().message;
        assert!(why.contains("definition exact against paper"), "{why}");
        let summed = Column { flip: Flip::Sum, ..exact.clone() };
        assert!(exact.minus(&summed).unwrap_err().message.contains("mirror"));
        let other = Column { name: "CALFW".into(), ..exact.clone() };
        assert!(exact.minus(&other).is_err());
        assert!(exact.minus(&column(Definition::Exact, None)).is_err());
        assert!((exact.minus(&column(Definition::Exact, Some(0.97))).unwrap() - 0.01).abs() < 1e-12);
    }
}
