//! A few sentences that follow from the numbers, each with its statistic.

use crate::render::{percent, signed};
use crate::significance::{Z, error};
use crate::table::{Row, Table, Verdict};

/// Three to five sentences.
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
        let verdict = if d.mean - d.half > 0.0 {
            "holds here"
        } else if d.mean + d.half < 0.0 {
            "does not hold here"
        } else {
            "can neither be confirmed nor denied here"
        };
        out.push(format!(
            "The paper's claim that {claim} {verdict}: {} ± {} points.",
            signed(d.mean),
            percent(d.half)
        ));
    }
    out
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

/// The mean difference of two rows over the columns that both have.
struct Difference {
    mean: f64,
    half: f64,
    columns: usize,
}

impl Difference {
    /// None without a common column, or where one of them has no interval. Columns are taken as independent.
    fn of(table: &Table, a: &Row, b: &Row) -> Option<Self> {
        let (mut sum, mut square, mut columns) = (0.0, 0.0, 0);
        for (k, column) in table.columns.iter().enumerate() {
            let (Some(x), Some(y)) = (&a.cells[k], &b.cells[k]) else { continue };
            let (Some(u), Some(v)) = (x.value, y.value) else { continue };
            if column.name.ends_with(" average") {
                continue;
            }
            sum += u - v;
            square += error(x)?.powi(2) + error(y)?.powi(2);
            columns += 1;
        }
        let n = f64::from(columns);
        (columns > 0).then(|| Self { mean: sum / n, half: Z * square.sqrt() / n, columns: columns as usize })
    }
}
