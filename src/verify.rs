//! Whether a run reproduces a lock file.
//!
//! If the environment is the locked one, every byte must be the same. Elsewhere (another libtorch, a GPU) training cannot promise
//! the same bytes; there the cells of tables are judged. A cell of another run is *equivalent* when two one-sided tests at 5 % each
//! show that the difference lies within the bound that the lock file records (Schuirmann, Journal of Pharmacokinetics and
//! Biopharmaceutics 15, 1987), which is so when its 90 % interval does. The interval is Welch's: the standard errors of both runs are
//! those over their own repetitions, and both were tested on the same data.

use std::collections::BTreeMap;

use lfs_stage::{Cell, Repeated};
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::cache::Record;
use crate::lock::{Lock, Locked, Now, Reason, names};
use crate::plan::Plan;

/// The probability of each of the two tests that a cell that differs by the bound passes it.
const LEVEL: f64 = 0.05;

/// How all results compare with a lock file.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// The nodes of the pipeline, and those that only the lock file contains.
    pub nodes: Vec<Node>,
    /// The locked cells.
    pub cells: Vec<Judged>,
    /// The locked findings.
    pub findings: Vec<Finding>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// Its name.
    #[serde(rename = "node")]
    pub name: String,
    /// How it compares.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// How a node's outputs compare.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Verdict {
    /// They have the same bytes.
    Exact,
    /// They differ, and so does the environment of the node or of what it reads; the node, or one that reads it, has cells to judge by.
    ByCells {
        /// The differences.
        reasons: Vec<Reason>,
    },
    /// The same, but no cell depends on the node.
    Unjudged,
    /// They differ, and should be the same.
    Different {
        /// The differences.
        reasons: Vec<Reason>,
    },
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// The node.
    pub node: String,
    /// The cell.
    pub cell: String,
    /// The locked number; none where the cell is not locked, or has no number.
    pub locked: Option<f64>,
    /// The number of this run.
    pub now: Option<f64>,
    /// The 90 % interval of the difference.
    pub interval: Option<[f64; 2]>,
    /// The bound: the interval must lie within it, on both sides of zero.
    pub bound: Option<f64>,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: CellVerdict,
}

/// How a cell compares.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum CellVerdict {
    /// The same number, of the same bytes.
    Exact,
    /// It has been shown to differ by no more than the bound.
    Equivalent,
    /// That could not be shown.
    Differs {
        /// Why.
        why: String,
    },
}

/// The verdicts on a claim.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The node.
    pub node: String,
    /// The claim.
    pub claim: String,
    /// What the lock file says of it.
    pub locked: Option<String>,
    /// What this run says of it.
    pub now: Option<String>,
}

impl Finding {
    /// Whether this run says the same.
    pub fn holds(&self) -> bool {
        self.now == self.locked
    }
}

impl Report {
    /// Compares the results of a pipeline's nodes, by their places in the plan.
    pub fn of(plan: &Plan, lock: &Lock, results: &BTreeMap<usize, Now<'_>>) -> Self {
        let nodes = plan.nodes.len();
        let name = |i: usize| plan.nodes[i].name.as_str();
        let all: BTreeMap<usize, Vec<Reason>> =
            results.iter().map(|(&i, now)| (i, lock.differences(name(i), *now))).collect();
        let is_exact = |i: usize| all.get(&i).is_some_and(Vec::is_empty);
        // Whether a node was computed in another environment, or reads differing bytes of one that was.
        let mut elsewhere = vec![false; nodes];
        for i in &plan.order {
            elsewhere[*i] =
                results.get(i).is_some_and(|now| lock.in_another_environment(name(*i), now.print))
                    || plan.reads(*i).any(|before| elsewhere[before] && !is_exact(before));
        }
        // Whether a node has cells, or is read by one that has.
        let mut vouched = vec![false; nodes];
        for i in plan.order.iter().rev() {
            vouched[*i] = lock.node.get(name(*i)).is_some_and(|locked| !locked.cells.is_empty())
                || plan.readers(*i).any(|behind| vouched[behind]);
        }
        let mut report = Self::default();
        for (i, reasons) in all {
            let now = results[&i];
            let excused = elsewhere[i] && lock.is_computed_alike(name(i), now);
            let verdict = match (reasons.is_empty(), excused, vouched[i]) {
                (true, ..) => Verdict::Exact,
                (false, true, true) => Verdict::ByCells { reasons },
                (false, true, false) => Verdict::Unjudged,
                (false, false, _) => Verdict::Different { reasons },
            };
            if !lock.is_without_cells() {
                let none = Locked::default();
                let locked = lock.node.get(name(i)).unwrap_or(&none);
                report.add(name(i), locked, now.record, verdict == Verdict::Exact);
            }
            report.nodes.push(Node { name: name(i).to_owned(), verdict });
        }
        for (name, locked) in lock.node.iter().filter(|(n, _)| plan.find(n).is_none()) {
            let reasons = vec![Reason::OnlyLocked];
            report.add(name, locked, &Record::default(), false);
            report.nodes.push(Node { name: name.clone(), verdict: Verdict::Different { reasons } });
        }
        report
    }

    /// Adds the cells and findings of a node, those that are locked and those of this run.
    fn add(&mut self, node: &str, locked: &Locked, record: &Record, same_bytes: bool) {
        for name in names(&locked.cells, &record.cells) {
            let (before, now) = (locked.cells.get(name), record.cells.get(name));
            let judged = judge(before, now, same_bytes);
            self.cells.push(Judged {
                node: node.to_owned(),
                cell: name.clone(),
                locked: before.and_then(|c| c.value),
                now: now.and_then(|c| c.value),
                interval: judged.interval,
                bound: before.and_then(|c| c.repeated).map(|r| r.bound),
                verdict: judged.verdict,
            });
        }
        for claim in names(&locked.findings, &record.findings) {
            self.findings.push(Finding {
                node: node.to_owned(),
                claim: claim.clone(),
                locked: locked.findings.get(claim).cloned(),
                now: record.findings.get(claim).cloned(),
            });
        }
    }

    /// How many nodes have a verdict.
    pub fn nodes_that(&self, is: impl Fn(&Verdict) -> bool) -> usize {
        self.nodes.iter().filter(|n| is(&n.verdict)).count()
    }

    /// Whether every byte is the same, and the cells and findings in the lock file are those of the run.
    pub fn is_exact(&self) -> bool {
        self.nodes.iter().all(|n| n.verdict == Verdict::Exact) && self.is_reproduced()
    }

    /// Whether everything is exact or equivalent, and every finding holds.
    pub fn is_reproduced(&self) -> bool {
        self.nodes.iter().all(|n| matches!(n.verdict, Verdict::Exact | Verdict::ByCells { .. }))
            && self.cells.iter().all(|c| !matches!(c.verdict, CellVerdict::Differs { .. }))
            && self.findings.iter().all(Finding::holds)
    }

    /// The summary, in one sentence.
    pub fn sentence(&self, bytes_alone: bool) -> String {
        let of = |verdict: &CellVerdict| self.cells.iter().filter(|c| c.verdict == *verdict).count();
        let (exact, equivalent, cells) =
            (of(&CellVerdict::Exact), of(&CellVerdict::Equivalent), self.cells.len());
        let mut parts = Vec::new();
        let exact_nodes = self.nodes_that(|v| *v == Verdict::Exact);
        if cells == 0 || bytes_alone {
            parts.push(format!("{exact_nodes} of {} nodes exact", self.nodes.len()));
        }
        if cells > 0 {
            let word = match (exact, equivalent) {
                (_, 0) => "exact",
                (0, _) => "equivalent",
                _ => "exact or equivalent",
            };
            parts.push(format!("{} of {cells} cells {word}", exact + equivalent));
        }
        if !self.findings.is_empty() {
            let hold = self.findings.iter().filter(|f| f.holds()).count();
            parts.push(format!("{hold} of {} findings hold", self.findings.len()));
        }
        let mut count = |what: &str, is: &dyn Fn(&Verdict) -> bool| match self.nodes_that(is) {
            0 => {}
            n => parts.push(format!("{} {what}", crate::show::nodes(n))),
        };
        count("different", &|v| matches!(v, Verdict::Different { .. }));
        count("without a cell to judge by", &|v| *v == Verdict::Unjudged);
        let end = match (bytes_alone, if bytes_alone { self.is_exact() } else { self.is_reproduced() }) {
            (_, true) => "reproduced",
            (false, false) => "not reproduced",
            (true, false) => "not the same bytes",
        };
        format!("{}: {end}", parts.join(", "))
    }
}

/// The verdict of the tests on a cell.
struct Judgement {
    interval: Option<[f64; 2]>,
    verdict: CellVerdict,
}

fn judge(locked: Option<&Cell>, now: Option<&Cell>, same_bytes: bool) -> Judgement {
    let plain = |verdict| Judgement { interval: None, verdict };
    let differs = |why: String| plain(CellVerdict::Differs { why });
    let (locked, now) = match (locked, now) {
        (Some(locked), Some(now)) => (locked, now),
        (Some(_), None) => {
            return differs("it is in the lock file, and this run has no such cell".to_owned());
        }
        _ => return differs("it is not in the lock file".to_owned()),
    };
    let both = format!("{} was locked and {} is the result", number(locked), number(now));
    let (x, y) = match (locked.value, now.value) {
        _ if same_bytes && locked == now => return plain(CellVerdict::Exact),
        _ if same_bytes => return differs(format!("{both} with the same bytes: the lock file was edited")),
        (Some(x), Some(y)) => (x, y),
        // Neither run could measure a number, so none can differ.
        (None, None) => return plain(CellVerdict::Equivalent),
        _ => return differs(both),
    };
    let (Some(a), Some(b)) = (locked.repeated, now.repeated) else {
        let whose = if locked.repeated.is_none() { "the lock file's was" } else { "this run's was" };
        return differs(format!(
            "{both}; {whose} computed once, so that nothing says how far another training may be from it"
        ));
    };
    let Some([low, high]) = interval(y - x, a, b).filter(|_| a.bound.is_finite()) else {
        return differs(format!("{both}; no interval follows from what is said of them"));
    };
    let verdict = if -a.bound <= low && high <= a.bound {
        CellVerdict::Equivalent
    } else {
        let [low, high, bound] = [low, high, a.bound].map(crate::show::figure);
        CellVerdict::Differs {
            why: format!("{both}; 90 % interval of the difference {low} to {high}, bound {bound}"),
        }
    };
    Judgement { interval: Some([low, high]), verdict }
}

/// Degrees of freedom above this are replaced by it: its quantile of the t distribution is that of the normal distribution to five
/// digits, and it can be computed.
const MANY: f64 = 1e5;

/// The interval of a difference outside of which it lies with a probability of [`LEVEL`] on each side, with as many degrees of freedom
/// as Welch (Biometrika 34, 1947) gives it.
fn interval(difference: f64, a: Repeated, b: Repeated) -> Option<[f64; 2]> {
    let is_sound = |r: Repeated| r.freedom >= 1.0 && r.error >= 0.0;
    if !(is_sound(a) && is_sound(b)) {
        return None;
    }
    let (u, v) = (a.error * a.error, b.error * b.error);
    let error = (u + v).sqrt();
    let reach = if error == 0.0 {
        0.0
    } else {
        let freedom = (u + v) * (u + v) / (u * u / a.freedom + v * v / b.freedom);
        if !(0.999..).contains(&freedom) {
            return None;
        }
        error * StudentsT::new(0.0, 1.0, freedom.min(MANY)).ok()?.inverse_cdf(1.0 - LEVEL)
    };
    let [low, high] = [difference - reach, difference + reach];
    (low.is_finite() && high.is_finite()).then_some([low, high])
}

fn number(cell: &Cell) -> String {
    cell.value.map_or_else(|| "no number".to_owned(), crate::show::figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(value: f64, error: f64, freedom: f64) -> Cell {
        Cell { value: Some(value), repeated: Some(Repeated { bound: 0.02, error, freedom }) }
    }

    fn is_equivalent(locked: &Cell, now: &Cell) -> bool {
        judge(Some(locked), Some(now), false).verdict == CellVerdict::Equivalent
    }

    #[test]
    fn the_interval_is_that_of_welch() {
        // With 3.2748 degrees of freedom, of which SciPy's `t.ppf(0.95, 3.2748)` is 2.2750.
        let [low, high] = interval(0.01, rep(0.003, 2.0), rep(0.005, 2.0)).unwrap();
        let error = 0.003_f64.hypot(0.005);
        assert!(((high - low) / 2.0 / error - 2.2750).abs() < 1e-4, "{low} {high}");
        // Many repetitions: the normal distribution's 1.645.
        let [low, high] = interval(0.0, rep(0.003, 1e5), rep(0.003, 1e5)).unwrap();
        assert!(((high - low) / 2.0 / (0.003 * 2_f64.sqrt()) - 1.645).abs() < 0.001);
    }

    fn rep(error: f64, freedom: f64) -> Repeated {
        Repeated { bound: 1.0, error, freedom }
    }

    #[test]
    fn near_values_with_small_errors_are_equivalent_and_noise_is_not_sameness() {
        assert!(is_equivalent(&cell(0.9, 0.002, 2.0), &cell(0.905, 0.002, 2.0)));
        assert!(!is_equivalent(&cell(0.9, 0.002, 2.0), &cell(0.93, 0.002, 2.0)), "too far");
        assert!(
            !is_equivalent(&cell(0.9, 0.02, 2.0), &cell(0.9, 0.02, 2.0)),
            "too noisy for anything to be shown"
        );
        assert!(!is_equivalent(&cell(0.9, 0.002, 2.0), &cell(0.9, 0.03, 2.0)), "this run is too noisy");
        assert!(is_equivalent(&cell(1.0, 0.0, 2.0), &cell(1.0, 0.0, 2.0)), "saturated in every repetition");
        let why = |j: Judgement| match j.verdict {
            CellVerdict::Differs { why } => why,
            _ => String::new(),
        };
        let once = Cell { value: Some(0.9), repeated: None };
        assert!(
            why(judge(Some(&once), Some(&cell(0.9, 0.0, 2.0)), false))
                .contains("the lock file's was computed once")
        );
        assert!(
            why(judge(Some(&cell(0.9, 0.0, 2.0)), Some(&once), false))
                .contains("this run's was computed once")
        );
        assert!(why(judge(Some(&once), None, false)).contains("has no such cell"));
        assert!(why(judge(None, Some(&once), false)).contains("not in the lock file"));
    }

    #[test]
    fn a_cell_of_the_same_bytes_is_exact_unless_the_lock_file_says_another_number() {
        let (a, b) = (cell(0.9, 0.01, 2.0), cell(0.91, 0.01, 2.0));
        assert_eq!(judge(Some(&a), Some(&a), true).verdict, CellVerdict::Exact);
        assert!(matches!(judge(Some(&a), Some(&b), true).verdict, CellVerdict::Differs { .. }));
        let unresolved = Cell { value: None, repeated: None };
        assert!(is_equivalent(&unresolved, &unresolved), "not resolved in either run");
        assert!(!is_equivalent(&unresolved, &a) && !is_equivalent(&a, &unresolved));
    }

    #[test]
    fn no_number_makes_a_verdict_panic_or_pass() {
        let odd = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e-320, 1.0, 1e7, 2e7, 1e8, f64::MAX];
        for value in odd {
            for error in odd {
                for freedom in odd {
                    let now = cell(value, error, freedom);
                    if is_equivalent(&cell(0.9, 0.001, 2.0), &now) {
                        assert!((value - 0.9).abs() <= 0.02, "{now:?}");
                    }
                    let endless = Repeated { bound: f64::INFINITY, error: 0.001, freedom: 2.0 };
                    let endless = Cell { value: Some(0.9), repeated: Some(endless) };
                    assert!(!is_equivalent(&endless, &now), "no bound");
                }
            }
        }
    }
}
