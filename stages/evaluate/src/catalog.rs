//! The table of sets with their protocols, default definitions and official counts.

use lfs_faces::{Official, TestSet};

use crate::definition::Verification;
use crate::protocol::{Pair, Split, Task, task};

/// The properties of a test set.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The set.
    pub set: TestSet,
    /// CFP's split; none for other sets, where any split matches.
    pub split: Option<Split>,
    /// The name of its columns.
    pub label: &'static str,
    /// A description of the protocol.
    pub protocol: &'static str,
    /// The default definition.
    pub definition: Verification,
    /// The FARs for which the paper prints a verification TPR.
    pub fars: &'static [f64],
    /// The FARs for which the paper prints an identification TPR.
    pub identification_fars: &'static [f64],
    /// The ranks that are usually printed.
    pub ranks: &'static [u32],
}

/// The set whose persons a set has: those made from LFW's images share its names.
pub fn family(set: TestSet) -> &'static str {
    match set {
        TestSet::Lfw | TestSet::Sllfw | TestSet::Calfw | TestSet::Cplfw | TestSet::Xqlfw => {
            TestSet::Lfw.name()
        }
        other => other.name(),
    }
}

/// Whether a list of pairs has the official size.
pub fn is_official(official: Official, pairs: &[Pair]) -> bool {
    let Official::PairsPerFold(each) = official else { return false };
    pairs.len() as u64 == 20 * each && pairs.iter().map(|p| p.fold).max() == Some(9)
}

/// Whether a list of pairs without folds has the official number of them.
pub fn is_official_count(official: Official, pairs: usize) -> bool {
    official == Official::Pairs(pairs as u64)
}

const VERIFICATION: Verification = Verification::Exact;

/// The FARs of IJB's 1:1 protocols.
const IJB: &[f64] = &[1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1];

const fn row(set: TestSet, protocol: &'static str) -> Entry {
    Entry {
        set,
        split: None,
        label: set.label(),
        protocol,
        definition: VERIFICATION,
        fars: &[],
        identification_fars: &[],
        ranks: &[1],
    }
}

/// All test sets, in the paper's order.
pub const CATALOG: &[Entry] = &[
    row(TestSet::Lfw, "LFW View 2, unrestricted, ten folds"),
    row(TestSet::Sllfw, "SLLFW, ten folds"),
    row(TestSet::Calfw, "CALFW, ten folds"),
    row(TestSet::Cplfw, "CPLFW, ten folds"),
    row(TestSet::Agedb, "AgeDB-30, ten folds"),
    Entry { split: Some(Split::Fp), label: "CFP-FP", ..row(TestSet::Cfp, "CFP frontal-profile, ten folds") },
    Entry { split: Some(Split::Ff), label: "CFP-FF", ..row(TestSet::Cfp, "CFP frontal-frontal, ten folds") },
    row(TestSet::Rfw, "RFW, four groups, ten folds each"),
    Entry {
        fars: &[1e-6],
        ..row(TestSet::Megaface, "MegaFace challenge 1, FaceScrub probes, noise lists applied")
    },
    Entry {
        fars: &[1e-9],
        identification_fars: &[1e-3],
        ..row(TestSet::TrillionPairs, "Trillion-Pairs, all probe x gallery pairs")
    },
    row(TestSet::Xqlfw, "XQLFW, ten folds"),
    Entry {
        fars: IJB,
        identification_fars: &[1e-2, 1e-1],
        ranks: &[1, 5, 10],
        ..row(TestSet::IjbB, "IJB-B, 1:1 and 1:N mixed")
    },
    Entry {
        fars: IJB,
        identification_fars: &[1e-2, 1e-1],
        ranks: &[1, 5, 10],
        ..row(TestSet::IjbC, "IJB-C, 1:1 and 1:N mixed")
    },
    Entry {
        ranks: &[1, 5, 20],
        ..row(TestSet::Tinyface, "TinyFace, probes against gallery and distractors")
    },
    row(TestSet::Pairs, "pairs in one list, folds as it has them"),
    Entry {
        identification_fars: &[1e-2],
        ranks: &[1, 5, 10],
        ..row(TestSet::Gallery, "own probes against an own gallery")
    },
];

/// The names of files of pairs, and the set whose pairs they contain.
const FILES: &[(&str, TestSet, Split)] = &[
    ("lfw", TestSet::Lfw, Split::Fp),
    ("sllfw", TestSet::Sllfw, Split::Fp),
    ("calfw", TestSet::Calfw, Split::Fp),
    ("cplfw", TestSet::Cplfw, Split::Fp),
    ("agedb_30", TestSet::Agedb, Split::Fp),
    ("agedb", TestSet::Agedb, Split::Fp),
    ("cfp_fp", TestSet::Cfp, Split::Fp),
    ("cfp_ff", TestSet::Cfp, Split::Ff),
];

/// The row of the set whose pairs a file of this name contains.
pub fn called(file: &str) -> Option<&'static Entry> {
    let plain = file.to_lowercase().replace('-', "_");
    FILES.iter().find(|f| f.0 == plain).map(|f| entry(f.1, f.2))
}

/// The sort position of a column of this name.
pub fn place(column: &str) -> usize {
    let starts = |e: &&Entry| {
        column == e.label || column.strip_prefix(e.label).is_some_and(|rest| rest.starts_with(' '))
    };
    CATALOG.iter().filter(|e| e.set != TestSet::Pairs).position(|e| starts(&e)).unwrap_or(CATALOG.len())
}

/// The row of a set.
pub fn entry(set: TestSet, split: Split) -> &'static Entry {
    // Every set has a row, which a test checks, so the fallback is never reached.
    CATALOG.iter().find(|e| e.set == set && e.split.is_none_or(|s| s == split)).unwrap_or(&CATALOG[0])
}

impl Entry {
    /// The reader of its lists.
    pub fn task(&self) -> Task {
        task(self.set, self.split.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_its_own_row() {
        for &set in TestSet::ALL {
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
