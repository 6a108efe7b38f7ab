//! Computes [`Metrics`] from the inputs of a job, by task.

mod bundle;
mod groups;
mod identify;
mod pairs;
mod search;
mod templates;
mod watch;

use lfs_formats::vectors::{self, Name, Vectors, first_ten};
use lfs_metrics::{Column, Details, Draws, Metrics};
use lfs_stage::{Context, Failure, Result};

use crate::catalog::{self, Entry};
use crate::definition::{Definition, Unit, Verification};
use crate::params::Params;
use crate::protocol::{self, Lists, Task};
use crate::resample::Bootstrap;
use crate::resample::Persons;
use crate::rows::{self, Rows};
use crate::score::{Embeddings, Flip};
use crate::tpr_at_far::TprAtFar;
use watch::Watch;

/// Columns with their replicates.
type Columns = Vec<(Column, Draws)>;

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
    let definition = match task {
        Task::Verification(_) | Task::Groups(_) | Task::Bundle(_) => params.definition.rule().definition,
        Task::Identification(_) | Task::Templates(_) => match params.definition {
            Verification::Exact | Verification::Insightface => params.definition.rule().definition,
            other => {
                return Err(Failure::new(format!("`definition` is {}", other.rule().definition))
                    .help("identification and templates have `exact` and `insightface`"));
            }
        },
        Task::Distractors(_) | Task::AllPairs(_) => Definition::MateRank,
    };
    let flip = flip(params, definition, cx)?;
    let (embeddings, names) = Embeddings::read(cx.input("embeddings")?, flip)?;
    if embeddings.is_empty() {
        return Err(Failure::new("there are no embeddings: the file has no rows"));
    }
    // Galleries and templates have persons in their lists.
    let listed = matches!(task, Task::Identification(_) | Task::Templates(_));
    let rows = rows(params, cx, embeddings.len(), names, listed)?;
    let persons = Persons::new(catalog::family(params.set), rows.persons.iter().map(String::as_str));
    let job = Job { params, entry, rows, persons, embeddings, flip, watch: Watch::new(cx.threads())? };
    let metrics = match task {
        Task::Verification(read) => job.verification(read(&lists)?, cx),
        Task::Bundle(read) => job.bundle(read(&lists)?, cx),
        Task::Groups(read) => job.groups(read(&lists)?, cx),
        Task::Distractors(read) => job.distractors(read(&lists, params.distractors)?, cx),
        Task::AllPairs(read) => job.all_pairs(read(&lists)?, cx),
        Task::Identification(read) => job.identification(read(&lists, &job.rows)?, cx),
        Task::Templates(read) => job.templates(read(&lists)?, cx),
    };
    let mut metrics = metrics?;
    metrics.details.selected_on = selected_on(cx.input("embeddings")?);
    Ok(metrics)
}

/// The treatment of mirror images. Another program's embeddings often lack them; the definition's own treatment is left out then,
/// with a warning.
fn flip(params: &Params, definition: Definition, cx: &Context<'_>) -> Result<Flip> {
    let flip = params.flip(definition);
    let path = cx.input("embeddings")?;
    let own = params.flip == Flip::ByDefinition && flip != Flip::None && cx.input_opt("dataset")?.is_none();
    if own && Vectors::open_flipped(path).map_err(|e| Failure::new(e.to_string()))?.is_none() {
        cx.warn(format!(
            "the definition `{}` adds the embeddings of mirror images, and there are none, called `flipped`: the images \
             alone are scored",
            definition.name()
        ));
        return Ok(Flip::None);
    }
    Ok(flip)
}

/// The images behind the rows: those of the data set, else the names that are given or that are in the file. `listed`: whether the
/// lists of the protocol say who is in an image.
fn rows(
    params: &Params,
    cx: &Context<'_>,
    n: usize,
    inside: Option<Vec<Name>>,
    listed: bool,
) -> Result<Rows> {
    let (dataset, list) = (cx.input_opt("dataset")?, cx.input_opt("names")?);
    let names = match (dataset, list) {
        (Some(_), Some(_)) => {
            return Err(Failure::new("the inputs `dataset` and `names` both name the images; give one of them"));
        }
        (Some(dataset), None) => {
            let rows = Rows::open(dataset)?;
            if rows.names.len() == n {
                return Ok(rows);
            }
            return Err(Failure::new(format!("{n} embeddings for a data set of {} images", rows.names.len()))
                .help("the inputs `embeddings` and `dataset` must belong to the same node of the align stage"));
        }
        (None, Some(list)) => vectors::names::read(list, n).map_err(|e| Failure::new(e.to_string()))?,
        (None, None) => inside.ok_or_else(|| {
            Failure::new("the embeddings have no names, so that no image of the protocol can be found").help(
                "give the input `names`, a file with the name of each row, or `dataset`, the set that was embedded; names in \
                 an .npz must be texts (`dtype=str`), not objects",
            )
        })?,
    };
    let mut rows = Rows::named(names.clone(), |image| protocol::person(params.set, image));
    if rows.persons.len() < 2 {
        // All images lie in one folder.
        rows = Rows::named(names, rows::by_file);
    }
    if rows.persons.len() == n && n > 1 && !listed {
        cx.warn(
            "every image counts as a person of its own, by its name: intervals are too narrow if persons have several \
             images; give the person after each name, separated by a tab",
        );
    }
    Ok(rows)
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

    /// The requested ranks, else the protocol's.
    fn ranks(&self) -> Vec<u32> {
        let said = &self.params.ranks;
        if said.is_empty() { self.entry.ranks.to_vec() } else { said.clone() }
    }

    /// The requested FARs of an open-set TPR, else the protocol's.
    fn identification_fars(&self) -> Vec<f64> {
        let said = &self.params.identification_fars;
        if said.is_empty() { self.entry.identification_fars.to_vec() } else { said.clone() }
    }

    /// Draws replicates on the thread pool of the job.
    fn drawn<T: Send>(&self, cx: &Context<'_>, draw: impl FnOnce(&Bootstrap) -> T + Send) -> T {
        self.watch.run(cx, "bootstrap", 0, |_| draw(&self.params.bootstrap()))
    }

    /// The row of each image of a list, and how many have none.
    fn find(&self, names: &[&str], what: &str, cx: &Context<'_>) -> Result<(Vec<Option<usize>>, u64)> {
        let found = self.rows.find(names)?;
        let missing: Vec<&str> =
            found.iter().zip(names).filter(|(row, _)| row.is_none()).map(|(_, name)| *name).collect();
        self.missing(cx, &missing, names.len(), what)?;
        Ok((found, missing.len() as u64))
    }

    /// The file out of columns with their replicates.
    fn metrics(&self, columns: Columns, details: Details) -> Metrics {
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

    /// Reports images of the list that are not there: an error, or a warning if they are to be skipped.
    fn missing(&self, cx: &Context<'_>, missing: &[&str], listed: usize, what: &str) -> Result<()> {
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = missing.iter().take(11).map(|n| format!("`{n}`")).collect();
        let text = format!("{} of {listed} {what} have no embedding: {}", missing.len(), first_ten(&names));
        if missing.len() == listed {
            let there: Vec<String> = self.rows.names.iter().take(3).map(|n| format!("`{n}`")).collect();
            return Err(Failure::new(format!("{text}; there are {}", there.join(", "))).help(
                "do the lists and the images belong together, and is `set` right? Names are compared from their ends",
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
