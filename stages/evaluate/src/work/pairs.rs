//! Verification sets: pairs in folds.

use std::collections::{BTreeMap, BTreeSet};

use lfs_metrics::{Column, Details, Draws, Folds, Metrics};
use lfs_stage::{Context, Result};
use petgraph::unionfind::UnionFind;

use super::{Columns, Job, tpr_name};
use crate::catalog::is_official;
use crate::definition::{Definition, Trials, Verified, verify};
use crate::draws;
use crate::nearest::nearest;
use crate::protocol::Pair;
use crate::resample::{Persons, distinct};
use crate::tpr_at_far::{TprAtFar, tpr_at_far};

/// Pairs with their scores and persons.
pub struct Scored {
    /// Scores, labels, folds.
    pub trials: Trials,
    /// The persons of each pair; twice the same one for a pair of one person.
    pub persons: Vec<[u32; 2]>,
    /// The number of pairs in the list.
    pub listed: usize,
    /// The number of pairs with a missing image.
    pub missing: usize,
    /// Whether the list has the official size.
    pub official: bool,
}

impl Job<'_> {
    pub(super) fn verification(&self, pairs: Vec<Pair>, cx: &Context<'_>) -> Result<Metrics> {
        let scored = self.score(&pairs, cx)?;
        let verified = verify(self.params.definition.rule(), &scored.trials)?;
        let mut columns = vec![self.accuracy(self.entry.label.to_owned(), &verified, &scored, cx)];
        columns.extend(self.tprs(self.entry.label, &scored, &self.persons, false, cx));
        let details = Details {
            official: scored.official,
            counts: BTreeMap::from([
                ("images".to_owned(), self.rows.names.len() as u64),
                ("missing-pairs".to_owned(), scored.missing as u64),
            ]),
            folds: vec![folds(self.entry.label, &verified)],
            ..Details::default()
        };
        Ok(self.metrics(columns, details))
    }

    /// Finds the images of the pairs and scores them.
    pub(super) fn score(&self, pairs: &[Pair], cx: &Context<'_>) -> Result<Scored> {
        let names: Vec<&str> = pairs.iter().flat_map(|p| [p.a.as_str(), p.b.as_str()]).collect();
        let found = self.rows.find(&names)?;
        let mut out = Scored {
            trials: Trials::default(),
            persons: Vec::with_capacity(pairs.len()),
            listed: pairs.len(),
            missing: 0,
            official: is_official(self.entry.set.official(), pairs),
        };
        let mut missing = BTreeSet::new();
        for ((pair, rows), names) in pairs.iter().zip(found.chunks_exact(2)).zip(names.chunks_exact(2)) {
            let (Some(a), Some(b)) = (rows[0], rows[1]) else {
                missing
                    .extend(rows.iter().zip(names).filter(|(row, _)| row.is_none()).map(|(_, name)| *name));
                out.missing += 1;
                continue;
            };
            out.trials.scores.push(self.embeddings.cosine(a, b));
            out.trials.same.push(pair.same);
            out.trials.fold.push(pair.fold);
            out.persons.push([self.rows.identities[a], self.rows.identities[b]]);
        }
        let listed = names.iter().collect::<BTreeSet<_>>().len();
        self.missing(cx, &missing.into_iter().collect::<Vec<_>>(), listed, "images of the pairs")?;
        one_person(&out.trials.same, &mut out.persons);
        Ok(out)
    }

    /// The column of a k-fold accuracy, with its replicates.
    pub(super) fn accuracy(
        &self,
        name: String,
        v: &Verified,
        scored: &Scored,
        cx: &Context<'_>,
    ) -> (Column, Draws) {
        let rule = self.params.definition.rule();
        let draws =
            self.drawn(cx, |b| draws::accuracy(rule, v, &scored.trials, &scored.persons, &self.persons, b));
        let positives = scored.trials.same.iter().filter(|s| **s).count() as u64;
        let pairs = scored.trials.same.len() as u64;
        let column = Column {
            value: Some(v.value),
            std: Some(v.std),
            fold_error: Some(v.stderr),
            pairs,
            listed: scored.listed as u64,
            positives,
            negatives: pairs - positives,
            threshold: Some(v.threshold()),
            unit: Some(v.unit.name().to_owned()),
            ..self.column(name, v.definition)
        };
        self.spread(column, draws, pairs, distinct(scored.persons.iter().flatten()))
    }

    /// The columns of TPRs at the FARs over all folds together, with one bootstrap for all; `theirs`: by InsightFace's definition.
    pub(super) fn tprs(
        &self,
        label: &str,
        scored: &Scored,
        persons: &Persons,
        theirs: bool,
        cx: &Context<'_>,
    ) -> Columns {
        let fars = self.fars();
        if fars.is_empty() {
            return Columns::new();
        }
        let (positives, negatives) = self.watch.run(cx, "sorting", 0, |_| scored.trials.split());
        let at = |far: &f64| tpr_at_far(*far, &positives, &negatives, negatives.len() as u64);
        let ats: Vec<TprAtFar> = fars.iter().map(at).collect();
        let draws = self.drawn(cx, |b| draws::pair_tprs(&ats, &scored.trials, &scored.persons, persons, b));
        let people = distinct(scored.persons.iter().flatten());
        let column = |(at, draws): (&TprAtFar, Draws)| {
            let mut column = Column {
                pairs: scored.trials.same.len() as u64,
                listed: scored.listed as u64,
                ..self.tpr_column(tpr_name(label, at.target), Definition::OrderStatistics, at)
            };
            if theirs {
                let found = nearest(at.target, &positives, &negatives);
                (column.value, column.threshold) = (Some(found.tpr), Some(found.threshold));
                column.resolved = true;
                column.definition = Definition::Insightface.name().to_owned();
            }
            // Without a resolved number of their own, the replicates say nothing.
            let draws = if at.tpr.is_some() { draws } else { Draws::default() };
            self.spread(column, draws, at.positives, people)
        };
        ats.iter().zip(draws).map(column).collect()
    }
}

/// Gives one number to the persons of each pair of one person: the list decides which images show one person, whatever they are
/// called. The first of the names that belong together is theirs.
fn one_person(same: &[bool], persons: &mut [[u32; 2]]) {
    let mut sets = UnionFind::<u32>::new(persons.iter().flatten().max().map_or(0, |p| *p as usize + 1));
    let mut first: Vec<u32> = (0..sets.len() as u32).collect();
    for ([a, b], _) in persons.iter().zip(same).filter(|(_, same)| **same) {
        let least = first[sets.find(*a) as usize].min(first[sets.find(*b) as usize]);
        sets.union(*a, *b);
        first[sets.find(*a) as usize] = least;
    }
    persons.iter_mut().flatten().for_each(|p| *p = first[sets.find(*p) as usize]);
}

/// The folds of a column, for the details.
pub fn folds(column: &str, v: &Verified) -> Folds {
    Folds {
        column: column.to_owned(),
        accuracy: v.folds.iter().map(|f| f.accuracy).collect(),
        threshold: v.folds.iter().map(|f| f.threshold).collect(),
        pairs: v.folds.iter().map(|f| f.pairs as u64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::one_person;

    #[test]
    fn the_list_decides_who_is_one_person() {
        let mut persons = [[3, 1], [1, 4], [2, 0], [0, 4]];
        one_person(&[true, true, false, false], &mut persons);
        assert_eq!(persons, [[1, 1], [1, 1], [2, 0], [0, 1]]);
        one_person(&[], &mut []);
    }
}
