//! Assembles the table from results.

use std::collections::{BTreeMap, BTreeSet};

use lfs_metrics::student;
use lfs_stage::{Failure, Result};

use crate::inference::{CONFIDENCE, Estimate, holm};
use crate::input::Found;
use crate::order;
use crate::params::Params;
use crate::table::{Average, Cell, Column, Row, Source, Table, Verdict};
use crate::{claims, findings};

/// A row under construction: its labels, and for each column the results so far.
type Gathered = (BTreeMap<String, String>, Vec<Vec<Source>>);

/// Assembles the table.
///
/// # Errors
/// If two results of one column differ in definition, or two belong to the same cell and seed.
pub fn assemble(params: &Params, found: &[Found]) -> Result<Table> {
    let (columns, mut notes) = columns(found)?;
    let labels = order::row_labels(found);
    let mut rows: Vec<Gathered> = Vec::new();
    for f in found {
        let mut own: BTreeMap<String, String> =
            labels.iter().filter_map(|l| f.labels.get(l).map(|v| (l.clone(), v.clone()))).collect();
        // Files without labels are distinguished by their names.
        if f.labels.is_empty() && found.len() > 1 {
            own.insert("file".to_owned(), f.from.clone());
        }
        let at = rows.iter().position(|r| r.0 == own).unwrap_or_else(|| {
            rows.push((own, vec![Vec::new(); columns.len()]));
            rows.len() - 1
        });
        for c in &f.metrics.columns {
            let Some(k) = columns.iter().position(|known| known.name == c.name) else { continue };
            let (row, cells) = &mut rows[at];
            let sources = &mut cells[k];
            let new = source(f, c);
            let same = |s: &&Source| (s.world(), s.training()) == (new.world(), new.training());
            if let Some(twice) = sources.iter().find(same) {
                return Err(Failure::new(format!(
                    "{} and {} are both results for {} of {}",
                    twice.from,
                    new.from,
                    c.name,
                    order::row_name(row)
                ))
                .help("take one of them out of the input `results`, or give them different labels `seed` or `world`"));
            }
            sources.push(new);
        }
    }
    rows.sort_by(|a, b| order::rows(&a.0, &b.0));
    let mut rows: Vec<Row> = rows
        .into_iter()
        .map(|(labels, cells)| Row {
            name: order::row_name(&labels),
            cells: cells.into_iter().map(|s| (!s.is_empty()).then(|| cell(s))).collect(),
            labels,
            average: None,
        })
        .collect();
    for (k, column) in columns.iter().enumerate() {
        for row in &mut rows {
            let reference = params.reference.value(&row.labels, &column.name);
            if let Some(cell) = &mut row.cells[k] {
                cell.reference = reference;
                cell.incomparable =
                    reference.and_then(|_| incomparable(column, &cell.sources)).map(str::to_owned);
                let comparable = cell.value.filter(|_| cell.incomparable.is_none());
                cell.difference = comparable.zip(reference).map(|(ours, theirs)| ours - theirs);
            }
        }
        notes.extend(unequal(column, &rows, k));
    }
    notes.extend(uncompared(&columns, &rows));
    notes.extend(selected(found));
    let averaged = average(&columns, &mut rows);
    judge(&columns, &mut rows);
    if params.reference != crate::Reference::None && !params.reference.has_numbers() {
        notes.push(format!(
            "No source has the numbers of {}: none of the paper is shown.",
            params.reference.title()
        ));
    }
    let mut table = Table {
        title: params.title.clone(),
        reference: params.reference.title().to_owned(),
        columns,
        rows,
        averaged,
        claims: Vec::new(),
        findings: Vec::new(),
        notes,
    };
    let mut asked = params.claims.clone();
    if params.findings {
        table.findings = findings::findings(&table);
        if asked.is_empty() {
            asked = findings::of_the_paper(&table);
        }
    }
    table.claims = claims::judge(&asked, &table)?;
    table.findings.extend(findings::comparisons(&table, &params.comparisons)?);
    Ok(table)
}

/// The columns in order, with one definition each.
fn columns(found: &[Found]) -> Result<(Vec<Column>, Vec<String>)> {
    let mut out: Vec<(_, Column, &str)> = Vec::new();
    let mut made: Vec<&str> = Vec::new();
    for f in found {
        for (place, c) in f.metrics.columns.iter().enumerate() {
            let Some((_, known, from)) = out.iter().find(|o| o.1.name == c.name) else {
                let column = Column {
                    name: c.name.clone(),
                    set: f.metrics.set.clone(),
                    protocol: f.metrics.protocol.clone(),
                    definition: c.definition.clone(),
                    flip: c.flip.clone(),
                };
                out.push((order::column(&f.metrics.set, &c.name, place), column, &f.from));
                continue;
            };
            let unlike = if known.definition != c.definition {
                Some(("definition", &known.definition, &c.definition))
            } else if known.flip != c.flip {
                Some(("treatment of mirror images", &known.flip, &c.flip))
            } else {
                None
            };
            if let Some((what, a, b)) = unlike {
                return Err(Failure::new(format!(
                    "column {} would mix two numbers that are not comparable: {from} has the {what} `{a}`, {} has `{b}`",
                    c.name, f.from
                ))
                .help("evaluate all with one definition, or make two tables"));
            }
        }
        if !f.metrics.details.official && !made.contains(&f.metrics.set.as_str()) {
            made.push(&f.metrics.set);
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    let mut notes = Vec::new();
    if !made.is_empty() {
        notes.push(format!(
            "Not of the official size, so not comparable with published numbers: {}.",
            made.join(", ")
        ));
    }
    Ok((out.into_iter().map(|o| o.1).collect(), notes))
}

/// A note on results whose loss was chosen by the accuracy on a test set.
fn selected(found: &[Found]) -> Option<String> {
    let mut all: BTreeSet<String> = BTreeSet::new();
    for f in found {
        if let Some(set) = &f.metrics.details.selected_on {
            let method = f.labels.get("method").cloned().unwrap_or_else(|| f.from.clone());
            all.insert(format!("{method} (on {set})"));
        }
    }
    let all: Vec<String> = all.into_iter().collect();
    (!all.is_empty()).then(|| {
        format!(
            "Chosen by the accuracy on a test set, so that numbers on that set are no fair ones: {}.",
            all.join(", ")
        )
    })
}

fn source(f: &Found, c: &lfs_metrics::Column) -> Source {
    // All intervals of a table are 95 % intervals; for another confidence, the standard error is used instead.
    let interval = c.interval.filter(|_| f.metrics.confidence == CONFIDENCE);
    let of_interval =
        || interval.map(|[low, high]| (high - low) / 2.0 / student::quantile(CONFIDENCE, f64::INFINITY));
    Source {
        from: f.from.clone(),
        seed: f.labels.get("seed").cloned(),
        value: c.value.filter(|_| c.resolved),
        world: f.labels.get("world").cloned(),
        standard_error: c.standard_error.or_else(of_interval),
        interval,
        pairs: c.pairs,
        listed: c.listed,
        positives: c.positives,
        negatives: c.negatives,
        threshold: c.threshold,
        unit: c.unit.clone(),
        official: f.metrics.details.official,
        selected_here: f.metrics.details.selected_on.as_ref() == Some(&f.metrics.set),
        counts: f.metrics.details.counts.clone(),
        draws: f.metrics.draws.get(&c.name).cloned().unwrap_or_default(),
        drawn: f.metrics.resampling.as_ref().map(|r| (r.seed, r.replicates)),
    }
}

/// Why a cell is not comparable with the paper's number. That number covers the whole official lists, without
/// mirror images, and, if it is an accuracy, uses the definition `paper`.
fn incomparable(column: &Column, sources: &[Source]) -> Option<&'static str> {
    if sources.iter().any(|s| !s.official) {
        Some("the lists are not of the official size")
    } else if sources.iter().any(|s| s.pairs != s.listed) {
        Some("images are missing")
    } else if column.is_accuracy() && column.definition != "paper" {
        Some("the definition is not the paper's")
    } else if column.flip != "none" {
        Some("mirror images were used, which the paper did not")
    } else if sources.iter().any(|s| s.selected_here) {
        Some("the loss was chosen by the accuracy on this set")
    } else {
        None
    }
}

/// A note for each reason why no difference to the paper's numbers is shown.
fn uncompared(columns: &[Column], rows: &[Row]) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (k, column) in columns.iter().enumerate() {
        let reasons: BTreeSet<&str> =
            rows.iter().filter_map(|r| r.cells[k].as_ref()?.incomparable.as_deref()).collect();
        for reason in reasons {
            by_reason.entry(reason).or_default().push(&column.name);
        }
    }
    let note = |(reason, names): (&str, Vec<&str>)| {
        format!("No difference to the paper's number, as {reason}: {}.", names.join(", "))
    };
    by_reason.into_iter().map(note).collect()
}

/// A note if the cells of a column are based on different numbers of pairs.
fn unequal(column: &Column, rows: &[Row], k: usize) -> Option<String> {
    let sources = || rows.iter().filter_map(|r| r.cells[k].as_ref()).flat_map(|c| &c.sources);
    let first = sources().next()?;
    let key = |s: &Source| (s.pairs, s.listed, s.positives, s.negatives);
    let other = sources().find(|s| key(s) != key(first))?;
    Some(format!(
        "{}: {} rests on {} of {} pairs, {} on {} of {}; images are missing from one of them.",
        column.name, first.from, first.pairs, first.listed, other.from, other.pairs, other.listed
    ))
}

/// A cell out of the results of all worlds and trainings.
fn cell(sources: Vec<Source>) -> Cell {
    let mut cell = Cell { sources, ..Cell::default() };
    let Some(estimate) = Estimate::of(&[(1.0, &cell)]) else {
        // Not resolved in one of them.
        let worlds: BTreeSet<&str> = cell.sources.iter().map(Source::world).collect();
        (cell.worlds, cell.trainings) = (worlds.len(), cell.sources.len() / worlds.len().max(1));
        return cell;
    };
    cell.value = Some(estimate.value);
    (cell.worlds, cell.trainings) = (estimate.worlds, estimate.trainings);
    cell.standard_error = estimate.error.map(|error| error.standard);
    cell.over = estimate.error.map(|error| error.over);
    cell.std = estimate.error.and_then(|error| match estimate.worlds {
        1 => error.trainings.map(|e| e * (estimate.trainings as f64).sqrt()),
        worlds => Some(error.standard * (worlds as f64).sqrt()),
    });
    // Of a single result the interval is as evaluated.
    cell.interval = match cell.sources.as_slice() {
        [only] if only.interval.is_some() => only.interval,
        all => estimate.share(all.iter().map(|s| s.pairs).max().unwrap_or(0)),
    };
    cell
}

/// Sets the mean of each row over the accuracy columns, if every row has a value in all of them.
fn average(columns: &[Column], rows: &mut [Row]) -> Vec<String> {
    // RFW's own average is the mean of columns that are included already.
    let is_one = |c: &&Column| c.is_accuracy() && !c.name.ends_with(" average");
    let which: Vec<usize> = columns.iter().enumerate().filter(|(_, c)| is_one(c)).map(|(k, _)| k).collect();
    if which.len() < 2 {
        return Vec::new();
    }
    let part = 1.0 / which.len() as f64;
    let mut means = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        let cells: Option<Vec<(f64, &Cell)>> =
            which.iter().map(|&k| row.cells[k].as_ref().map(|cell| (part, cell))).collect();
        let Some(estimate) = cells.and_then(|cells| Estimate::of(&cells)) else { return Vec::new() };
        means.push(Average { value: estimate.value, interval: estimate.interval(), verdict: None });
    }
    for (row, mean) in rows.iter_mut().zip(means) {
        row.average = Some(mean);
    }
    which.iter().map(|&k| columns[k].name.clone()).collect()
}

/// A place of the table: its row, and its column, or none for the average.
type Place = (usize, Option<usize>);

/// Marks the best of each column and of the averages. Of the others it says whether they are below it, after Holm's correction over
/// all these comparisons.
fn judge(columns: &[Column], rows: &mut [Row]) {
    let value = |row: &Row, column: Option<usize>| match column {
        Some(k) => row.cells[k].as_ref().and_then(|cell| cell.value),
        None => row.average.map(|average| average.value),
    };
    let weights = |column: Option<usize>| -> Vec<(usize, f64)> {
        let averaged = |k: &usize| columns[*k].is_accuracy() && !columns[*k].name.ends_with(" average");
        let which: Vec<usize> = match column {
            Some(k) => vec![k],
            None => (0..columns.len()).filter(averaged).collect(),
        };
        which.iter().map(|k| (*k, 1.0 / which.len() as f64)).collect()
    };
    let mut verdicts: Vec<(Place, Option<f64>, Option<Verdict>)> = Vec::new();
    for column in (0..columns.len()).map(Some).chain([None]) {
        let there: Vec<(usize, f64)> =
            rows.iter().enumerate().filter_map(|(i, row)| value(row, column).map(|v| (i, v))).collect();
        let Some(best) = there.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a }) else { continue };
        for (i, value) in there {
            if value == best.1 {
                verdicts.push(((i, column), None, Some(Verdict::Best)));
                continue;
            }
            let parts = claims::difference(&weights(column), &rows[best.0], &rows[i]);
            let p = Estimate::of(&parts).and_then(|difference| difference.p_value(0.0));
            verdicts.push(((i, column), p, None));
        }
    }
    let p_values: Vec<f64> = verdicts.iter().filter_map(|(_, p, _)| *p).collect();
    let mut corrected = holm(&p_values).into_iter();
    for ((i, column), p, verdict) in verdicts {
        let p = p.and_then(|_| corrected.next());
        let below = |p: f64| if p < 1.0 - CONFIDENCE { Verdict::Below } else { Verdict::NotSignificant };
        let verdict = verdict.or(p.map(below));
        match column {
            Some(k) => {
                if let Some(cell) = &mut rows[i].cells[k] {
                    (cell.p, cell.verdict) = (p, verdict);
                }
            }
            None => {
                if let Some(average) = &mut rows[i].average {
                    average.verdict = verdict;
                }
            }
        }
    }
}
