//! Computes [`Metrics`] from the inputs of a job, by task.

mod bundle;
mod groups;
mod pairs;
mod search;
mod watch;

use lfs_metrics::{Column, Details, Draws, Metrics};
use lfs_stage::{Context, Failure, Result};

use crate::catalog::{self, Entry};
use crate::definition::{Definition, Unit};
use crate::params::Params;
use crate::protocol::{Lists, Task};
use crate::resample::Persons;
use crate::rows::Rows;
use crate::score::{Embeddings, Flip};
use crate::tpr_at_far::TprAtFar;
use watch::Watch;

/// The data shared by all tasks.
struct Job<'a> {
    params: &'a Params,
    entry: &'static Entry,
    rows: Rows,
    persons: Persons,
    embeddings: Embeddings,
    flip: Flip,
    watch: Watch,
}

/// Reads the inputs and evaluates.
pub fn evaluate(params: &Params, cx: &Context<'_>) -> Result<Metrics> {
    let entry = catalog::entry(params.set, params.split);
    let task = entry.task();
    let lists = Lists::open(cx.input("lists")?)?;
    let rows = Rows::open(cx.input("dataset")?)?;
    let definition = match task {
        Task::Verification(_) | Task::Groups(_) | Task::Bundle(_) => params.definition.rule().definition,
        Task::Distractors(_) | Task::AllPairs(_) => Definition::MateRank,
    };
    let flip = params.flip(definition);
    let embeddings = Embeddings::read(cx.input("embeddings")?, flip)?;
    if embeddings.len() != rows.names.len() {
        return Err(Failure::new(format!(
            "{} embeddings for a data set of {} images",
            embeddings.len(),
            rows.names.len()
        ))
        .help("the inputs `embeddings` and `dataset` must belong to the same node of the align stage"));
    }
    let persons = Persons::new(catalog::family(params.set), rows.persons.iter().map(String::as_str));
    let job = Job { params, entry, rows, persons, embeddings, flip, watch: Watch::new(cx.threads())? };
    let metrics = match task {
        Task::Verification(read) => job.verification(read(&lists)?, cx),
        Task::Bundle(read) => job.bundle(read(&lists)?, cx),
        Task::Groups(read) => job.groups(read(&lists)?, cx),
        Task::Distractors(read) => job.distractors(read(&lists, params.distractors)?, cx),
        Task::AllPairs(read) => job.all_pairs(read(&lists)?, cx),
    };
    let mut metrics = metrics?;
    metrics.details.selected_on = selected_on(cx.input("embeddings")?);
    Ok(metrics)
}

/// The test set on which the network behind the embeddings was selected, if recorded next to them.
fn selected_on(embeddings: &std::path::Path) -> Option<String> {
    let text = std::fs::read_to_string(embeddings.join("embeddings.json")).ok()?;
    let info: serde_json::Value = serde_json::from_str(&text).ok()?;
    info.get("selected-on")?.as_str().map(str::to_owned)
}

impl Job<'_> {
    /// The requested FARs, else the paper's.
    fn fars(&self) -> Vec<f64> {
        let said = &self.params.fars;
        if said.is_empty() { self.entry.fars.to_vec() } else { said.clone() }
    }

    /// The file out of columns with their replicates.
    fn metrics(&self, columns: Vec<(Column, Draws)>, details: Details) -> Metrics {
        let name = |(column, draws): &(Column, Draws)| (column.name.clone(), draws.clone());
        Metrics {
            protocol: self.entry.protocol.to_owned(),
            set: self.entry.set.name().to_owned(),
            confidence: self.params.confidence,
            resampling: self.params.bootstrap().resampling(&self.persons),
            draws: columns.iter().filter(|(_, draws)| !draws.is_empty()).map(name).collect(),
            columns: columns.into_iter().map(|(column, _)| column).collect(),
            details,
        }
    }

    /// A column without a number, to be completed.
    fn column(&self, name: String, definition: Definition) -> Column {
        Column {
            name,
            definition: definition.name().to_owned(),
            flip: self.flip.name().to_owned(),
            resolved: true,
            unit: Some(Unit::Cosine.name().to_owned()),
            ..Column::default()
        }
    }

    /// The column of a TPR at a FAR, to be completed.
    fn tpr_column(&self, name: String, definition: Definition, at: &TprAtFar) -> Column {
        Column {
            value: at.tpr,
            resolved: at.tpr.is_some(),
            positives: at.positives,
            negatives: at.negatives,
            threshold: Some(at.threshold),
            far: Some(at.target),
            ..self.column(name, definition)
        }
    }

    /// A column with its standard error and intervals, as `draws` and the number of `trials` and persons have it.
    fn spread(&self, column: Column, draws: Draws, trials: u64, persons: usize) -> (Column, Draws) {
        let of = |value| self.params.bootstrap().spread(value, &draws, trials, persons);
        let Some(spread) = column.value.and_then(of) else { return (column, Draws::default()) };
        let column = Column {
            standard_error: Some(spread.standard_error),
            interval: Some(spread.interval),
            bootstrap: Some(spread.bootstrap),
            ..column
        };
        (column, draws)
    }

    /// Reports missing images: an error, or a warning if they are to be skipped.
    fn missing(
        &self,
        cx: &Context<'_>,
        missing: usize,
        listed: usize,
        what: &str,
        first: &str,
    ) -> Result<()> {
        if missing == 0 {
            return Ok(());
        }
        let text = format!("{missing} of {listed} {what} are not in the data set (first: `{first}`)");
        if missing == listed {
            return Err(Failure::new(text).help(
                "do the inputs `lists` and `dataset` come from the same acquire stage, and is `set` right?",
            ));
        }
        match self.params.missing {
            crate::params::Missing::Skip => {
                cx.warn(format!("{text}; skipped"));
                Ok(())
            }
            crate::params::Missing::Fail => Err(Failure::new(text).help(
                "see which stage dropped them (clean, overlap, align); `missing = \"skip\"` leaves them out and \
                 says so in the result",
            )),
        }
    }
}

/// The name of a TPR column: `MegaFace TPR@FAR=1e-6`.
fn tpr_name(label: &str, far: f64) -> String {
    format!("{label} TPR@FAR={far:e}")
}
