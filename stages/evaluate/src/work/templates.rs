//! IJB: pairs of templates (1:1), and searches with templates (1:N).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use lfs_formats::vectors::first_ten;
use lfs_metrics::{Details, Metrics};
use lfs_stage::{Context, Result};
use petgraph::unionfind::UnionFind;
use rayon::prelude::*;

use super::Job;
use super::pairs::Scored;
use super::search::Side;
use crate::catalog;
use crate::definition::{Trials, Verification};
use crate::protocol::{TemplateSearches, Templates};
use crate::resample::Persons;
use crate::score::Embeddings;
use crate::templates::{Pooling, pool};

/// The number of pairs that are scored at once.
const BLOCK: usize = 1 << 14;

impl Job<'_> {
    pub(super) fn templates(&self, all: Templates, cx: &Context<'_>) -> Result<Metrics> {
        let theirs = self.params.definition == Verification::Insightface;
        if theirs && !all.scored {
            cx.warn("there is no list of detector scores: each counts as 1");
        }
        let names: Vec<&str> = all.members.iter().map(|m| m.image.as_str()).collect();
        let (found, missing) = self.find(&names, "images of the templates", cx)?;
        let pooling = if theirs { Pooling::Insightface } else { Pooling::Unit };
        let (units, without) = pool(&self.embeddings, &all.members, &found, all.names.len(), pooling);
        if !without.is_empty() {
            let named: Vec<String> = without.iter().map(|t| all.names[*t as usize].to_string()).collect();
            cx.warn(format!(
                "{} of {} templates have no embedding, and are left out: {}",
                without.len(),
                all.names.len(),
                first_ten(&named)
            ));
        }
        let (identities, persons) = self.persons_of(&all);
        let there = |t: &u32| without.binary_search(t).is_err();
        let scored = self.score_templates(&all, &units, &identities, there, cx);
        let mut columns = self.tprs(self.entry.label, &scored, &persons, theirs, cx);
        let mut counts = BTreeMap::from([
            ("images".to_owned(), all.members.len() as u64),
            ("missing-images".to_owned(), missing),
            ("templates".to_owned(), all.names.len() as u64),
            ("missing-pairs".to_owned(), scored.missing as u64),
        ]);
        if let Some(TemplateSearches { probes, galleries }) = &all.searches {
            let side = |templates: &[(u32, i64)]| {
                let some: Vec<(u32, i64)> = templates.iter().copied().filter(|(t, _)| there(t)).collect();
                let rows: Vec<usize> = some.iter().map(|(t, _)| *t as usize).collect();
                Side {
                    embeddings: units.rows(&rows),
                    identities: some.iter().map(|(_, subject)| *subject).collect(),
                    persons: rows.iter().map(|t| identities[*t]).collect(),
                    listed: templates.len() as u64,
                    missing: (templates.len() - some.len()) as u64,
                }
            };
            let galleries: Vec<Side> = galleries.iter().map(|g| side(g)).collect();
            let (more, of) = self.identify(&side(probes), &galleries, &[], &persons, cx)?;
            columns.extend(more);
            counts.extend(of);
        }
        let details = Details { official: scored.official, counts, ..Details::default() };
        Ok(self.metrics(columns, details))
    }

    /// The person of each template: those of a subject are one person, and so are those of a pair of one person.
    fn persons_of(&self, all: &Templates) -> (Vec<u32>, Persons) {
        let n = all.names.len();
        let mut sets = UnionFind::<u32>::new(n);
        for (a, b, _) in all.pairs.iter().filter(|p| p.2) {
            sets.union(*a, *b);
        }
        let mut first: HashMap<i64, u32> = HashMap::new();
        let searches = all.searches.iter();
        for (template, subject) in searches.flat_map(|s| s.probes.iter().chain(s.galleries.iter().flatten()))
        {
            sets.union(*first.entry(*subject).or_insert(*template), *template);
        }
        let mut number: HashMap<u32, u32> = HashMap::new();
        let mut names: Vec<String> = Vec::new();
        let identities = (0..n as u32).map(|template| {
            let next = names.len() as u32;
            let person = *number.entry(sets.find(template)).or_insert(next);
            if person == next {
                names.push(all.names[template as usize].to_string());
            }
            person
        });
        let identities = identities.collect();
        (identities, Persons::new(catalog::family(self.entry.set), names.iter().map(String::as_str)))
    }

    fn score_templates(
        &self,
        all: &Templates,
        units: &Embeddings,
        persons: &[u32],
        there: impl Fn(&u32) -> bool,
        cx: &Context<'_>,
    ) -> Scored {
        let pairs: Vec<(u32, u32, bool)> =
            all.pairs.iter().copied().filter(|(a, b, _)| there(a) && there(b)).collect();
        let mut scores = vec![0.0; pairs.len()];
        self.watch.run(cx, "scoring", pairs.len() as u64, |count| {
            scores.par_chunks_mut(BLOCK).zip(pairs.par_chunks(BLOCK)).for_each(|(out, pairs)| {
                for (score, (a, b, _)) in out.iter_mut().zip(pairs) {
                    *score = units.cosine(*a as usize, *b as usize);
                }
                count.fetch_add(pairs.len() as u64, Ordering::Relaxed);
            });
        });
        Scored {
            trials: Trials { scores, same: pairs.iter().map(|p| p.2).collect(), fold: Vec::new() },
            persons: pairs.iter().map(|(a, b, _)| [persons[*a as usize], persons[*b as usize]]).collect(),
            listed: all.pairs.len(),
            missing: all.pairs.len() - pairs.len(),
            official: catalog::is_official_count(self.entry.set.official(), all.pairs.len()),
        }
    }
}
