//! RFW: ten-fold accuracy of each group, and error rates at thresholds common to all.

use std::collections::BTreeMap;

use lfs_metrics::draws::quantiles;
use lfs_metrics::{Column, Details, Draws, Figure, Metrics};
use lfs_stage::{Context, Result};

use super::Job;
use super::pairs::{Scored, folds};
use crate::definition::{mean_std, verify};
use crate::group::{self, Member};
use crate::protocol::Group;
use crate::resample::distinct;

impl Job<'_> {
    pub(super) fn groups(&self, groups: Vec<Group>, cx: &Context<'_>) -> Result<Metrics> {
        let rule = self.params.definition.rule();
        let mut all: Vec<(String, Scored)> = Vec::new();
        let (mut columns, mut details) = (Vec::new(), Details { official: true, ..Details::default() });
        for g in groups {
            let scored = self.score(&g.pairs, cx)?;
            let verified = verify(rule, &scored.trials)?;
            let name = format!("{} {}", self.entry.label, g.name);
            details.folds.push(folds(&name, &verified));
            details.official &= scored.official;
            columns.push(self.accuracy(name, &verified, &scored, cx));
            all.push((g.name, scored));
        }
        let missing: usize = all.iter().map(|g| g.1.missing).sum();
        details.counts = BTreeMap::from([
            ("images".to_owned(), self.rows.names.len() as u64),
            ("missing-pairs".to_owned(), missing as u64),
        ]);
        let persons = distinct(all.iter().flat_map(|g| &g.1.persons).flatten());
        let (average, std) = self.average(&columns, persons);
        columns.push(average);
        details.group_std = Some(std);
        let members: Vec<Member<'_>> =
            all.iter().map(|(name, s)| Member { name, trials: &s.trials, persons: &s.persons }).collect();
        let bootstrap = self.params.bootstrap();
        details.groups = self.watch.run(cx, "error rates by group", 0, |_| {
            group::rates(&members, &self.fars(), &self.persons, &bootstrap)
        });
        Ok(self.metrics(columns, details))
    }

    /// The mean over the groups, and the (population) standard deviation between them.
    fn average(&self, columns: &[(Column, Draws)], persons: usize) -> ((Column, Draws), Figure) {
        let values: Vec<f64> = columns.iter().filter_map(|(c, _)| c.value).collect();
        let (mean, std) = mean_std(&values, 0);
        let sum = |count: fn(&Column) -> u64| columns.iter().map(|(c, _)| count(c)).sum();
        let rule = self.params.definition.rule();
        let errors: Option<Vec<f64>> = columns.iter().map(|(c, _)| c.fold_error).collect();
        let square = |errors: Vec<f64>| errors.iter().map(|e| e * e).sum::<f64>().sqrt();
        let column = Column {
            value: Some(mean),
            fold_error: errors.map(|errors| square(errors) / values.len() as f64),
            pairs: sum(|c| c.pairs),
            listed: sum(|c| c.listed),
            positives: sum(|c| c.positives),
            negatives: sum(|c| c.negatives),
            unit: Some(rule.unit.name().to_owned()),
            ..self.column(format!("{} average", self.entry.label), rule.definition)
        };
        let part = 1.0 / columns.len() as f64;
        let draws = Draws::combined(columns.iter().map(|(_, draws)| (part, draws))).unwrap_or_default();
        let each: Vec<Vec<f64>> =
            columns.iter().zip(&values).map(|((_, draws), value)| draws.replicates(*value)).collect();
        let between = |r: usize| mean_std(&each.iter().map(|group| group[r]).collect::<Vec<f64>>(), 0).1;
        let stds = (0..draws.len()).map(between).collect();
        let trials = column.pairs;
        let interval = quantiles(stds, self.params.confidence);
        (self.spread(column, draws, trials, persons), Figure { value: Some(std), interval })
    }
}
