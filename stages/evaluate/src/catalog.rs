//! The one table that joins sets, protocols, default definitions and official counts.

use crate::definition::Verification;
use crate::protocol::{Pair, Set, Split, Task, task};

/// What is known of a test set.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The set.
    pub set: Set,
    /// CFP's split; both names stand for any other set.
    pub split: Option<Split>,
    /// What its columns are called.
    pub label: &'static str,
    /// The protocol in words.
    pub protocol: &'static str,
    /// The definition when none is named.
    pub definition: Verification,
    /// How large the official set is.
    pub official: Official,
    /// The FARs at which the paper prints a verification TPR.
    pub fars: &'static [f64],
    /// The FARs at which the paper prints an identification TPR.
    pub identification_fars: &'static [f64],
}

/// The size of an official protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Official {
    /// Ten folds of this many pairs of one person and as many of two (for each group).
    PairsPerFold(u64),
    /// So many probes and distractors before noise is removed.
    Probes(u64, u64),
    /// The counts are not published exactly.
    Unknown,
}

impl Official {
    /// Whether a list of pairs has this size.
    pub fn is(self, pairs: &[Pair]) -> bool {
        let Self::PairsPerFold(each) = self else { return false };
        pairs.len() as u64 == 20 * each && pairs.iter().map(|p| p.fold).max() == Some(9)
    }
}

const VERIFICATION: Verification = Verification::Exact;

const fn pairs(set: Set, split: Option<Split>, label: &'static str, protocol: &'static str, n: u64) -> Entry {
    let official = Official::PairsPerFold(n);
    Entry {
        set,
        split,
        label,
        protocol,
        definition: VERIFICATION,
        official,
        fars: &[],
        identification_fars: &[],
    }
}

/// All test sets, in the paper's order.
pub const CATALOG: &[Entry] = &[
    pairs(Set::Lfw, None, "LFW", "LFW View 2, unrestricted, ten folds", 300),
    pairs(Set::Sllfw, None, "SLLFW", "SLLFW, ten folds", 300),
    pairs(Set::Calfw, None, "CALFW", "CALFW, ten folds", 300),
    pairs(Set::Cplfw, None, "CPLFW", "CPLFW, ten folds", 300),
    pairs(Set::Agedb, None, "AgeDB", "AgeDB-30, ten folds", 300),
    pairs(Set::Cfp, Some(Split::Fp), "CFP-FP", "CFP frontal-profile, ten folds", 350),
    pairs(Set::Cfp, Some(Split::Ff), "CFP-FF", "CFP frontal-frontal, ten folds", 350),
    pairs(Set::Rfw, None, "RFW", "RFW, four groups, ten folds each", 300),
    Entry {
        set: Set::Megaface,
        split: None,
        label: "MegaFace",
        protocol: "MegaFace challenge 1, FaceScrub probes, noise lists applied",
        definition: VERIFICATION,
        official: Official::Probes(3530, 1_000_000),
        fars: &[1e-6],
        identification_fars: &[],
    },
    Entry {
        set: Set::TrillionPairs,
        split: None,
        label: "Trillion-Pairs",
        protocol: "Trillion-Pairs, all probe x gallery pairs",
        definition: VERIFICATION,
        official: Official::Unknown,
        fars: &[1e-9],
        identification_fars: &[1e-3],
    },
    Entry {
        set: Set::Pairs,
        split: None,
        label: "Pairs",
        protocol: "pairs in one list, folds as it has them",
        definition: VERIFICATION,
        official: Official::Unknown,
        fars: &[],
        identification_fars: &[],
    },
];

/// What files of pairs are called, and the set whose pairs they hold.
const FILES: &[(&str, Set, Split)] = &[
    ("lfw", Set::Lfw, Split::Fp),
    ("sllfw", Set::Sllfw, Split::Fp),
    ("calfw", Set::Calfw, Split::Fp),
    ("cplfw", Set::Cplfw, Split::Fp),
    ("agedb_30", Set::Agedb, Split::Fp),
    ("agedb", Set::Agedb, Split::Fp),
    ("cfp_fp", Set::Cfp, Split::Fp),
    ("cfp_ff", Set::Cfp, Split::Ff),
];

/// The row of the set whose pairs a file of this name holds.
pub fn called(file: &str) -> Option<&'static Entry> {
    let plain = file.to_lowercase().replace('-', "_");
    FILES.iter().find(|f| f.0 == plain).map(|f| entry(f.1, f.2))
}

/// Where a column of this name stands.
pub fn place(column: &str) -> usize {
    let starts = |e: &&Entry| {
        column == e.label || column.strip_prefix(e.label).is_some_and(|rest| rest.starts_with(' '))
    };
    CATALOG.iter().filter(|e| e.set != Set::Pairs).position(|e| starts(&e)).unwrap_or(CATALOG.len())
}

/// The row of a set.
pub fn entry(set: Set, split: Split) -> &'static Entry {
    // Every set has a row: a test walks over all of them. The first row cannot be reached by another set.
    CATALOG.iter().find(|e| e.set == set && e.split.is_none_or(|s| s == split)).unwrap_or(&CATALOG[0])
}

impl Entry {
    /// How its lists are read.
    pub fn task(&self) -> Task {
        task(self.set, self.split.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_its_own_row() {
        use Set::{Agedb, Calfw, Cfp, Cplfw, Lfw, Megaface, Pairs, Rfw, Sllfw, TrillionPairs};
        for set in [Lfw, Sllfw, Calfw, Cplfw, Agedb, Cfp, Rfw, Megaface, TrillionPairs, Pairs] {
            for split in [Split::Fp, Split::Ff] {
                let row = entry(set, split);
                assert_eq!(row.set, set);
                assert!(row.split.is_none_or(|s| s == split));
            }
        }
        let mut labels: Vec<&str> = CATALOG.iter().map(|e| e.label).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), CATALOG.len());
    }
}
