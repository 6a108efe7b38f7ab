//! Sets of pairs in one list: an accuracy for each, under its common name.

use std::collections::BTreeMap;

use lfs_metrics::{Details, Metrics};
use lfs_stage::{Context, Failure, Result};

use super::Job;
use super::pairs::folds;
use crate::catalog;
use crate::definition::verify;
use crate::protocol::Group;

impl Job<'_> {
    pub(super) fn bundle(&self, sets: Vec<Group>, cx: &Context<'_>) -> Result<Metrics> {
        let rule = self.params.definition.rule();
        let (mut columns, mut details) = (Vec::new(), Details { official: true, ..Details::default() });
        let mut missing = 0;
        for set in sets {
            let known = catalog::called(&set.name);
            let label = known.map_or_else(|| set.name.clone(), |e| e.label.to_owned());
            let within = |e: Failure| Failure { message: format!("{}: {}", set.name, e.message), ..e };
            let scored = self.score(&set.pairs, cx).map_err(within)?;
            let verified = verify(rule, &scored.trials).map_err(within)?;
            details.official &= known.is_some_and(|e| catalog::is_official(e.set.official(), &set.pairs));
            details.folds.push(folds(&label, &verified));
            missing += scored.missing;
            columns.push(self.accuracy(label.clone(), &verified, &scored, cx));
            columns.extend(self.tprs(&label, &scored, &self.persons, false, cx));
        }
        details.counts = BTreeMap::from([
            ("images".to_owned(), self.rows.names.len() as u64),
            ("missing-pairs".to_owned(), missing as u64),
        ]);
        // In the paper's order; sets that it lacks follow in the order of the list.
        columns.sort_by_key(|(c, _)| catalog::place(&c.name));
        Ok(self.metrics(columns, details))
    }
}
