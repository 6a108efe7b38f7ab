//! Decides whether a difference is significant.
//!
//! The standard error of a cell over pairs is half its 95 % interval divided by 1.96 (or the standard error
//! itself if there is no interval). Several seeds share the pairs, so their standard error is
//! `sqrt(pairs^2 + std^2 / n)`. The difference of two cells has `sqrt(a^2 + b^2)`. Since both are tested on
//! the same pairs, this is too wide rather than too narrow.

use crate::table::{Cell, Source, Verdict};

/// 95 % of a normal distribution lie within this many standard deviations.
pub const Z: f64 = 1.959_964;

/// Makes a cell from the results of one or several seeds.
pub fn cell(sources: Vec<Source>) -> Cell {
    let n = sources.len() as f64;
    let value = mean(&sources, |s| s.value);
    let stderr = mean(&sources, |s| s.stderr);
    let std = value.filter(|_| sources.len() > 1).map(|m| {
        let square: f64 = sources.iter().filter_map(|s| s.value).map(|v| (v - m) * (v - m)).sum();
        (square / (n - 1.0)).sqrt()
    });
    let pairs = persons(&sources);
    let interval = match (value, std, pairs, &sources[..]) {
        (Some(_), None, _, [only]) if only.interval.is_some() => only.interval,
        (Some(v), std, Some(pairs), _) => {
            let half = Z * libm::hypot(pairs, std.unwrap_or(0.0) / n.sqrt());
            Some([v - half, v + half])
        }
        _ => None,
    };
    Cell { value, seeds: sources.len(), std, stderr, interval, sources, ..Cell::default() }
}

/// The mean of a number, if all sources have it.
fn mean(sources: &[Source], of: impl Fn(&Source) -> Option<f64>) -> Option<f64> {
    let all: Option<Vec<f64>> = sources.iter().map(of).collect();
    all.filter(|v| !v.is_empty()).map(|v| v.iter().sum::<f64>() / v.len() as f64)
}

/// The standard error over persons (mean over seeds): from the intervals, or the standard error itself.
pub fn persons(sources: &[Source]) -> Option<f64> {
    mean(sources, |s| s.interval.map(|[low, high]| (high - low) / 2.0 / Z))
        .or_else(|| mean(sources, |s| s.stderr))
}

/// The standard error of a cell over pairs and seeds.
pub fn error(cell: &Cell) -> Option<f64> {
    cell.interval.map(|[low, high]| (high - low) / 2.0 / Z)
}

/// Marks the best cell of a column, and whether the others differ significantly from it.
pub fn judge(column: &mut [&mut Cell]) {
    let known = column.iter().filter_map(|c| c.value.map(|v| (v, error(c))));
    let Some((best, best_error)) = known.reduce(|a, b| if b.0 > a.0 { b } else { a }) else { return };
    for cell in column.iter_mut() {
        cell.verdict = match (cell.value, error(cell), best_error) {
            (None, ..) => None,
            (Some(v), ..) if v == best => Some(Verdict::Best),
            (Some(v), Some(a), Some(b)) if best - v <= Z * libm::hypot(a, b) => Some(Verdict::NotSignificant),
            (Some(_), Some(_), Some(_)) => Some(Verdict::Below),
            _ => None,
        };
    }
}
