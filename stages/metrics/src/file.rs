//! The file.
//!
//! ```text
//! { "protocol": "LFW View 2, ...",       the protocol in words
//!   "set": "lfw",                        the set, as the parameter names it
//!   "confidence": 0.95,                  of the intervals
//!   "resampling": { "seed": 0,           absent without a bootstrap
//!     "replicates": 1000,
//!     "persons": "lfw" },                persons of one name are one person among files that agree in this
//!   "columns": [                         one number each
//!     { "name": "LFW",                   the column's name in a table
//!       "definition": "exact",           numbers of different definitions are not comparable
//!       "flip": "none",                  what was done with the mirror image
//!       "value": 0.98,                   0 .. 1; null where it is not resolved
//!       "resolved": true,                false: fewer than 1 / FAR negatives
//!       "std": 0.004,                    over folds, by the definition; null without folds
//!       "fold_error": 0.001,             of the mean over folds, by the definition; null without folds
//!       "standard_error": 0.002,         over persons, thresholds chosen again; null without a bootstrap
//!       "interval": [0.976, 0.983],      Wilson's, with that standard error
//!       "bootstrap": [0.977, 0.984],     quantiles of the bootstrap
//!       "pairs": 6000, "listed": 6000,   scored, of so many in the list
//!       "positives": 3000, "negatives": 3000,
//!       "threshold": 0.31, "unit": "cosine" | "squared-distance",
//!       "far": 1e-6 } ],                 the target, for TPR columns
//!   "details": { ... },                  see [`Details`]
//!   "draws": { "LFW": { "first": "-120 40 ..", "second": ".." } } }   see [`Draws`], in units of 1e-7
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Draws;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The protocol in words.
    pub protocol: String,
    /// The set.
    pub set: String,
    /// The probability that the intervals are to cover.
    #[serde(default = "usual")]
    pub confidence: f64,
    /// How persons were resampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resampling: Option<Resampling>,
    /// The numbers.
    pub columns: Vec<Column>,
    /// What is known beside them.
    #[serde(default)]
    pub details: Details,
    /// The replicates of each column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub draws: BTreeMap<String, Draws>,
}

/// How persons were resampled. Files that agree in all of it have replicates that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resampling {
    /// The seed.
    pub seed: u64,
    /// How many replicates.
    pub replicates: u32,
    /// Whose names the persons' names are.
    pub persons: String,
}

/// One number, with what it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in a table: `LFW`, `RFW African`, `MegaFace rank-1`.
    pub name: String,
    /// How it was computed.
    pub definition: String,
    /// What was done with the mirror image: never `by-definition`.
    #[serde(default = "none")]
    pub flip: String,
    /// 0 to 1; none where it is not resolved.
    pub value: Option<f64>,
    /// Whether there are enough negatives for the FAR.
    #[serde(default = "yes")]
    pub resolved: bool,
    /// The standard deviation over folds, as the definition has it.
    #[serde(default)]
    pub std: Option<f64>,
    /// The standard error of the mean over folds, as the definition has it.
    #[serde(default)]
    pub fold_error: Option<f64>,
    /// The standard error over persons, with thresholds chosen again.
    #[serde(default)]
    pub standard_error: Option<f64>,
    /// Wilson's interval with that standard error.
    #[serde(default)]
    pub interval: Option<[f64; 2]>,
    /// The interval from the quantiles of the bootstrap.
    #[serde(default)]
    pub bootstrap: Option<[f64; 2]>,
    /// How many pairs were scored (for ranks: mate pairs).
    #[serde(default)]
    pub pairs: u64,
    /// How many the list has.
    #[serde(default)]
    pub listed: u64,
    /// How many pairs of one person the number rests on.
    #[serde(default)]
    pub positives: u64,
    /// How many pairs of two persons, or probes for an open-set FAR, it rests on.
    #[serde(default)]
    pub negatives: u64,
    /// The threshold; the mean over folds.
    #[serde(default)]
    pub threshold: Option<f64>,
    /// What the threshold is measured in: `cosine` or `squared-distance`.
    #[serde(default)]
    pub unit: Option<String>,
    /// The target FAR.
    #[serde(default)]
    pub far: Option<f64>,
}

/// What is known beside the numbers; parts that do not apply are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Whether the lists have the official size.
    pub official: bool,
    /// The test set whose accuracy the network's loss was chosen by, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected_on: Option<String>,
    /// Counts of images: `probes`, `noisy-distractors`, `missing`.
    pub counts: BTreeMap<String, u64>,
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

/// A figure with its interval.
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
    /// The definition: always `global-threshold`.
    pub definition: String,
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

fn none() -> String {
    "none".to_owned()
}

fn usual() -> f64 {
    0.95
}

fn yes() -> bool {
    true
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match self.value {
            Some(value) => write!(f, "{:.2} %", 100.0 * value)?,
            None => write!(f, "not resolved with {} negatives", self.negatives)?,
        }
        if let Some([low, high]) = self.interval {
            write!(f, " [{:.2}, {:.2}]", 100.0 * low, 100.0 * high)?;
        }
        write!(f, " ({}", self.definition)?;
        if self.flip != "none" {
            write!(f, ", flip {}", self.flip)?;
        }
        if self.pairs != self.listed {
            write!(f, ", {} of {} pairs", self.pairs, self.listed)?;
        }
        f.write_str(")")
    }
}

/// The unit of written replicates.
const UNIT: f64 = 1e-7;

/// Replicates as text: a line each in place of thousands.
#[derive(Serialize, Deserialize)]
struct Written {
    first: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    second: String,
}

impl Serialize for Draws {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |values: &[f64]| {
            let all: Vec<String> = values.iter().map(|v| format!("{:.0}", v / UNIT + 0.0)).collect();
            all.join(" ")
        };
        Written { first: text(&self.first), second: text(&self.second) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Draws {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let numbers = |text: &str| {
            let one = |word: &str| {
                let number: i64 = word
                    .parse()
                    .map_err(|_| serde::de::Error::custom(format!("replicate `{word}` is no number")))?;
                Ok(number as f64 * UNIT)
            };
            text.split(' ').filter(|word| !word.is_empty()).map(one).collect::<Result<Vec<f64>, D::Error>>()
        };
        let written = Written::deserialize(deserializer)?;
        Ok(Self { first: numbers(&written.first)?, second: numbers(&written.second)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn printing_names_the_definition_and_what_is_missing() {
        let column = Column {
            name: "LFW".into(),
            definition: "exact".into(),
            flip: "none".into(),
            value: Some(0.9825),
            interval: Some([0.978, 0.986]),
            pairs: 5990,
            listed: 6000,
            negatives: 3000,
            ..Column::default()
        };
        assert_eq!(column.to_string(), "LFW: 98.25 % [97.80, 98.60] (exact, 5990 of 6000 pairs)");
        let summed = Column { flip: "sum".into(), listed: 5990, interval: None, ..column.clone() };
        assert_eq!(summed.to_string(), "LFW: 98.25 % (exact, flip sum)");
        let text = Column { value: None, interval: None, ..column }.to_string();
        assert!(text.starts_with("LFW: not resolved with 3000 negatives"), "{text}");
    }

    #[test]
    fn a_file_with_the_least_there_can_be_is_read() {
        let text = r#"{ "protocol": "p", "set": "lfw",
            "columns": [{ "name": "LFW", "definition": "exact", "value": 0.5 }] }"#;
        let read: Metrics = serde_json::from_str(text).unwrap();
        let column = &read.columns[0];
        assert_eq!((read.confidence, column.flip.as_str(), column.resolved), (0.95, "none", true));
        assert!(serde_json::from_str::<Draws>(r#"{ "first": "1 x" }"#).is_err());
    }

    proptest! {
        #[test]
        fn replicates_are_read_as_they_were_written(
            first in prop::collection::vec(-10_000_000_i32..10_000_000, 0..20),
            second in prop::collection::vec(-10_000_000_i32..10_000_000, 0..20),
        ) {
            let of = |all: &[i32]| all.iter().map(|k| f64::from(*k) * UNIT).collect::<Vec<f64>>();
            let draws = Draws { first: of(&first), second: of(&second) };
            let text = serde_json::to_string(&draws).unwrap();
            let read: Draws = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read, &draws);
        }
    }
}
