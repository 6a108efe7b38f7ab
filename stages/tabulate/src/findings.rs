//! A few sentences derived from the numbers, each with its statistic.

use lfs_stage::{Failure, Result};

use crate::render::{percent, signed};
use crate::significance::{Z, error};
use crate::table::{Row, Table, Verdict};

/// At most five sentences.
pub fn findings(table: &Table) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(best(table));
    let row = |method: &str| table.rows.iter().find(|r| r.labels.get("method").is_some_and(|m| m == method));
    if let (Some(am), Some(softmax)) = (row("am-softmax"), row("softmax"))
        && let Some(d) = Difference::of(table, am, softmax)
    {
        out.push(format!(
            "{} over {}: {} points on average over {} columns (95 % interval {} to {}).",
            am.name,
            softmax.name,
            signed(d.mean),
            d.columns,
            signed(d.mean - d.half),
            signed(d.mean + d.half)
        ));
    }
    let claims = [
        ("random-softmax", "softmax", "Random-Softmax is better than Softmax"),
        ("search-softmax", "am-softmax", "Search-Softmax is at least as good as AM-Softmax on average"),
        ("search-softmax", "am-lfs", "Search-Softmax is better than AM-LFS"),
    ];
    for (ours, other, claim) in claims {
        let (Some(a), Some(b)) = (row(ours), row(other)) else { continue };
        let Some(d) = Difference::of(table, a, b) else { continue };
        let Some(verdict) = d.verdict() else {
            out.push(format!(
                "One training of each method: no verdict on the paper's claim that {claim}; these two differ by {} points.",
                signed(d.mean)
            ));
            continue;
        };
        let verdict = match verdict {
            Order::Better => "holds here",
            Order::Worse => "does not hold here",
            Order::NotResolved => "can neither be confirmed nor denied here",
        };
        out.push(format!(
            "The paper's claim that {claim} {verdict}: {} ± {} points.",
            signed(d.mean),
            percent(d.half)
        ));
    }
    out
}

/// Compares two rows that the user named: accuracies separately from rates at low FARs.
///
/// # Errors
/// If there is no such row.
pub fn comparison(table: &Table, [ours, other]: &[String; 2]) -> Result<String> {
    let row = |method: &String| {
        table.rows.iter().find(|r| r.labels.get("method") == Some(method)).ok_or_else(|| {
            let all: Vec<&str> =
                table.rows.iter().filter_map(|r| r.labels.get("method").map(String::as_str)).collect();
            Failure::new(format!("`comparisons` names `{method}`, of which there is no result"))
                .help(format!("the rows are {}", all.join(", ")))
        })
    };
    let (a, b) = (row(ours)?, row(other)?);
    let accuracy = |name: &str| table.averaged.iter().any(|n| n == name);
    let mut parts = Vec::new();
    for (what, wanted) in [("accuracy", true), ("other", false)] {
        if let Some(d) = Difference::over(table, a, b, &|name| accuracy(name) == wanted) {
            let sure = if d.mean.abs() > d.half { "" } else { ", not significant" };
            let (mean, half) = (signed(d.mean), percent(d.half));
            parts.push(format!("{mean} ± {half} points over {} {what} columns{sure}", d.columns));
        }
    }
    match parts.is_empty() {
        true => Ok(format!("{} against {}: nothing to compare.", a.name, b.name)),
        false => Ok(format!("{} against {}: {}.", a.name, b.name, parts.join("; "))),
    }
}

fn best(table: &Table) -> Option<String> {
    if table.rows.len() < 2 {
        return None;
    }
    if !table.averaged.is_empty() {
        let top =
            table.rows.iter().max_by(|a, b| a.average.unwrap_or(0.0).total_cmp(&b.average.unwrap_or(0.0)))?;
        let n = table.averaged.len();
        return Some(format!(
            "{} is best on average over {n} accuracy columns: {} %.",
            top.name,
            percent(top.average?)
        ));
    }
    let wins = |r: &Row| r.cells.iter().flatten().filter(|c| c.verdict == Some(Verdict::Best)).count();
    let top = table.rows.iter().rev().max_by_key(|r| wins(r)).filter(|r| wins(r) > 0)?;
    Some(format!("{} is best in {} of {} columns.", top.name, wins(top), table.columns.len()))
}

/// The order of two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It is better by more than the interval.
    Better,
    /// It is worse by more than the interval.
    Worse,
    /// The interval contains 0.
    NotResolved,
}

impl Order {
    /// The wording in a record.
    pub fn words(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NotResolved => "not resolved",
        }
    }
}

/// The mean difference of two rows over their common columns.
pub struct Difference {
    mean: f64,
    half: f64,
    columns: usize,
    /// The minimum number of trainings per cell.
    trainings: usize,
}

impl Difference {
    /// None if there is no common column, or a cell has no interval. Columns are treated as independent.
    pub fn of(table: &Table, a: &Row, b: &Row) -> Option<Self> {
        Self::over(table, a, b, &|_| true)
    }

    /// None for a single training: the variation between trainings of the same method is only known from
    /// repeated ones.
    pub fn verdict(&self) -> Option<Order> {
        let verdict = if self.mean - self.half > 0.0 {
            Order::Better
        } else if self.mean + self.half < 0.0 {
            Order::Worse
        } else {
            Order::NotResolved
        };
        (self.trainings > 1).then_some(verdict)
    }

    /// As above, over some of the columns.
    fn over(table: &Table, a: &Row, b: &Row, wanted: &dyn Fn(&str) -> bool) -> Option<Self> {
        let (mut sum, mut square, mut columns, mut trainings) = (0.0, 0.0, 0, usize::MAX);
        for (k, column) in table.columns.iter().enumerate() {
            let (Some(x), Some(y)) = (&a.cells[k], &b.cells[k]) else { continue };
            let (Some(u), Some(v)) = (x.value, y.value) else { continue };
            if column.name.ends_with(" average") || !wanted(&column.name) {
                continue;
            }
            sum += u - v;
            square += error(x)?.powi(2) + error(y)?.powi(2);
            columns += 1;
            trainings = trainings.min(x.seeds).min(y.seeds);
        }
        let n = f64::from(columns);
        (columns > 0).then(|| Self {
            mean: sum / n,
            half: Z * square.sqrt() / n,
            columns: columns as usize,
            trainings,
        })
    }
}
