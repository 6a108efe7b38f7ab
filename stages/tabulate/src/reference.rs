//! The paper's numbers, as far as a source for them is available; all others are empty cells.
//!
//! X. Wang et al., *Loss Function Search for Face Recognition*, ICML 2020. The result tables are numbered 1
//! to 5: six verification sets, RFW (two training sets), MegaFace and Trillion-Pairs (two training sets); in
//! the paper these are Tables 5, 7, 8, 9 and 10. The ablation over a is its Table 3, that over B its Table 4.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The numbers to compare with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// No comparison.
    #[default]
    None,
    /// Six verification sets, trained on CASIA-WebFace-R. No source for its numbers is known.
    Table1,
    /// RFW, trained on CASIA-WebFace-R. No source for its numbers is known.
    Table2,
    /// RFW, trained on MS-Celeb-1M-v1c-R. No source for its numbers is known.
    Table3,
    /// MegaFace and Trillion-Pairs, trained on CASIA-WebFace-R.
    Table4,
    /// MegaFace and Trillion-Pairs, trained on MS-Celeb-1M-v1c-R.
    Table5,
    /// The ablation over a, trained on MS-Celeb-1M-v1c-R.
    AblationA,
    /// The ablation over B. No source for its numbers is known.
    AblationB,
}

const SEARCH_COLUMNS: [&str; 4] = [
    "MegaFace rank-1",
    "MegaFace TPR@FAR=1e-6",
    "Trillion-Pairs identification TPR@FAR=1e-3",
    "Trillion-Pairs verification TPR@FAR=1e-9",
];

const TABLE4: [(&str, [f64; 4]); 8] = [
    ("softmax", [65.17, 71.29, 12.34, 11.35]),
    ("a-softmax", [64.48, 71.98, 11.83, 11.11]),
    ("v-softmax", [60.09, 65.40, 9.08, 8.65]),
    ("arc-softmax", [79.91, 84.57, 21.32, 20.97]),
    ("am-softmax", [82.86, 87.33, 25.26, 24.66]),
    ("am-lfs", [71.30, 77.74, 16.16, 15.06]),
    ("random-softmax", [82.51, 86.13, 27.70, 27.28]),
    ("search-softmax", [84.38, 88.34, 29.23, 28.49]),
];

const TABLE5: [(&str, [f64; 4]); 8] = [
    ("softmax", [91.10, 92.30, 50.34, 46.63]),
    ("a-softmax", [90.81, 93.49, 49.99, 45.59]),
    ("v-softmax", [94.45, 95.25, 63.85, 61.17]),
    ("arc-softmax", [96.39, 96.86, 67.60, 66.46]),
    ("am-softmax", [96.77, 97.20, 69.02, 67.94]),
    ("am-lfs", [92.51, 93.80, 54.85, 52.76]),
    ("random-softmax", [96.15, 96.81, 68.73, 68.03]),
    ("search-softmax", [96.97, 97.84, 70.41, 68.67]),
];

/// By a: LFW, SLLFW.
const ABLATION_A: [(f64, [f64; 2]); 6] = [
    (0.0, [99.53, 98.78]),
    (-1.0, [99.56, 98.91]),
    (-10.0, [99.66, 99.20]),
    (-100.0, [99.71, 99.28]),
    (-1000.0, [99.61, 99.36]),
    (-10000.0, [99.71, 99.36]),
];

impl Reference {
    /// The title in a table; empty for none.
    pub fn title(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Table1 => "result table 1 (six sets, CASIA-WebFace-R)",
            Self::Table2 => "result table 2 (RFW, CASIA-WebFace-R)",
            Self::Table3 => "result table 3 (RFW, MS-Celeb-1M-v1c-R)",
            Self::Table4 => "result table 4 (MegaFace and Trillion-Pairs, CASIA-WebFace-R)",
            Self::Table5 => "result table 5 (MegaFace and Trillion-Pairs, MS-Celeb-1M-v1c-R)",
            Self::AblationA => "ablation over a (MS-Celeb-1M-v1c-R)",
            Self::AblationB => "ablation over B",
        }
    }

    /// Whether any of its numbers is known.
    pub fn has_numbers(self) -> bool {
        matches!(self, Self::Table4 | Self::Table5 | Self::AblationA)
    }

    /// The paper's number as a fraction, if known for exactly this row and column.
    pub fn value(self, labels: &BTreeMap<String, String>, column: &str) -> Option<f64> {
        let percent = match self {
            Self::Table4 | Self::Table5 => {
                let table = if self == Self::Table4 { &TABLE4 } else { &TABLE5 };
                let row = table.iter().find(|r| Some(r.0) == labels.get("method").map(String::as_str))?;
                row.1[SEARCH_COLUMNS.iter().position(|c| *c == column)?]
            }
            Self::AblationA => {
                let a: f64 = labels.get("a")?.parse().ok()?;
                let row = ABLATION_A.iter().find(|r| r.0 == a)?;
                row.1[["LFW", "SLLFW"].iter().position(|c| *c == column)?]
            }
            _ => return None,
        };
        // Two decimals of a percentage: rounded to the nearest fraction with the same printed form.
        Some((percent * 100.0).round() / 10_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_given_for_exactly_its_row_and_column() {
        let row = |k: &str, v: &str| BTreeMap::from([(k.to_owned(), v.to_owned())]);
        let am = row("method", "am-softmax");
        assert_eq!(Reference::Table4.value(&am, "MegaFace rank-1"), Some(0.8286));
        assert_eq!(Reference::Table5.value(&am, "Trillion-Pairs verification TPR@FAR=1e-9"), Some(0.6794));
        assert_eq!(Reference::AblationA.value(&row("a", "-100"), "SLLFW"), Some(0.9928));
        // Another FAR is another number, and unknown numbers are not invented.
        assert_eq!(Reference::Table4.value(&am, "MegaFace TPR@FAR=1e-3"), None);
        assert_eq!(Reference::Table1.value(&am, "LFW"), None);
        assert_eq!(Reference::AblationA.value(&row("a", "-7"), "LFW"), None);
    }
}
