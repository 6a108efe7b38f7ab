//! RFW: ten-fold accuracy of each group, and error rates at thresholds common to all.

use std::collections::BTreeMap;

use lfs_stage::{Context, Result};

use super::Desk;
use super::pairs::{Scored, folds, right_or_wrong};
use crate::definition::verify;
use crate::group::{self, Member};
use crate::interval::{Trial, present, share};
use crate::metrics::{Column, Details, Figure, Metrics};
use crate::protocol::Group;

impl Desk<'_> {
    pub(super) fn groups(&self, groups: Vec<Group>, cx: &Context<'_>) -> Result<Metrics> {
        let rule = self.params.definition.rule();
        let mut all: Vec<(String, Scored)> = Vec::new();
        let (mut columns, mut details) = (Vec::new(), Details { official: true, ..Details::default() });
        let mut trials: Vec<Vec<Trial>> = Vec::new();
        for g in groups {
            let scored = self.score(&g.pairs, cx)?;
            let verified = verify(rule, &scored.trials)?;
            let name = format!("{} {}", self.entry.label, g.name);
            details.folds.push(folds(&name, &verified));
            details.official &= scored.official;
            trials.push(right_or_wrong(&verified.correct, &scored.persons));
            columns.push(self.accuracy(name, &verified, &scored, cx));
            all.push((g.name, scored));
        }
        let missing: usize = all.iter().map(|g| g.1.missing).sum();
        details.counts = BTreeMap::from([
            ("images".to_owned(), self.rows.names.len() as u64),
            ("missing-pairs".to_owned(), missing as u64),
        ]);
        let (average, std) = self.average(&columns, &trials, cx);
        columns.push(average);
        details.group_std = Some(std);
        let members: Vec<Member<'_>> =
            all.iter().map(|(name, s)| Member { name, trials: &s.trials, persons: &s.persons }).collect();
        let bootstrap = self.params.bootstrap();
        details.groups = self
            .watch
            .run(cx, "error rates by group", 0, |_| group::rates(&members, &self.fars(), &bootstrap));
        Ok(Metrics {
            protocol: self.entry.protocol.to_owned(),
            set: self.entry.set,
            confidence: self.params.confidence,
            columns,
            details,
        })
    }

    /// The mean over the groups, and the (population) standard deviation between them.
    fn average(&self, columns: &[Column], trials: &[Vec<Trial>], cx: &Context<'_>) -> (Column, Figure) {
        let values: Vec<f64> = columns.iter().filter_map(|c| c.value).collect();
        let errors: f64 = columns.iter().filter_map(|c| c.stderr).map(|e| e * e).sum();
        let (mean, std) = crate::definition::mean_std(&values, 0);
        let persons = present(trials.iter().flatten().flat_map(|t| t.persons));
        let bootstrap = self.params.bootstrap();
        let intervals = self.watch.run(cx, "bootstrap", 0, |_| {
            bootstrap.statistics(&persons, |weights| {
                let shares: Option<Vec<f64>> = trials.iter().map(|t| share(weights, t)).collect();
                match shares.map(|s| crate::definition::mean_std(&s, 0)) {
                    Some((mean, std)) => vec![Some(mean), Some(std)],
                    None => vec![None, None],
                }
            })
        });
        let interval = |k: usize| intervals.get(k).copied().flatten().map(|i| [i.low, i.high]);
        let sum = |count: fn(&Column) -> u64| columns.iter().map(count).sum();
        let column = Column {
            value: Some(mean),
            stderr: Some(errors.sqrt() / columns.len() as f64),
            interval: interval(0),
            pairs: sum(|c| c.pairs),
            listed: sum(|c| c.listed),
            positives: sum(|c| c.positives),
            negatives: sum(|c| c.negatives),
            unit: self.params.definition.rule().unit,
            ..self.column(format!("{} average", self.entry.label), self.params.definition.rule().definition)
        };
        (column, Figure { value: Some(std), interval: interval(1) })
    }
}
