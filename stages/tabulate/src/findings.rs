//! A few sentences derived from the numbers, each with its statistic.

use lfs_stage::Result;

use crate::claims::{self, Claim, Columns, Expect, difference, plus_minus, weights};
use crate::inference::{Estimate, holm};
use crate::render::{percent, signed};
use crate::table::{Row, Table, Verdict};

/// The paper's claims on the rows of a table, where there are these rows.
pub fn of_the_paper(table: &Table) -> Vec<Claim> {
    let claims = [
        ("random-softmax", "softmax", Expect::Better, "Random-Softmax is better than Softmax"),
        (
            "search-softmax",
            "am-softmax",
            Expect::AtLeastAsGood,
            "Search-Softmax is at least as good as AM-Softmax",
        ),
        ("search-softmax", "am-lfs", Expect::Better, "Search-Softmax is better than AM-LFS"),
    ];
    let there = |method: &str| claims::row(table, method).is_ok();
    let some = claims.into_iter().filter(|(ours, other, ..)| there(ours) && there(other));
    some.map(|(ours, other, expect, claim)| Claim {
        claim: claim.to_owned(),
        ours: ours.to_owned(),
        other: other.to_owned(),
        expect,
        margin: 0.005,
        columns: Columns::Both,
        unfair: String::new(),
    })
    .collect()
}

/// The best row, and AM-Softmax over Softmax.
pub fn findings(table: &Table) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(best(table));
    if let (Ok(am), Ok(softmax)) = (claims::row(table, "am-softmax"), claims::row(table, "softmax")) {
        for (columns, weights) in weights(table, Columns::Both, am, softmax) {
            let Some(d) = Estimate::of(&difference(&weights, am, softmax)) else { continue };
            let interval = d.interval().zip(d.error).map(|([low, high], error)| {
                format!(" (95 % interval {} to {}, over {})", signed(low), signed(high), error.over.words())
            });
            out.push(format!(
                "{} over {}: {} points on average over {columns}{}.",
                am.name,
                softmax.name,
                signed(d.value),
                interval.unwrap_or_default()
            ));
        }
    }
    out
}

/// A sentence for each pair of rows that the manifest compares, accuracies apart from rates at few false alarms. What is called
/// significant is so after Holm's correction over these comparisons.
///
/// # Errors
/// If there is no such row.
pub fn comparisons(table: &Table, pairs: &[[String; 2]]) -> Result<Vec<String>> {
    let mut all: Vec<(usize, String, Estimate)> = Vec::new();
    let mut rows: Vec<[&Row; 2]> = Vec::new();
    for (k, [ours, other]) in pairs.iter().enumerate() {
        let (a, b) = (claims::row(table, ours)?, claims::row(table, other)?);
        rows.push([a, b]);
        for (columns, weights) in weights(table, Columns::Both, a, b) {
            all.extend(Estimate::of(&difference(&weights, a, b)).map(|d| (k, columns, d)));
        }
    }
    let p_values: Vec<f64> = all.iter().map(|(_, _, d)| d.p_value(0.0).unwrap_or(1.0)).collect();
    let mut parts: Vec<Vec<String>> = vec![Vec::new(); pairs.len()];
    for ((k, columns, d), p) in all.iter().zip(holm(&p_values)) {
        let sure = match d.error {
            Some(error) if p < 0.05 => format!(", over {}", error.over.words()),
            Some(error) => format!(", over {}, not significant", error.over.words()),
            None => String::new(),
        };
        parts[*k].push(format!("{} over {columns}{sure}", plus_minus(d)));
    }
    let sentence = |([a, b], parts): (&[&Row; 2], Vec<String>)| match parts.is_empty() {
        true => format!("{} against {}: nothing to compare.", a.name, b.name),
        false => format!("{} against {}: {}.", a.name, b.name, parts.join("; ")),
    };
    Ok(rows.iter().zip(parts).map(sentence).collect())
}

fn best(table: &Table) -> Option<String> {
    if table.rows.len() < 2 {
        return None;
    }
    if !table.averaged.is_empty() {
        let with = table.rows.iter().filter_map(|row| row.average.map(|average| (row, average)));
        let (top, average) = with.clone().max_by(|a, b| a.1.value.total_cmp(&b.1.value))?;
        let near: Vec<&str> = with
            .filter(|(_, average)| average.verdict == Some(Verdict::NotSignificant))
            .map(|(row, _)| row.name.as_str())
            .collect();
        let near = match near.as_slice() {
            [] => String::new(),
            [one] => format!(" {one} is not significantly below it."),
            [all @ .., last] => format!(" {} and {last} are not significantly below it.", all.join(", ")),
        };
        return Some(format!(
            "{} is best on average over {} accuracy columns: {} %.{near}",
            top.name,
            table.averaged.len(),
            percent(average.value)
        ));
    }
    let wins = |r: &Row| r.cells.iter().flatten().filter(|c| c.verdict == Some(Verdict::Best)).count();
    let top = table.rows.iter().rev().max_by_key(|r| wins(r)).filter(|r| wins(r) > 0)?;
    Some(format!("{} is best in {} of {} columns.", top.name, wins(top), table.columns.len()))
}
