//! `metrics.json`: the results of an evaluation, with everything needed to decide whether they are
//! comparable.
//!
//! ```text
//! { "protocol": "LFW View 2, ...",      a description of the protocol
//!   "set": "lfw",                       the set, as the parameter names it
//!   "confidence": 0.95,                 of the intervals
//!   "columns": [                        one number each
//!     { "name": "LFW",                  the name of the column in a table
//!       "definition": "exact",          numbers of different definitions are not comparable
//!       "flip": "none",                 the treatment of mirror images
//!       "value": 0.98,                  0 .. 1; null if not resolved
//!       "resolved": true,               false: fewer than 1 / FAR negatives
//!       "std": 0.004, "stderr": 0.001,  over folds, by the definition; null without folds
//!       "interval": [0.977, 0.983],     bootstrap over identities; null without
//!       "pairs": 6000, "listed": 6000,  pairs scored, pairs in the list
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
    /// A description of the protocol.
    pub protocol: String,
    /// The set.
    pub set: TestSet,
    /// The coverage probability of the intervals.
    pub confidence: f64,
    /// The numbers.
    pub columns: Vec<Column>,
    /// Details of the numbers.
    pub details: Details,
}

/// A number with its metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in a table, such as `LFW`, `RFW African`, `MegaFace rank-1`.
    pub name: String,
    /// How it was computed.
    pub definition: Definition,
    /// The treatment of mirror images; never `by-definition`.
    pub flip: Flip,
    /// 0 to 1; none if it is not resolved.
    pub value: Option<f64>,
    /// Whether there are enough negatives for the FAR.
    pub resolved: bool,
    /// The standard deviation over folds, as the definition computes it.
    pub std: Option<f64>,
    /// The standard error: over folds if there are any, else over bootstrap replicates.
    pub stderr: Option<f64>,
    /// The bootstrap interval over identities.
    pub interval: Option<[f64; 2]>,
    /// The number of pairs scored (for ranks: mate pairs).
    pub pairs: u64,
    /// The number of pairs in the list.
    pub listed: u64,
    /// The number of pairs of one person behind the value.
    pub positives: u64,
    /// The number of pairs of two persons behind the value, or of probes for an open-set FAR.
    pub negatives: u64,
    /// The threshold; the mean over folds.
    pub threshold: Option<f64>,
    /// The unit of the threshold.
    pub unit: Unit,
    /// The requested FAR.
    pub far: Option<f64>,
}

/// Details of the numbers; parts that do not apply are omitted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Whether the lists have the official size.
    pub official: bool,
    /// The test set whose accuracy was used to choose the network's loss, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_on: Option<String>,
    /// Counts, such as `probes`, `noisy-distractors`, `missing-pairs`.
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
    /// The accuracy of each fold.
    pub accuracy: Vec<f64>,
    /// The threshold of each fold.
    pub threshold: Vec<f64>,
    /// The number of pairs of each fold.
    pub pairs: Vec<u64>,
}

/// A figure with its bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The figure; none if it is undefined (a ratio to zero).
    pub value: Option<f64>,
    /// Its interval.
    pub interval: Option<[f64; 2]>,
}

/// Error rates of all groups at one threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRates {
    /// A description of how the threshold was chosen.
    pub rule: String,
    /// The definition: always [`Definition::GlobalThreshold`].
    pub definition: Definition,
    /// A pair is accepted above this cosine.
    pub threshold: f64,
    /// The groups.
    pub groups: Vec<OneGroup>,
    /// Largest minus smallest false match rate.
    pub false_match_gap: Figure,
    /// Largest over smallest false match rate.
    pub false_match_ratio: Figure,
    /// Largest minus smallest false non-match rate.
    pub false_non_match_gap: Figure,
    /// Largest over smallest false non-match rate.
    pub false_non_match_ratio: Figure,
}

/// Error rates of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneGroup {
    /// The group.
    pub name: String,
    /// Share of its pairs of two persons that are accepted.
    pub false_match: Figure,
    /// Share of its pairs of one person that are rejected.
    pub false_non_match: Figure,
    /// The number of its pairs of two persons.
    pub negatives: u64,
    /// The number of its pairs of one person.
    pub positives: u64,
}

impl Column {
    /// This number minus `other`.
    ///
    /// # Errors
    /// If they are not the same number of two systems: another column, definition, treatment of mirror
    /// images, or FAR; or if one of them is not resolved.
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
