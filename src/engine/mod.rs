//! Running a plan: which node next, what is known already, what must run.

mod command;
mod confined;
mod crew;
mod earlier;
mod event;
mod forecast;
mod inputs;
mod job;
mod memory;
mod names;
mod rank;
mod scheduler;
mod slots;
mod standing;
mod stop;
mod work;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::Instant;

pub use event::{Ended, Event};
pub use forecast::{Forecast, Nearest, State as Foreseen, forecast};
pub use inputs::{Before, Files, prints};
pub use slots::Ask;
pub use standing::{Looks, Standing};
pub use stop::Stop;
pub use work::{Difference, end_of, log_name};

use crate::cache::Cache;
use crate::digest::Digest;
use crate::fault::{Fault, Result};
use crate::manifest::Manifest;
use crate::outputs::{Folder, refuse_foreign};
use crate::plan::Plan;
use crate::worker::Workers;
use crew::Crew;
use names::Names;
use scheduler::Scheduler;
use slots::{Limits, Slots};
use work::Shop;

/// What to run, and how.
pub struct Request<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The manifest that it was made from.
    pub manifest: &'a Manifest,
    /// The workers.
    pub workers: &'a Workers,
    /// The cache.
    pub cache: &'a Cache,
    /// Where outputs appear.
    pub out: PathBuf,
    /// The wanted nodes; none means all.
    pub targets: Vec<usize>,
    /// Nodes that run although their result is known.
    pub force: Vec<usize>,
    /// Nodes that run again to be compared with their result, which stays.
    pub check: Vec<usize>,
    /// Replace also what others put into the place of an output.
    pub overwrite: bool,
    /// What may be used.
    pub limits: Ask,
    /// Go on with nodes that do not depend on a failed one.
    pub keep_going: bool,
    /// Stops the run.
    pub stop: Stop,
    /// Of all that the plan was made from.
    pub identity: Digest,
    /// Where nodes stood when the last run ended.
    pub standing: Option<Standing>,
    /// What was seen of its files already.
    pub looks: Option<Looks>,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Summary {
    /// Nodes that ran.
    pub executed: usize,
    /// Nodes whose result was known.
    pub cached: usize,
    /// Nodes that failed.
    pub failed: usize,
    /// Nodes that were not tried.
    pub skipped: usize,
    /// Outputs of checked nodes that came out with other bytes.
    pub differences: Vec<Difference>,
    /// Whether somebody stopped it.
    pub interrupted: bool,
    /// Where nodes stand now.
    pub standing: Option<Standing>,
    /// Whether that is as it was.
    pub as_before: bool,
    /// Every node of the plan has its result, from inputs that did not change while it was looked at.
    pub all_stand: bool,
}

/// Runs a plan and tells `emit` what happens.
///
/// # Errors
/// Before anything runs, when something lies in the place of an output that no run put there; and when the cache or the machine
/// fails. Failed nodes are in the summary.
pub fn run(mut request: Request<'_>, emit: &mut (dyn FnMut(&Event) + Send)) -> Result<Summary> {
    let began = Instant::now();
    let (before, request_looks) = (request.standing.take(), request.looks.take());
    let request = &request;
    let needed = request.plan.needed(&request.targets);
    let looks = request_looks.filter(|_| before.is_some());
    let changed = looks.as_ref().map(|looks| looks.changed.clone());
    let known = |path: &Path| match (before.as_ref().and_then(|b| b.file(path)), &changed) {
        (None, _) => Before::Unknown,
        (Some(hashed), Some(changed)) if !changed.contains(path) => Before::Still(hashed),
        (Some(hashed), _) => Before::Known(hashed),
    };
    let (files, mut still) = std::thread::scope(|scope| {
        // Where something changed, results are looked up soon: they are read meanwhile.
        if looks.as_ref().is_some_and(|looks| !looks.all()) {
            let _ = Builder::new().spawn_scoped(scope, || request.cache.read_records());
        }
        let files = Files::of(request.plan, &needed, request.cache, request.manifest, &known)?;
        let still = match &before {
            Some(before) => before.still(request.plan, &needed, &files, looks),
            None => vec![false; needed.len()],
        };
        Ok((files, still))
    })?;
    for i in request.force.iter().chain(&request.check) {
        still[*i] = false;
    }
    // What reads a node that is to run again is to be looked at when it is over.
    for i in &request.plan.order {
        still[*i] = still[*i] && request.plan.reads(*i).all(|before| still[before]);
    }
    let out = Folder::new(&request.out, request.overwrite);
    let is_quiet = still.iter().filter(|s| **s).count() == needed.iter().filter(|n| **n).count();
    if !is_quiet {
        refuse_foreign(&out, request.plan, &|i| needed[i] && !still[i], request.cache)?;
    }
    if !is_quiet && files.are_renewed() {
        // A run that dies leaves behind which files were whose.
        remember(request.cache);
    }
    let run = run_name();
    let mut fault = None;
    let (count, count_all) = (needed.iter().filter(|n| **n).count(), needed.len());
    let mut summary = if is_quiet {
        let base = before.as_ref().and_then(Standing::run);
        emit(&Event::RunStarted { run, base, nodes: count, jobs: None });
        let mut summary = quiet(request, &needed, before.as_ref(), emit);
        (summary.as_before, summary.all_stand) = (!files.are_renewed(), count == count_all);
        summary.standing = before;
        if let Some(standing) = summary.standing.as_mut().filter(|_| summary.all_stand) {
            summary.as_before &= !standing.is_whole();
        }
        // A file that was only touched is not to be hashed by every run from now on.
        if let Some(standing) = summary.standing.as_mut().filter(|_| files.are_renewed()) {
            standing.put_files(&files);
            remember(request.cache);
        }
        summary
    } else {
        let before = before.unwrap_or_else(|| Standing::none(request.identity, &request.out, count_all));
        let known = Known { needed, still, before, files };
        let summary;
        (summary, fault) = work_off(request, known, &out, run, emit)?;
        summary
    };
    summary.interrupted = request.stop.asked() && summary.skipped > 0;
    emit(&Event::RunFinished {
        executed: summary.executed,
        cached: summary.cached,
        failed: summary.failed,
        skipped: summary.skipped,
        seconds: began.elapsed().as_secs_f64(),
        fault: fault.as_ref().map(ToString::to_string),
    });
    match fault {
        Some(fault) => Err(fault),
        None => Ok(summary),
    }
}

/// What is known when a run begins.
struct Known {
    needed: Vec<bool>,
    /// Nodes that stand where they stood.
    still: Vec<bool>,
    before: Standing,
    files: Files,
}

/// A run in which every node stands where it stood.
fn quiet(
    request: &Request<'_>,
    needed: &[bool],
    before: Option<&Standing>,
    emit: &mut (dyn FnMut(&Event) + Send),
) -> Summary {
    let mut summary = Summary::default();
    for (i, node) in request.plan.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
        summary.cached += 1;
        let Some(stood) = before.and_then(|b| b.node(i)) else { continue };
        emit(&Event::NodeFinished {
            node: node.name.clone(),
            state: Ended::Cached,
            key: Some(stood.key),
            seconds: 0.0,
            peak: None,
            stands: true,
            outputs: stood.outputs(node).map(|(name, stored)| (name.clone(), stored.digest)).collect(),
            error: None,
            help: None,
            log: Vec::new(),
        });
    }
    summary
}

/// A run in which something is to be looked up or done. A fault of the cache or the machine that ended it is given with what was
/// done before.
fn work_off(
    request: &Request<'_>,
    known: Known,
    out: &Folder,
    run: String,
    emit: &mut (dyn FnMut(&Event) + Send),
) -> Result<(Summary, Option<Fault>)> {
    let cache = request.cache;
    let known_at = known.before.records().unwrap_or_else(|| cache.records_mark());
    let limits = Limits::of_machine(&request.limits);
    let nodes = known.needed.iter().filter(|n| **n).count();
    let base = known.before.run();
    emit(&Event::RunStarted { run: run.clone(), base, nodes, jobs: Some(limits.cpu as usize) });
    request.stop.listen().map_err(|e| Fault::machine(format!("signals cannot be caught: {e}")))?;
    let emit = Mutex::new(emit);
    let voice = |event: &Event| (emit.lock().unwrap_or_else(PoisonError::into_inner))(event);
    let shop = Shop {
        cache,
        out,
        voice: &voice,
        workers: request.workers,
        idle: Mutex::default(),
        stop: request.stop.clone(),
        slots: Slots::new(limits),
        kills_for_memory: work::kills_for_memory(),
        syncing: AtomicBool::new(false),
        spent: AtomicBool::new(false),
        names: Names::new(vec![request.manifest.root.clone(), request.out.clone(), cache.root().to_owned()]),
        scratch: Mutex::default(),
        placing: Mutex::default(),
        logs: cache.root().join("runs").join(&run),
        run,
    };
    // It says that this run is alive: what it relies on is not collected. A cache that can only be read has no room.
    let _ = shop.scratch();
    let scheduler = Scheduler::new(request, &shop, known);
    let (scheduler, fault) = Crew::new(&shop, scheduler).run();
    remember(cache);
    let (mut summary, standing, unsynced) = scheduler.finish();
    if fault.is_some() {
        return Ok((summary, fault));
    }
    if summary.skipped > 0 && summary.failed == 0 && !request.stop.asked() {
        let text = format!("{} could not be started, and nothing says why", summary.skipped);
        return Ok((summary, Some(Fault::machine(text).with_help("this is a defect of the program"))));
    }
    let kept = match (unsynced, summary.executed) {
        (true, _) => cache.make_durable(),
        (false, 0) => Ok(()),
        (false, _) => cache.end_run(),
    };
    if let Err(fault) = kept {
        return Ok((summary, Some(fault)));
    }
    if shop.spent.load(Ordering::Relaxed) {
        // Whatever stands in the way: the next collection does it.
        if let Err(fault) = cache.remove_spent(&shop.run) {
            tracing::debug!("{fault}");
        }
    }
    // What somebody withdrew meanwhile (a check of the cache, say) is to be looked up by the next run: nothing is said of where
    // nodes stand.
    let now = cache.records_mark();
    let withdrawn = !cache.nothing_withdrawn_since(&known_at);
    summary.standing = (!withdrawn).then(|| standing.at(now, &shop.run, summary.all_stand));
    Ok((summary, None))
}

/// Writes what was learnt of files. Without it they are hashed again, and nothing else.
fn remember(cache: &Cache) {
    if let Err(fault) = cache.flush_memo() {
        tracing::debug!("{fault}");
    }
}

/// A name for a run: when it began, and who it is.
pub fn run_name() -> String {
    let now = jiff::Timestamp::now();
    format!("{}-{}", now.strftime("%Y%m%d-%H%M%S%.3f"), std::process::id())
}
