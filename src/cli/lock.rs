//! `lfs-pipe lock`, `lfs-pipe verify` and `lfs-pipe run --locked`

use std::collections::BTreeMap;

use super::args::{Common, RunArgs, VerifyArgs};
use super::execute::execute;
use super::print::{print, print_json};
use super::project::Project;
use crate::cache::Cache;
use crate::engine::{Forecast, Stop};
use crate::fault::{Fault, Result};
use crate::lock::{Lock, Now, Reason};
use crate::manifest::shown;
use crate::paths::write_whole;
use crate::show::nodes;
use crate::verify::{CellVerdict, Report, Verdict};

pub(super) fn lock(common: &Common) -> Result<()> {
    let project = Project::open(common)?;
    let cache = project.cache()?;
    let foreseen = project.forecast(&cache, &[])?;
    let results = results(&project, &foreseen)?;
    let lock = Lock::of(results.into_iter().map(|(i, now)| (project.plan.nodes[i].name.as_str(), now)));
    let file = Lock::file(&project.manifest.path);
    let text = lock.text().map_err(|e| Fault::machine(e.to_string()))?;
    if file.symlink_metadata().is_ok() && Lock::read(&file).is_err() {
        return Err(Fault::usage(format!("{} is there, and is no lock file of this program", shown(&file)))
            .with_help("move it away if it is a lock file of another program; remove it if it is a damaged one of this"));
    }
    write_whole(&file, text)?;
    print(&format!("{}: {}\n", shown(&file), nodes(lock.node.len())))
}

/// The results of all nodes, by their places in the plan; each must have one.
fn results<'a>(project: &Project, foreseen: &'a [Option<Forecast>]) -> Result<BTreeMap<usize, Now<'a>>> {
    let mut out = BTreeMap::new();
    for (i, (node, forecast)) in project.plan.nodes.iter().zip(foreseen).enumerate() {
        let Some(f) = forecast else { continue };
        match (&f.fingerprint, f.key, &f.record) {
            (Some(print), Some(key), Some(record)) => {
                out.insert(i, Now { print, key, record });
            }
            _ => {
                return Err(Fault::usage(format!("`{}` has no result yet", node.name))
                    .with_help("run the pipeline first: `lfs-pipe run`"));
            }
        }
    }
    Ok(out)
}

/// Before a run with `--locked`: the lock file, unless something is known to differ from it.
pub(super) fn before(project: &Project, cache: &Cache, targets: &[String]) -> Result<Lock> {
    let lock = Lock::read(&Lock::file(&project.manifest.path))?;
    let mut wrong = Vec::new();
    let foreseen = project.forecast(cache, targets)?;
    for (node, forecast) in project.plan.nodes.iter().zip(&foreseen) {
        let Some(f) = forecast else { continue };
        if !lock.node.contains_key(&node.name) {
            wrong.push((node.name.clone(), vec![Reason::NotLocked]));
        } else if let (Some(print), Some(key)) = (&f.fingerprint, f.key) {
            let reasons = lock.against(&node.name, key, print);
            if !reasons.is_empty() {
                wrong.push((node.name.clone(), reasons));
            }
        }
    }
    if targets.is_empty() {
        for name in lock.node.keys().filter(|n| project.plan.find(n).is_none()) {
            wrong.push((name.clone(), vec![Reason::OnlyLocked]));
        }
    }
    refuse(&wrong, "nothing was run")?;
    Ok(lock)
}

/// After a run with `--locked`: every result must be the locked one.
pub(super) fn after(project: &Project, cache: &Cache, lock: &Lock, targets: &[String]) -> Result<()> {
    let foreseen = project.forecast(cache, targets)?;
    let mut wrong = Vec::new();
    for (i, now) in results(project, &foreseen)? {
        let name = &project.plan.nodes[i].name;
        let reasons = lock.differences(name, now);
        if !reasons.is_empty() {
            wrong.push((name.clone(), reasons));
        }
    }
    refuse(&wrong, "the results are kept, and are not those of the lock file")
}

fn refuse(wrong: &[(String, Vec<Reason>)], so: &str) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    let mut text =
        format!("{} not as locked: {so}", nodes(wrong.len()) + if wrong.len() == 1 { " is" } else { " are" });
    let lines: Vec<String> =
        wrong.iter().map(|(name, reasons)| format!("{name}: {}", joined(reasons))).collect();
    text += &some(&lines);
    Err(Fault::differ(text)
        .with_help("if that is wanted, run without --locked and update the lock file with `lfs-pipe lock`"))
}

fn joined(reasons: &[Reason]) -> String {
    reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; ")
}

/// The first of many lines.
fn some(lines: &[String]) -> String {
    let mut text: String = lines.iter().take(20).map(|line| format!("\n  {line}")).collect();
    if lines.len() > 20 {
        text += &format!("\n  and {} more", lines.len() - 20);
    }
    text
}

pub(super) fn verify(common: &Common, args: &VerifyArgs) -> Result<()> {
    let folder = args.fresh.then(|| tempfile::tempdir_in(crate::manifest::folder(&common.file)));
    let folder = folder.transpose().map_err(|e| Fault::machine(format!("no folder can be made: {e}")))?;
    let mut own = common.clone();
    if let Some(folder) = &folder {
        own.cache = Some(folder.path().join("cache"));
        own.out = Some(folder.path().join("out"));
    }
    let project = Project::open(&own)?;
    let lock = Lock::read(&Lock::file(&project.manifest.path))?;
    let cache = project.cache()?;
    let run = RunArgs { jobs: args.jobs, quiet: args.json, html: args.html.clone(), ..RunArgs::default() };
    execute(&own, &project, &cache, &run, &Stop::default())?;
    let foreseen = project.forecast(&cache, &[])?;
    let report = Report::of(&project.plan, &lock, &results(&project, &foreseen)?);
    if args.json {
        let mut json = serde_json::to_value(&report).map_err(|e| Fault::machine(e.to_string()))?;
        json["says"] = report.sentence(args.exact).into();
        json["exact"] = report.is_exact().into();
        json["reproduced"] = report.is_reproduced().into();
        print_json(&json)?;
    } else {
        print(&(report.sentence(args.exact) + "\n" + &counted(&report)))?;
    }
    if report.is_exact() || (!args.exact && report.is_reproduced()) {
        return Ok(());
    }
    let help = if lock.is_without_cells() {
        "this lock file has an older format, without cells; `lfs-pipe lock` updates it from the results of a run"
    } else {
        "if these results are wanted, update the lock file with `lfs-pipe lock`; `verify --json` has every number"
    };
    Err(Fault::differ(said(&report, args.exact)).with_help(help))
}

/// The nodes by verdict.
fn counted(report: &Report) -> String {
    let mut parts = vec![format!("{} exact", nodes(report.nodes_that(|v| *v == Verdict::Exact)))];
    let mut add = |count: usize, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    add(
        report.nodes_that(|v| matches!(v, Verdict::ByCells { .. })),
        "with other bytes in another environment, judged by cells",
    );
    add(
        report.nodes_that(|v| *v == Verdict::Unjudged),
        "with other bytes in another environment, and no cell to judge by",
    );
    add(report.nodes_that(|v| matches!(v, Verdict::Different { .. })), "different");
    parts.join(", ") + "\n" + &elsewhere(report)
}

/// How the nodes that are judged by cells differ, other than in their bytes.
fn elsewhere(report: &Report) -> String {
    let mut counts: BTreeMap<&Reason, usize> = BTreeMap::new();
    for node in &report.nodes {
        if let Verdict::ByCells { reasons } = &node.verdict {
            let telling = reasons.iter().filter(|r| !matches!(r, Reason::Bytes(_) | Reason::Inputs));
            telling.for_each(|r| *counts.entry(r).or_default() += 1);
        }
    }
    let short = |reason: String| match reason.char_indices().nth(REASON) {
        Some((end, _)) => format!("{}...", &reason[..end]),
        None => reason,
    };
    counts.into_iter().map(|(reason, n)| format!("  {}: {}\n", nodes(n), short(reason.to_string()))).collect()
}

/// How many characters of a reason are shown: the flags of a processor are a long one.
const REASON: usize = 100;

/// The differences from the lock file, the most important first, no more than a person reads.
fn said(report: &Report, bytes_alone: bool) -> String {
    let mut lines = Vec::new();
    for f in report.findings.iter().filter(|f| !f.holds()) {
        let [locked, now] = [&f.locked, &f.now].map(|said| said.as_deref().unwrap_or("nothing"));
        lines.push(format!("{}: {}: locked is `{locked}`, this run says `{now}`", f.node, f.claim));
    }
    for c in &report.cells {
        if let CellVerdict::Differs { why } = &c.verdict {
            lines.push(format!("{}: {}: {why}", c.node, c.cell));
        }
    }
    for n in &report.nodes {
        match &n.verdict {
            Verdict::Different { reasons } => lines.push(format!("{}: {}", n.name, joined(reasons))),
            Verdict::Unjudged => {
                lines
                    .push(format!("{}: other bytes in another environment, and no cell to judge by", n.name));
            }
            Verdict::ByCells { reasons } if bytes_alone => {
                lines.push(format!("{}: {}", n.name, joined(reasons)))
            }
            _ => {}
        }
    }
    "the results are not those of the lock file".to_owned() + &some(&lines)
}
