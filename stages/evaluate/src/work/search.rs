//! MegaFace and Trillion-Pairs: probes against a gallery, means over mate pairs.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use lfs_metrics::{Column, Details, Draws, Metrics};
use lfs_stage::{Context, Failure, Result};

use super::{Job, tpr_name};
use crate::definition::Definition;
use crate::draws::search::{BEYOND, Search as Drawn, rank_share};
use crate::protocol::Search;
use crate::rank::{mates, open_set, tail_for, verification};
use crate::resample::distinct;
use crate::scan::{Identities, Keep, Scan, scan};
use crate::score::Embeddings;
use lfs_faces::Official;

/// The most pairs in a tail: 1 GiB.
const LARGEST_TAIL: u64 = 1 << 26;

/// Probes or gallery, without missing images.
pub(super) struct Side {
    pub(super) embeddings: Embeddings,
    pub(super) identities: Vec<i64>,
    pub(super) persons: Vec<u32>,
    pub(super) listed: u64,
    pub(super) missing: u64,
}

impl Side {
    /// Several galleries as one.
    pub(super) fn merged(all: &[Self]) -> Self {
        let width = all.first().map_or(1, |s| s.embeddings.width());
        let none = Embeddings::of_units(Vec::new(), width);
        Self {
            embeddings: all.iter().fold(none, |before, side| before.followed_by(&side.embeddings)),
            identities: all.iter().flat_map(|s| &s.identities).copied().collect(),
            persons: all.iter().flat_map(|s| &s.persons).copied().collect(),
            listed: all.iter().map(|s| s.listed).sum(),
            missing: all.iter().map(|s| s.missing).sum(),
        }
    }
}

impl Job<'_> {
    pub(super) fn distractors(&self, search: Search, cx: &Context<'_>) -> Result<Metrics> {
        let probes = self.side(&search.probes, "probes", cx)?;
        let gallery = self.side(&search.gallery, "distractors", cx)?;
        let ranks = self.ranks();
        let deepest = ranks.iter().copied().max().unwrap_or(1) as usize;
        let fars = self.fars();
        let scan = self.scan(&probes, &gallery, Identities::default(), deepest, &fars, cx)?;
        let mates = self.watch.run(cx, "mates", 0, |_| mates(&probes.embeddings, &probes.identities));
        if mates.is_empty() {
            return Err(no_mates("no person has two probes"));
        }
        let label = self.entry.label;
        let mut columns = Vec::new();
        let drawn = Drawn { mates: &mates, scan: &scan, probes: &probes.persons, gallery: &gallery.persons };
        for rank in ranks {
            let share = rank_share(&mates, &scan, rank as usize);
            let draws = self.drawn(cx, |b| drawn.rank(rank as usize, share, &self.persons, b));
            let column = Column {
                value: Some(share),
                positives: mates.len() as u64,
                negatives: scan.pairs,
                ..self.column(format!("{label} rank-{rank}"), Definition::MateRank)
            };
            columns.push(self.spread(column, draws, mates.len() as u64, distinct(probes.persons.iter())));
        }
        for far in fars {
            columns.push(self.verification_column(label, far, drawn, cx));
        }
        let official = matches!(self.entry.set.official(), Official::Probes(p, d)
            if p == probes.listed + search.noisy_probes as u64 && d == gallery.listed + search.noisy_distractors as u64);
        Ok(self.search_metrics(columns, official, &search, &probes, &gallery, mates.len()))
    }

    pub(super) fn all_pairs(&self, search: Search, cx: &Context<'_>) -> Result<Metrics> {
        let probes = self.side(&search.probes, "probes", cx)?;
        let gallery = self.side(&search.gallery, "gallery images", cx)?;
        let identities = Identities { probes: &probes.identities, gallery: &gallery.identities };
        let fars = self.fars();
        let scan = self.scan(&probes, &gallery, identities, 1, &fars, cx)?;
        let mates = &scan.mates;
        if mates.is_empty() {
            return Err(no_mates("no gallery image has the identity of a probe"));
        }
        let label = self.entry.label;
        let mut columns = Vec::new();
        let drawn = Drawn { mates, scan: &scan, probes: &probes.persons, gallery: &gallery.persons };
        let impostors: Vec<u32> = (0..probes.embeddings.len() as u32).collect();
        for far in self.identification_fars() {
            let at = open_set(mates, &scan, &impostors, far);
            let draws = self.drawn(cx, |b| drawn.open_set(&at, &impostors, &self.persons, b));
            let name = tpr_name(&format!("{label} identification"), far);
            let column = self.tpr_column(name, Definition::OpenSet, &at);
            columns.push(self.spread(column, draws, at.positives, distinct(probes.persons.iter())));
        }
        for far in fars {
            columns.push(self.verification_column(&format!("{label} verification"), far, drawn, cx));
        }
        Ok(self.search_metrics(columns, false, &search, &probes, &gallery, mates.len()))
    }

    fn verification_column(
        &self,
        label: &str,
        far: f64,
        drawn: Drawn<'_>,
        cx: &Context<'_>,
    ) -> (Column, Draws) {
        let at = verification(drawn.mates, drawn.scan, far);
        let draws = self.drawn(cx, |b| drawn.verification(&at, &self.persons, b));
        let column = self.tpr_column(tpr_name(label, far), Definition::OrderStatistics, &at);
        self.spread(column, draws, at.positives, distinct(drawn.probes.iter()))
    }

    fn search_metrics(
        &self,
        mut columns: Vec<(Column, Draws)>,
        official: bool,
        search: &Search,
        probes: &Side,
        gallery: &Side,
        mates: usize,
    ) -> Metrics {
        let count = |name: &str, n: u64| (name.to_owned(), n);
        let counts = BTreeMap::from([
            count("probes", probes.embeddings.len() as u64),
            count("gallery", gallery.embeddings.len() as u64),
            count("missing-probes", probes.missing),
            count("missing-gallery", gallery.missing),
            count("noisy-probes", search.noisy_probes as u64),
            count("noisy-distractors", search.noisy_distractors as u64),
            count("mate-pairs", mates as u64),
        ]);
        // No list gives the number of mate pairs; missing images are counted instead.
        for (column, _) in &mut columns {
            (column.pairs, column.listed) = (mates as u64, mates as u64);
        }
        let official = official && probes.missing == 0 && gallery.missing == 0;
        self.metrics(columns, Details { official, counts, ..Details::default() })
    }

    pub(super) fn side(&self, images: &[(String, i64)], what: &str, cx: &Context<'_>) -> Result<Side> {
        let names: Vec<&str> = images.iter().map(|i| i.0.as_str()).collect();
        let (found, missing) = self.find(&names, what, cx)?;
        let there: Vec<(usize, i64)> =
            found.iter().zip(images).filter_map(|(row, image)| row.map(|r| (r, image.1))).collect();
        let rows: Vec<usize> = there.iter().map(|t| t.0).collect();
        Ok(Side {
            embeddings: self.embeddings.rows(&rows),
            identities: there.iter().map(|t| t.1).collect(),
            persons: rows.iter().map(|row| self.rows.identities[*row]).collect(),
            listed: names.len() as u64,
            missing,
        })
    }

    pub(super) fn scan(
        &self,
        probes: &Side,
        gallery: &Side,
        identities: Identities<'_>,
        per_probe: usize,
        fars: &[f64],
        cx: &Context<'_>,
    ) -> Result<Scan> {
        let pairs = probes.embeddings.len() as u64 * gallery.embeddings.len() as u64;
        let tail = tail_for(fars, pairs);
        if tail > LARGEST_TAIL {
            return Err(Failure::new(format!(
                "the FARs {fars:?} over {pairs} pairs need the {tail} largest scores; at most {LARGEST_TAIL} are kept"
            ))
            .help("ask for smaller FARs in `fars`"));
        }
        let keep = Keep { per_probe: per_probe + BEYOND, tail: tail as usize };
        Ok(self.watch.run(cx, "scoring", pairs, |count| {
            let done = |n: u64| {
                count.fetch_max(n, Ordering::Relaxed);
            };
            scan(&probes.embeddings, &gallery.embeddings, identities, keep, &done)
        }))
    }
}

pub(super) fn no_mates(why: &str) -> Failure {
    Failure::new(format!("there is no mate pair: {why}"))
        .help("check the overlap and clean reports of this test set")
}
