//! `lfs-pipe lock`, `lfs-pipe verify` and `lfs-pipe run --locked`

use serde::Serialize;
use serde_json::json;

use super::args::{Common, RunArgs, VerifyArgs};
use super::execute::execute;
use super::project::Project;
use super::rest::Ahead;
use super::{print, print_json};
use crate::cache::Cache;
use crate::engine::{Forecast, Stop};
use crate::fault::{Fault, Result};
use crate::lock::{Lock, Verdict};
use crate::manifest::shown;
use crate::paths::write_whole;
use crate::show::nodes;

pub(super) fn lock(common: &Common) -> Result<()> {
    let project = Project::open(common)?;
    let cache = project.cache()?;
    let foreseen = project.forecast(&cache, &[])?;
    let lock = Lock::of(results(&project, &foreseen)?.into_iter());
    let file = Lock::file(&project.manifest.path);
    let text = lock.text().map_err(|e| Fault::machine(e.to_string()))?;
    if file.symlink_metadata().is_ok() && Lock::read(&file).is_err() {
        return Err(Fault::usage(format!("{} is there, and is no lock file of this program", shown(&file)))
            .with_help("move it away if it is a lock file of another program; remove it if it is a damaged one of this"));
    }
    write_whole(&file, text)?;
    print(&format!("{}: {}\n", shown(&file), nodes(lock.node.len())))
}

type Results<'a> =
    Vec<(&'a str, &'a crate::fingerprint::Fingerprint, crate::fingerprint::Key, &'a crate::cache::Record)>;

/// The results of all nodes; each must have one.
fn results<'a>(project: &'a Project, foreseen: &'a [Option<Forecast>]) -> Result<Results<'a>> {
    let mut out = Vec::new();
    for (node, forecast) in project.plan.nodes.iter().zip(foreseen) {
        let Some(f) = forecast else { continue };
        match (&f.fingerprint, f.key, &f.record) {
            (Some(print), Some(key), Some(record)) => out.push((node.name.as_str(), print, key, record)),
            _ => {
                return Err(Fault::usage(format!("`{}` has no result yet", node.name))
                    .with_help("run the pipeline first: `lfs-pipe run`"));
            }
        }
    }
    Ok(out)
}

/// Before a run with `--locked`: the lock, if nothing is known to differ from it.
pub(super) fn before(project: &Project, cache: &Cache, targets: &[String]) -> Result<Lock> {
    let lock = Lock::read(&Lock::file(&project.manifest.path))?;
    let mut wrong = Vec::new();
    let foreseen = project.forecast(cache, targets)?;
    for (node, forecast) in project.plan.nodes.iter().zip(&foreseen) {
        let Some(f) = forecast else { continue };
        if !lock.node.contains_key(&node.name) {
            wrong.push((node.name.clone(), vec!["it is not in the lock file".to_owned()]));
        } else if let (Some(print), Some(key)) = (&f.fingerprint, f.key) {
            let reasons = lock.against(&node.name, key, print);
            if !reasons.is_empty() {
                wrong.push((node.name.clone(), reasons));
            }
        }
    }
    if targets.is_empty() {
        for name in lock.node.keys().filter(|n| project.plan.find(n).is_none()) {
            wrong.push((name.clone(), vec!["it is in the lock file, and not in the pipeline".to_owned()]));
        }
    }
    refuse(&wrong, "nothing was run")?;
    Ok(lock)
}

/// After a run with `--locked`: every result must be the locked one.
pub(super) fn after(project: &Project, cache: &Cache, lock: &Lock, targets: &[String]) -> Result<()> {
    let foreseen = project.forecast(cache, targets)?;
    let mut wrong = Vec::new();
    for (name, print, key, record) in results(project, &foreseen)? {
        if let Verdict::Different { reasons } = lock.verdict(name, (print, key, record), false, 0.0) {
            wrong.push((name.to_owned(), reasons));
        }
    }
    refuse(&wrong, "the results are kept, and are not those of the lock file")
}

fn refuse(wrong: &[(String, Vec<String>)], so: &str) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    let mut text =
        format!("{} not as locked: {so}", nodes(wrong.len()) + if wrong.len() == 1 { " is" } else { " are" });
    for (name, reasons) in wrong.iter().take(20) {
        text += &format!("\n  {name}: {}", reasons.join("; "));
    }
    if wrong.len() > 20 {
        text += &format!("\n  and {} more", wrong.len() - 20);
    }
    Err(Fault::differ(text).with_help(
        "if that is wanted, run without --locked and write the lock file anew with `lfs-pipe lock`",
    ))
}

#[derive(Serialize)]
struct Line {
    node: String,
    #[serde(flatten)]
    verdict: Verdict,
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
    execute(&own, &project, &cache, &run, &Stop::default(), Ahead::default())?;
    let foreseen = project.forecast(&cache, &[])?;
    let mut elsewhere = vec![false; project.plan.nodes.len()];
    for i in &project.plan.order {
        let own = foreseen[*i].as_ref().and_then(|f| f.fingerprint.as_ref());
        elsewhere[*i] = own.is_some_and(|p| lock.in_another_environment(&project.plan.nodes[*i].name, p))
            || project.plan.reads(*i).any(|before| elsewhere[before]);
    }
    let mut lines = Vec::new();
    for (name, print, key, record) in results(&project, &foreseen)? {
        let elsewhere = project.plan.find(name).is_some_and(|i| elsewhere[i]);
        let verdict = lock.verdict(name, (print, key, record), elsewhere, args.tolerance);
        lines.push(Line { node: name.to_owned(), verdict });
    }
    for name in lock.node.keys().filter(|n| project.plan.find(n).is_none()) {
        let reasons = vec!["it is in the lock file, and not in the pipeline".to_owned()];
        lines.push(Line { node: name.clone(), verdict: Verdict::Different { reasons } });
    }
    let of = |what: &dyn Fn(&Verdict) -> bool| lines.iter().filter(|l| what(&l.verdict)).count();
    let exact = of(&|v| *v == Verdict::Exact);
    let near = of(&|v| matches!(v, Verdict::WithinTolerance { .. }));
    let behind = of(&|v| *v == Verdict::Behind);
    let different = lines.len() - exact - near - behind;
    if args.json {
        print_json(&json!({
            "exact": exact, "within-tolerance": near, "behind": behind, "different": different,
            "tolerance": args.tolerance, "nodes": lines,
        }))?;
    } else {
        let mut text = format!("{} exact", nodes(exact));
        if near > 0 {
            text += &format!(", {near} within {} in another environment", args.tolerance);
        }
        if behind > 0 {
            text += &format!(", {behind} behind these, without figures of their own");
        }
        print(&format!("{text}, {different} different\n"))?;
    }
    let wrong: Vec<(String, Vec<String>)> = lines
        .into_iter()
        .filter_map(|l| match l.verdict {
            Verdict::Different { reasons } => Some((l.node, reasons)),
            _ => None,
        })
        .collect();
    refuse(&wrong, "this checkout does not reproduce them")
}
