//! `lfs-pipe run`

use std::mem::ManuallyDrop;
use std::time::Instant;

use super::args::{Common, PlanArgs, RunArgs, TargetArgs};
use super::execute::{execute, show_results, subscribers};
use super::project::{self, Project};
use super::{explain, lock, remote, reproducibility, watch};
use crate::cache::Cache;
use crate::engine::{self, Event, Stop};
use crate::fault::Result;
use crate::history::History;
use crate::paths::absolute;
use crate::state::Kept;

pub(super) fn run(common: &Common, args: &RunArgs) -> Result<()> {
    if args.watch {
        return watch::watch(common, args);
    }
    if args.dry_run {
        let of = TargetArgs { targets: args.targets.clone(), json: args.json };
        return explain::plan(common, &PlanArgs { of, pull: args.pull, remote: args.remote.clone() });
    }
    let began = Instant::now();
    let is_plain = args.targets.is_empty()
        && args.force.is_empty()
        && args.check.is_empty()
        && !(args.pull || args.locked || args.verbose || args.json)
        && args.events.is_none()
        && args.html.is_none();
    let mut kept = ManuallyDrop::new(project::kept(common));
    if is_plain
        && let Some((_, kept)) = &mut *kept
        && is_noop(common, kept)
    {
        tracing::debug!("every node is up to date: no plan is read");
        return tell(common, args, kept, began);
    }
    // The program ends after this: dropping thousands of nodes would only cost time.
    let project = ManuallyDrop::new(Project::open_with(common, kept.take())?);
    let cache = project.cache()?;
    if args.pull {
        remote::before_run(&project, &cache, args.remote.as_deref(), &args.targets, args.quiet)?;
    }
    let lock = if args.locked { Some(lock::before(&project, &cache, &args.targets)?) } else { None };
    let checked = reproducibility::before(&project, &cache, &args.check)?;
    let outcome = execute(common, &project, &cache, args, &Stop::default())?;
    outcome.show(args)?;
    reproducibility::after(checked, &outcome.differences)?;
    match lock {
        Some(lock) => lock::after(&project, &cache, &lock, &args.targets),
        None => Ok(()),
    }
}

/// Whether a run of everything is a no-op.
fn is_noop(common: &Common, kept: &mut Kept) -> bool {
    let folder = kept.head().cache.clone();
    let cache = Cache::open(&folder, &absolute(&common.file));
    cache.is_ok_and(|cache| kept.is_up_to_date(&cache, History::mark(&folder)))
}

/// Reports a no-op run.
fn tell(common: &Common, args: &RunArgs, kept: &mut Kept, began: Instant) -> Result<()> {
    let (base, head) = (kept.base(), kept.head());
    let mut subscribers = subscribers(common, args, &head.cache, None)?;
    let events = [
        Event::RunStarted { run: engine::run_name(), base, nodes: head.nodes, jobs: None },
        Event::RunFinished {
            executed: 0,
            cached: head.nodes,
            failed: 0,
            skipped: 0,
            seconds: began.elapsed().as_secs_f64(),
            fault: None,
        },
    ];
    for event in &events {
        subscribers.iter_mut().for_each(|s| s.on(event));
    }
    show_results(args, &head.shown, head.report.as_ref())
}
