//! Probes against one or several galleries (1:N): closed-set ranks, and the open-set TPIR at a FPIR.

use std::collections::BTreeMap;

use lfs_faces::TestSet;
use lfs_metrics::{Column, Details, Draws, Metrics};
use lfs_stage::{Context, Result};

use super::search::{Side, no_mates};
use super::{Columns, Job};
use crate::catalog;
use crate::definition::{Definition, Verification};
use crate::draws::search::{Search as Drawn, rank_share};
use crate::protocol::Searches;
use crate::rank::{open_set, verification};
use crate::resample::{Persons, distinct};
use crate::scan::{Identities, Mate, Scan};

/// A gallery that has been searched with all probes.
struct Searched<'a> {
    gallery: &'a Side,
    scan: Scan,
    /// The best mate of each probe that has one.
    best: Vec<Mate>,
    /// The probes of which the FPIR is: those without a mate, or all if each has one.
    impostors: Vec<u32>,
}

impl Job<'_> {
    pub(super) fn identification(&self, searches: Searches, cx: &Context<'_>) -> Result<Metrics> {
        let mut probes = self.side(&searches.probes, "probes", cx)?;
        let galleries = searches.galleries.iter().map(|g| self.side(g, "gallery images", cx));
        let mut galleries: Vec<Side> = galleries.collect::<Result<_>>()?;
        let persons = self.one_person(&mut probes, &mut galleries);
        let distractors = galleries.iter().flat_map(|g| &g.identities).filter(|id| **id < 0).count();
        if distractors == 0 && self.entry.set == TestSet::Tinyface {
            cx.warn("there is no image in `Gallery_Distractor/`: ranks are among the mates alone");
        }
        let (columns, mut counts) = self.identify(&probes, &galleries, &self.params.fars, &persons, cx)?;
        counts.insert("distractors".to_owned(), distractors as u64);
        Ok(self.metrics(columns, Details { counts, ..Details::default() }))
    }

    /// Gives one number to each person of the list, whatever the names of the images say; a distractor is who its name says.
    fn one_person(&self, probes: &mut Side, galleries: &mut [Side]) -> Persons {
        let (mut numbers, mut names) = (BTreeMap::new(), Vec::new());
        for side in std::iter::once(probes).chain(galleries) {
            for (identity, person) in side.identities.iter().zip(&mut side.persons) {
                let listed = (*identity >= 0).then_some(*identity);
                let key = (listed, if listed.is_some() { 0 } else { *person });
                let next = names.len() as u32;
                let number = *numbers.entry(key).or_insert(next);
                if number == next {
                    names.push(match listed {
                        Some(identity) => format!("person {identity}"),
                        None => self.rows.persons[*person as usize].clone(),
                    });
                }
                *person = number;
            }
        }
        Persons::new(catalog::family(self.entry.set), names.iter().map(String::as_str))
    }

    /// The columns and counts of searches. Over several galleries, they are means.
    pub(super) fn identify(
        &self,
        probes: &Side,
        galleries: &[Side],
        fars: &[f64],
        persons: &Persons,
        cx: &Context<'_>,
    ) -> Result<(Columns, BTreeMap<String, u64>)> {
        let (ranks, fpirs) = (self.ranks(), self.identification_fars());
        let deepest = ranks.iter().copied().max().unwrap_or(1) as usize;
        let theirs = self.params.definition == Verification::Insightface;
        let fars = if theirs { &[] } else { fars };
        // Their FPIR is a number of pairs, see `theirs`.
        let pairs = |fpir: &f64| {
            let all: usize = galleries.iter().map(|g| g.embeddings.len()).sum();
            (their_number(*fpir, probes) as f64 + 0.5)
                / (probes.embeddings.len() as f64 * all as f64).max(1.0)
        };
        let kept: Vec<f64> = if theirs { fpirs.iter().map(pairs).collect() } else { fars.to_vec() };
        let merged = if theirs && galleries.len() > 1 { vec![Side::merged(galleries)] } else { Vec::new() };
        let galleries = if merged.is_empty() { galleries } else { &merged };
        let mut searched = Vec::new();
        for gallery in galleries {
            let identities = Identities { probes: &probes.identities, gallery: &gallery.identities };
            let scan = self.scan(probes, gallery, identities, deepest, &kept, cx)?;
            let best = best_mates(&scan.mates);
            if best.is_empty() {
                return Err(no_mates("no gallery image has the identity of a probe"));
            }
            let mated: Vec<u32> = best.iter().map(|m| m.probe).collect();
            let all = 0..probes.embeddings.len() as u32;
            let mut impostors: Vec<u32> = all.clone().filter(|p| mated.binary_search(p).is_err()).collect();
            if impostors.is_empty() {
                impostors = all.collect();
            }
            searched.push(Searched { gallery, scan, best, impostors });
        }
        let label = self.entry.label;
        let mut columns = Vec::new();
        for &rank in &ranks {
            let parts = searched.iter().map(|s| self.closed_set(s, probes, rank, persons, cx)).collect();
            columns.push(self.mean(format!("{label} rank-{rank}"), parts, probes));
        }
        for fpir in fpirs {
            let one = |s| {
                if theirs {
                    self.theirs(s, probes, fpir, persons, cx)
                } else {
                    self.open(s, probes, fpir, persons, cx)
                }
            };
            let parts = searched.iter().map(one).collect();
            let (column, draws) = self.mean(format!("{label} TPIR@FPIR={fpir:e}"), parts, probes);
            columns.push((Column { far: Some(fpir), ..column }, draws));
        }
        for &far in fars {
            let one = |s: &Searched<'_>| {
                let at = verification(&s.scan.mates, &s.scan, far);
                let drawn = drawn(s, &s.scan.mates, probes);
                let draws = self.drawn(cx, |b| drawn.verification(&at, persons, b));
                (self.tpr_column(String::new(), Definition::OrderStatistics, &at), draws)
            };
            let parts = searched.iter().map(one).collect();
            columns.push(self.mean(format!("{label} TPR@FAR={far:e}"), parts, probes));
        }
        let sum = |of: fn(&Searched<'_>) -> usize| searched.iter().map(|s| of(s) as u64).sum::<u64>();
        let counts = BTreeMap::from([
            ("probes".to_owned(), probes.embeddings.len() as u64),
            ("galleries".to_owned(), searched.len() as u64),
            ("gallery".to_owned(), sum(|s| s.gallery.embeddings.len())),
            ("searches-with-mate".to_owned(), sum(|s| s.best.len())),
            ("impostor-searches".to_owned(), sum(|s| s.impostors.len())),
            ("missing-probes".to_owned(), probes.missing),
            ("missing-gallery".to_owned(), galleries.iter().map(|g| g.missing).sum()),
        ]);
        Ok((columns, counts))
    }

    /// The share of probes whose best mate reaches their k-th best other image.
    fn closed_set(
        &self,
        s: &Searched<'_>,
        probes: &Side,
        rank: u32,
        persons: &Persons,
        cx: &Context<'_>,
    ) -> (Column, Draws) {
        let share = rank_share(&s.best, &s.scan, rank as usize);
        let drawn = drawn(s, &s.best, probes);
        let draws = self.drawn(cx, |b| drawn.rank(rank as usize, share, persons, b));
        let definition = match self.params.definition {
            Verification::Insightface => Definition::Insightface,
            _ => Definition::ClosedSet,
        };
        let column = Column {
            value: Some(share),
            positives: s.best.len() as u64,
            negatives: s.scan.pairs,
            ..self.column(String::new(), definition)
        };
        (column, draws)
    }

    /// The share of probes whose best mate is above every other image and above a threshold.
    fn open(
        &self,
        s: &Searched<'_>,
        probes: &Side,
        fpir: f64,
        persons: &Persons,
        cx: &Context<'_>,
    ) -> (Column, Draws) {
        let at = open_set(&s.best, &s.scan, &s.impostors, fpir);
        let drawn = drawn(s, &s.best, probes);
        let draws = self.drawn(cx, |b| drawn.open_set(&at, &s.impostors, persons, b));
        (self.tpr_column(String::new(), Definition::OpenSet, &at), draws)
    }

    /// InsightFace's TPIR: the threshold is the score of the n-th best pair of different persons, with n the share of probes, rounded
    /// up, and the rank does not count.
    fn theirs(
        &self,
        s: &Searched<'_>,
        probes: &Side,
        fpir: f64,
        persons: &Persons,
        cx: &Context<'_>,
    ) -> (Column, Draws) {
        let n = their_number(fpir, probes);
        let at = verification(&s.best, &s.scan, (n as f64 - 0.5) / s.scan.pairs.max(1) as f64);
        let drawn = drawn(s, &s.best, probes);
        // With no pair to accept, replicates have nothing to vary.
        let draws = match at.tpr {
            Some(_) => self.drawn(cx, |b| drawn.verification(&at, persons, b)),
            None => Draws::default(),
        };
        let column = self.tpr_column(String::new(), Definition::Insightface, &at);
        let above = s.best.iter().filter(|m| f64::from(m.score) > at.threshold).count();
        let value = (s.scan.pairs > 0).then(|| above as f64 / s.best.len() as f64);
        (Column { value, resolved: value.is_some(), ..column }, draws)
    }

    /// The mean of a number over the galleries.
    fn mean(&self, name: String, parts: Columns, probes: &Side) -> (Column, Draws) {
        let part = 1.0 / parts.len() as f64;
        let values: Option<Vec<f64>> = parts.iter().map(|(column, _)| column.value).collect();
        let draws = Draws::combined(parts.iter().map(|(_, draws)| (part, draws))).unwrap_or_default();
        let sum = |of: fn(&Column) -> u64| parts.iter().map(|(column, _)| of(column)).sum::<u64>();
        let positives = sum(|c| c.positives);
        let Some((first, _)) = parts.first() else { return Default::default() };
        let column = Column {
            name,
            value: values.map(|v| v.iter().sum::<f64>() * part),
            resolved: parts.iter().all(|(column, _)| column.resolved),
            positives,
            negatives: sum(|c| c.negatives),
            pairs: positives,
            listed: positives,
            threshold: first.threshold.filter(|_| parts.len() == 1),
            ..first.clone()
        };
        self.spread(column, draws, positives, distinct(probes.persons.iter()))
    }
}

fn drawn<'a>(s: &'a Searched<'_>, mates: &'a [Mate], probes: &'a Side) -> Drawn<'a> {
    Drawn { mates, scan: &s.scan, probes: &probes.persons, gallery: &s.gallery.persons }
}

/// The number of pairs whose least score is InsightFace's threshold of a FPIR.
fn their_number(fpir: f64, probes: &Side) -> u64 {
    (fpir * probes.embeddings.len() as f64).ceil().max(1.0) as u64
}

/// The best mate of each probe, by probe.
fn best_mates(mates: &[Mate]) -> Vec<Mate> {
    let best = |of: &[Mate]| of.iter().copied().reduce(|a, b| if b.score > a.score { b } else { a });
    mates.chunk_by(|a, b| a.probe == b.probe).filter_map(best).collect()
}
