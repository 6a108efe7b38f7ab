//! The one table that joins sets, protocols, default definitions and official counts.

use crate::definition::Verification;
use crate::protocol::{Set, Split, Task, task};

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
];

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
        use Set::{Agedb, Calfw, Cfp, Cplfw, Lfw, Megaface, Rfw, Sllfw, TrillionPairs};
        for set in [Lfw, Sllfw, Calfw, Cplfw, Agedb, Cfp, Rfw, Megaface, TrillionPairs] {
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
