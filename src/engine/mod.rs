//! Running a plan: which node next, what is known already, what must run.

mod command;
mod confined;
mod earlier;
mod event;
mod forecast;
mod inputs;
mod job;
mod memory;
mod names;
mod pool;
mod rank;
mod scheduler;
mod slots;
mod stop;
mod task;
mod work;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;
use std::time::Instant;

use parking_lot::Mutex;

pub use event::{Ended, Event};
pub use forecast::{Forecast, Nearest, State as Foreseen, forecast};
pub use inputs::prints;
pub use slots::Ask;
pub use stop::Stop;
pub use task::Difference;
pub use work::{end_of, log_name};

use crate::cache::Cache;
use crate::fault::{Fault, Result};
use crate::manifest::Manifest;
use crate::outputs::{Folder, refuse_foreign};
use crate::plan::Plan;
use crate::state::{Files, NodeStates, Prior};
use crate::worker::Workers;
use names::Names;
use pool::Pool;
use scheduler::{Finished, Scheduler};
use slots::{Limits, Slots};
use work::RunContext;

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
    /// Where outputs are materialised.
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
    /// What the last run left.
    pub prior: Prior,
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
    /// Outputs of checked nodes whose bytes differ.
    pub differences: Vec<Difference>,
    /// Whether it was stopped.
    pub interrupted: bool,
    /// The states of the nodes, unless a result was withdrawn meanwhile.
    pub states: Option<NodeStates>,
}

/// Runs a plan and tells `emit` what happens.
///
/// # Errors
/// Before anything runs, when something lies in the place of an output that no run put there; and when the cache or the machine
/// fails. Failed nodes are in the summary.
pub fn run(mut request: Request<'_>, emit: &mut (dyn FnMut(&Event) + Send)) -> Result<Summary> {
    let began = Instant::now();
    let prior = std::mem::take(&mut request.prior);
    let request = &request;
    let needed = request.plan.needed(&request.targets);
    let (files, mut up_to_date) = std::thread::scope(|scope| {
        // Where something changed, results are looked up soon: they are read meanwhile.
        if prior.has_changes() {
            let _ = Builder::new().spawn_scoped(scope, || request.cache.read_records());
        }
        let files = Files::of(request.plan, &needed, request.cache, request.manifest, &prior)?;
        let up_to_date = prior.up_to_date(request.plan, &request.out, &needed, &files);
        Ok((files, up_to_date))
    })?;
    for i in request.force.iter().chain(&request.check) {
        up_to_date[*i] = false;
    }
    // What reads a node that is to run again is decided when that is over.
    for i in &request.plan.order {
        up_to_date[*i] = up_to_date[*i] && request.plan.reads(*i).all(|before| up_to_date[before]);
    }
    let out = Folder::new(&request.out, request.overwrite);
    let is_noop = up_to_date.iter().filter(|u| **u).count() == needed.iter().filter(|n| **n).count();
    if !is_noop {
        refuse_foreign(&out, request.plan, &|i| needed[i] && !up_to_date[i], request.cache)?;
        if files.are_renewed() {
            // A run that dies leaves behind which files were whose.
            remember(request.cache);
        }
    }
    let run = run_name();
    let known = Known { needed, up_to_date, before: prior.into_states(), files };
    let (mut summary, fault) = match is_noop {
        true => (noop(request, known, run, emit), None),
        false => work_off(request, known, &out, run, emit)?,
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
    up_to_date: Vec<bool>,
    before: NodeStates,
    files: Files,
}

/// A run in which every node is up to date.
fn noop(request: &Request<'_>, known: Known, run: String, emit: &mut (dyn FnMut(&Event) + Send)) -> Summary {
    let Known { needed, mut before, files, .. } = known;
    let mut summary = Summary::default();
    let nodes = needed.iter().filter(|n| **n).count();
    emit(&Event::RunStarted { run, base: before.run(), nodes, jobs: None });
    for (i, node) in request.plan.nodes.iter().enumerate().filter(|(i, _)| needed[*i]) {
        summary.cached += 1;
        let Some(state) = before.node(i) else { continue };
        emit(&Event::NodeFinished {
            node: node.name.clone(),
            state: Ended::Cached,
            key: Some(state.key),
            seconds: 0.0,
            peak: None,
            unchanged: true,
            outputs: state.outputs(node).map(|(name, stored)| (name.clone(), stored.digest)).collect(),
            error: None,
            help: None,
            log: Vec::new(),
        });
    }
    if nodes == needed.len() {
        before.are_all_up_to_date();
    }
    // A file that was only touched is not to be hashed by every run from now on.
    if files.are_renewed() {
        before.put_files(&files);
        remember(request.cache);
    }
    summary.states = Some(before);
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
    let emitter = |event: &Event| (emit.lock())(event);
    let context = RunContext {
        cache,
        out,
        emitter: &emitter,
        workers: request.workers,
        idle: Mutex::default(),
        stop: request.stop.clone(),
        slots: Slots::new(limits),
        kills_for_memory: work::kills_for_memory(),
        halted: AtomicBool::new(false),
        syncing: AtomicBool::new(false),
        spent: AtomicBool::new(false),
        names: Names::new(vec![request.manifest.root.clone(), request.out.clone(), cache.root().to_owned()]),
        scratch: Mutex::default(),
        placing: Mutex::default(),
        logs: cache.root().join("runs").join(&run),
        run,
    };
    // It says that this run is alive: what it relies on is not collected. A cache that can only be read has no room.
    let _ = context.scratch();
    let scheduler = Scheduler::new(request, &context, known);
    let (scheduler, fault) = Pool::new(&context, scheduler).run();
    remember(cache);
    let Finished { mut summary, states, all_up_to_date, unsynced } = scheduler.finish();
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
    if context.spent.load(Ordering::Relaxed) {
        // If this fails, the next garbage collection does it.
        if let Err(fault) = cache.remove_spent(&context.run) {
            tracing::debug!("{fault}");
        }
    }
    // After results were withdrawn meanwhile (by a check of the cache, say) the next run looks everything up.
    let now = cache.records_mark();
    let withdrawn = !cache.nothing_withdrawn_since(&known_at);
    summary.states = (!withdrawn).then(|| states.at(now, &context.run, all_up_to_date));
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
