//! The table of test sets and their names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The size of an official protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Official {
    /// Ten folds, each with this many pairs of one person and as many of two (for each group, or each split).
    PairsPerFold(u64),
    /// The numbers of probes and distractors before noise is removed.
    Probes(u64, u64),
    /// This many pairs, without folds.
    Pairs(u64),
    /// The exact counts are not published.
    Unknown,
}

macro_rules! test_sets {
    ($($(#[doc = $about:literal])* $set:ident, $name:literal, $label:literal, $official:expr;)*) => {
        /// A test set.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum TestSet {
            $($(#[doc = $about])* #[serde(rename = $name)] $set,)*
        }

        impl TestSet {
            /// All sets, in the order of the paper's tables.
            pub const ALL: &[Self] = &[$(Self::$set),*];

            /// The name in a manifest.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$set => $name),* }
            }

            /// The name in a table.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$set => $label),* }
            }

            /// The size of the official set.
            pub const fn official(self) -> Official {
                match self { $(Self::$set => $official),* }
            }
        }
    };
}

test_sets! {
    /// Labeled Faces in the Wild.
    Lfw, "lfw", "LFW", Official::PairsPerFold(300);
    /// Similar-looking LFW: different persons who look alike.
    Sllfw, "sllfw", "SLLFW", Official::PairsPerFold(300);
    /// Cross-age LFW.
    Calfw, "calfw", "CALFW", Official::PairsPerFold(300);
    /// Cross-pose LFW.
    Cplfw, "cplfw", "CPLFW", Official::PairsPerFold(300);
    /// AgeDB-30: 30 years between the images of a pair.
    Agedb, "agedb", "AgeDB", Official::PairsPerFold(300);
    /// Celebrities in Frontal-Profile; `split` selects the pairs.
    Cfp, "cfp", "CFP", Official::PairsPerFold(350);
    /// Racial Faces in the Wild: four groups.
    Rfw, "rfw", "RFW", Official::PairsPerFold(300);
    /// MegaFace: FaceScrub probes against distractors.
    Megaface, "megaface", "MegaFace", Official::Probes(3530, 1_000_000);
    /// Trillion-Pairs: celebrities against a large gallery.
    TrillionPairs, "trillion-pairs", "Trillion-Pairs", Official::Unknown;
    /// Cross-quality LFW.
    Xqlfw, "xqlfw", "XQLFW", Official::PairsPerFold(300);
    /// IJB-B: pairs of templates, and searches with them.
    IjbB, "ijb-b", "IJB-B", Official::Pairs(8_010_270);
    /// IJB-C: as IJB-B, more persons.
    IjbC, "ijb-c", "IJB-C", Official::Pairs(15_658_489);
    /// TinyFace: low-resolution probes against a gallery with distractors.
    Tinyface, "tinyface", "TinyFace", Official::Unknown;
    /// Sets of pairs in one list, as `acquire` reads them from `lfw.bin` and similar files.
    Pairs, "pairs", "Pairs", Official::Unknown;
    /// A gallery and probes of one's own.
    Gallery, "gallery", "Gallery", Official::Unknown;
}

impl TestSet {
    /// The set with this name.
    pub fn called(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|set| set.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::TestSet;

    #[test]
    fn a_name_is_what_a_manifest_has() {
        for set in TestSet::ALL {
            assert_eq!(serde_json::to_value(set).unwrap(), set.name());
            assert_eq!(TestSet::called(set.name()), Some(*set));
        }
        assert_eq!(TestSet::called("folders"), None);
    }
}
