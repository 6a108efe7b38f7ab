//! `lfs-pipe run`

use std::mem::ManuallyDrop;
use std::time::Instant;

use super::args::{Common, PlanArgs, RunArgs, TargetArgs};
use super::execute::{execute, show_results, subscribers};
use super::project::Project;
use super::rest::{self, Done, Now};
use super::{explain, lock, remote, reproducibility, watch};
use crate::engine::{self, Event, Stop};
use crate::fault::Result;

pub(super) fn run(common: &Common, args: &RunArgs) -> Result<()> {
    if args.watch {
        return watch::watch(common, args);
    }
    if args.dry_run {
        let of = TargetArgs { targets: args.targets.clone(), json: args.json };
        return explain::plan(common, &PlanArgs { of, pull: args.pull, remote: args.remote.clone() });
    }
    let began = Instant::now();
    // Whoever asks for nothing but a run of everything gets the short way, where there is nothing to do.
    let plain = args.targets.is_empty()
        && args.force.is_empty()
        && args.check.is_empty()
        && !(args.pull || args.locked || args.verbose || args.json)
        && args.events.is_none()
        && args.html.is_none();
    let ahead = match plain {
        true => rest::now(common),
        false => Now::Ahead(Box::default()),
    };
    let mut ahead = match ahead {
        Now::Done(done) => {
            tracing::debug!("every node is up to date: no plan is read");
            return tell(common, args, &ManuallyDrop::new(done), began);
        }
        Now::Ahead(ahead) => *ahead,
    };
    // The program ends after this: taking thousands of nodes apart would only cost time.
    let project = ManuallyDrop::new(Project::open_with(common, ahead.held.take())?);
    let cache = project.cache()?;
    if args.pull {
        remote::before_run(&project, &cache, args.remote.as_deref(), &args.targets, args.quiet)?;
    }
    let lock = if args.locked { Some(lock::before(&project, &cache, &args.targets)?) } else { None };
    let checked = reproducibility::before(&project, &cache, &args.check)?;
    let outcome = execute(common, &project, &cache, args, &Stop::default(), ahead)?;
    outcome.show(args)?;
    reproducibility::after(checked, &outcome.differences)?;
    match lock {
        Some(lock) => lock::after(&project, &cache, &lock, &args.targets),
        None => Ok(()),
    }
}

/// Says what a run with nothing to do says.
fn tell(common: &Common, args: &RunArgs, done: &Done, began: Instant) -> Result<()> {
    let mut subscribers = subscribers(common, args, &done.cache, None)?;
    let (run, base) = (engine::run_name(), done.run.clone());
    let events = [
        Event::RunStarted { run, base, nodes: done.nodes, jobs: None },
        Event::RunFinished {
            executed: 0,
            cached: done.nodes,
            failed: 0,
            skipped: 0,
            seconds: began.elapsed().as_secs_f64(),
            fault: None,
        },
    ];
    for event in &events {
        subscribers.iter_mut().for_each(|s| s.on(event));
    }
    show_results(args, &done.rest.shown, done.rest.report.as_ref())
}
