//! Running a pipeline, and showing it: what `run`, `verify` and `run --watch` have in common.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::args::{Common, RunArgs};
use super::page;
use super::print::print;
use super::project::Project;
use crate::cache::Cache;
use crate::engine::{self, Ask, Difference, Event, Stop};
use crate::fault::{At, Fault, Result};
use crate::history::{History, Recorder};
use crate::manifest::{Problem, Problems, Value, nearest_or_all, shown};
use crate::paths::absolute;
use crate::plan::{Node, Plan};
use crate::show::{JsonLines, Report, Subscriber, Trace, Verbosity, console};

/// The subscribers of every run.
pub(super) fn subscribers(
    common: &Common,
    args: &RunArgs,
    cache: &Path,
    plan: Option<(&Plan, &[usize])>,
) -> Result<Vec<Box<dyn Subscriber + Send>>> {
    let verbosity = match (args.quiet, args.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let mut subscribers: Vec<Box<dyn Subscriber + Send>> =
        vec![console(verbosity, &|| expected(plan, cache, &absolute(&common.file)))];
    if args.json {
        subscribers.push(Box::new(Report::default()));
    }
    if let Some(path) = &args.events {
        refuse_replacing(path, "a file of events", &|begin| {
            begin.starts_with(b"{\"event\":\"run-started\"")
        })?;
        subscribers.push(Box::new(JsonLines::create(path)?));
    }
    subscribers.push(Box::new(Recorder::new(cache, &absolute(&common.file), arguments())));
    Ok(subscribers)
}

/// The expected time of each node of a plan, in seconds: its last time, or that of the nodes of its stage that share most labels with it.
fn expected(plan: Option<(&Plan, &[usize])>, cache: &Path, manifest: &Path) -> HashMap<String, f64> {
    let Some((plan, targets)) = plan else { return HashMap::new() };
    let needed = plan.needed(targets);
    let known = History::expected(cache, &manifest.display().to_string());
    let mut stages: HashMap<&str, Vec<(&str, f64)>> = HashMap::new();
    for (name, seconds) in &known {
        let (stage, labels) = name.split_once('[').unwrap_or((name, ""));
        stages.entry(stage).or_default().push((labels, *seconds));
    }
    let alike = |node: &Node| {
        let labels: Vec<String> = node.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let shared = |other: &str| {
            other
                .trim_end_matches(']')
                .split(',')
                .filter(|label| labels.iter().any(|own| own == label))
                .count()
        };
        let others: Vec<(usize, f64)> = stages
            .get(node.stage.as_str())?
            .iter()
            .take(MOST)
            .map(|(other, s)| (shared(other), *s))
            .collect();
        let most = others.iter().map(|(shared, _)| *shared).max()?;
        let nearest: Vec<f64> =
            others.into_iter().filter(|(shared, _)| *shared == most).map(|(_, s)| s).collect();
        Some(nearest.iter().sum::<f64>() / nearest.len() as f64)
    };
    let of = |node: &Node| Some((node.name.clone(), known.get(&node.name).copied().or_else(|| alike(node))?));
    plan.nodes.iter().zip(needed).filter(|(_, needed)| *needed).filter_map(|(node, _)| of(node)).collect()
}

/// At most this many earlier nodes of a stage are compared with one that never ran.
const MOST: usize = 500;

/// Refuses to overwrite a file that no run wrote. `is_ours` checks its first bytes.
fn refuse_replacing(path: &Path, what: &str, is_ours: &dyn Fn(&[u8]) -> bool) -> Result<()> {
    let mut begin = Vec::new();
    match File::open(path) {
        // A pipe or a terminal has no content that could be lost.
        Ok(file) if file.metadata().is_ok_and(|m| m.is_file()) => {
            file.take(BEGIN).read_to_end(&mut begin).at("read", path)?;
        }
        _ => return Ok(()),
    }
    match begin.is_empty() || is_ours(&begin) {
        true => Ok(()),
        false => Err(Fault::usage(format!("{} is there, and is not {what} of this program", shown(path)))
            .with_help("name another file, or remove this one")),
    }
}

/// This many bytes are enough to recognise a file.
const BEGIN: u64 = 4096;

/// Prints what the manifest names under `show` and `report`, after a run of everything.
pub(super) fn show_results(args: &RunArgs, shown_files: &[PathBuf], report: Option<&PathBuf>) -> Result<()> {
    if !args.targets.is_empty() || args.quiet || args.json {
        return Ok(());
    }
    for path in shown_files {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        print(&format!("\n{}\n", text.trim_end()))?;
    }
    match report {
        Some(path) => print(&format!("\nreport: {}\n", shown(path))),
        None => Ok(()),
    }
}

/// What a run leaves to show and to check.
pub(super) struct Outcome {
    /// The differences that were found in nodes to be checked.
    pub differences: Vec<Difference>,
    shown: Vec<PathBuf>,
    report: Option<PathBuf>,
}

impl Outcome {
    /// Prints what the manifest names under `show` and `report`.
    pub fn show(&self, args: &RunArgs) -> Result<()> {
        show_results(args, &self.shown, self.report.as_ref())
    }
}

/// Runs the pipeline, with progress.
pub(super) fn execute(
    common: &Common,
    project: &Project,
    cache: &Cache,
    args: &RunArgs,
    stop: &Stop,
) -> Result<Outcome> {
    if let Some(path) = &args.html {
        refuse_replacing(path, "a page", &page::is_page)?;
    }
    let shown_files: Result<Vec<_>> =
        project.manifest.settings.show.iter().map(|v| output(project, v, "show")).collect();
    let shown_files = shown_files?;
    let report =
        project.manifest.settings.report.as_ref().map(|v| output(project, v, "report")).transpose()?;
    let targets = match args.targets.is_empty() {
        true => vec![],
        false => project.plan.named(&[args.targets.as_slice(), args.check.as_slice()].concat())?,
    };
    let mut subscribers = subscribers(common, args, &project.cache_folder, Some((&project.plan, &targets)))?;
    let trace = Trace::default();
    if args.html.is_some() {
        subscribers.push(Box::new(trace.clone()));
    }
    let request = engine::Request {
        plan: &project.plan,
        manifest: &project.manifest,
        workers: &project.workers,
        cache,
        out: project.out.clone(),
        targets,
        force: project.plan.named(&args.force)?,
        check: project.plan.named(&args.check)?,
        overwrite: args.overwrite,
        limits: Ask { jobs: args.jobs, gpus: args.gpus, share: args.share_gpu, memory: None },
        keep_going: args.keep_going,
        stop: stop.clone(),
        prior: project.prior(cache),
    };
    project.keep((&shown_files, report.as_ref()));
    let mut emit = |event: &Event| {
        for subscriber in &mut subscribers {
            subscriber.on(event);
        }
    };
    let summary = engine::run(request, &mut emit)?;
    if let Some(states) = summary.states {
        project.save(states);
    }
    if let Some(file) = &args.html {
        page::write(file, project, cache, &trace)?;
        if !args.quiet {
            crate::say!("page: {}", shown(file));
        }
    }
    if summary.failed > 0 {
        return Err(Fault::Stages { failed: summary.failed });
    }
    if summary.interrupted {
        return Err(Fault::Interrupted);
    }
    Ok(Outcome { differences: summary.differences, shown: shown_files, report })
}

/// The command line behind the program and `run`.
fn arguments() -> String {
    let all: Vec<String> = std::env::args().skip(1).filter(|a| a != "run").collect();
    all.join(" ")
}

/// The path of an output that `[pipeline]` names: `table.markdown`.
fn output(project: &Project, value: &Value, key: &str) -> Result<std::path::PathBuf> {
    let text = value.as_text().unwrap_or_default();
    let (node, output) = text.rsplit_once('.').unwrap_or((text, ""));
    let found = project.plan.find(node).and_then(|i| {
        let node = &project.plan.nodes[i];
        let output = node.outputs.iter().find(|o| o.name == output)?;
        Some(project.out.join(node.folder()).join(&output.path))
    });
    found.ok_or_else(|| {
        let names: Vec<String> = project
            .plan
            .nodes
            .iter()
            .flat_map(|n| n.outputs.iter().map(move |o| format!("{}.{}", n.name, o.name)))
            .collect();
        let problem = Problem::new(
            format!("`{text}` is no output of a node"),
            &value.place,
            format!("named by `{key}`"),
        );
        let help = nearest_or_all(text, names.iter().map(String::as_str).collect::<Vec<_>>(), "outputs are");
        Fault::Manifest(Box::new(Problems::new(
            project.manifest.sources.clone(),
            vec![problem.maybe_help(help)],
        )))
    })
}
