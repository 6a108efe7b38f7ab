//! `lfs-pipe cache stats | verify | gc`; the commands that use a remote store are in `remote`.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::args::{CacheCommand, Common, GcArgs, JsonArgs, VerifyCacheArgs};
use super::print::{print, print_json};
use super::project::Project;
use super::remote;
use crate::cache::Cache;
use crate::fault::{Fault, Result};
use crate::fingerprint::Key;
use crate::history::{History, Run};
use crate::lock::Lock;
use crate::show::{bytes, bytes_bar, count};

pub(super) fn cache(common: &Common, command: &CacheCommand) -> Result<()> {
    let project = Project::open(common)?;
    let cache = project.cache()?;
    match command {
        CacheCommand::Stats(args) => stats(&cache, args),
        CacheCommand::Verify(args) => verify(&cache, args),
        CacheCommand::Gc(args) => gc(&project, &cache, args),
        CacheCommand::Push(args) => remote::push(&project, &cache, args),
        CacheCommand::Pull(args) => remote::pull(&project, &cache, args),
        CacheCommand::Remote(args) => remote::remote(&project, &cache, args),
    }
}

fn stats(cache: &Cache, args: &JsonArgs) -> Result<()> {
    let stats = cache.stats()?;
    if args.json {
        return print_json(&stats);
    }
    let mut text = format!("objects   {:>9}  {}\n", count(stats.objects as u64), bytes(stats.object_bytes));
    if stats.loose_objects > 0 {
        text += &format!(
            "{} unreferenced objects, {}: `lfs-pipe cache gc` removes them\n",
            count(stats.loose_objects as u64),
            bytes(stats.loose_bytes)
        );
    }
    text += &format!(
        "results   {:>9}  {} (and {} steps)\n",
        count(stats.nodes as u64),
        bytes(stats.record_bytes),
        count(stats.steps as u64)
    );
    text += &format!("stat cache and plan cache  {}\n", bytes(stats.memo_bytes));
    text += &format!("logs  {}\n", bytes(stats.log_bytes));
    if stats.damaged_bytes > 0 {
        text += &format!("damaged, set aside  {}\n", bytes(stats.damaged_bytes));
    }
    let mut stages: Vec<(&String, &u64)> = stats.stages.iter().collect();
    stages.sort_by_key(|(name, bytes)| (std::cmp::Reverse(**bytes), (*name).clone()));
    let width = stages.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (stage, size) in stages.iter().take(20) {
        text += &format!("  {stage:width$}  {}\n", bytes(**size));
    }
    print(&text)
}

fn verify(cache: &Cache, args: &VerifyCacheArgs) -> Result<()> {
    let bar = bytes_bar(cache.bytes_to_check()?, false);
    let damage = cache.check(&|bytes| bar.inc(bytes))?;
    let looked_at = bar.position();
    bar.finish_and_clear();
    if args.repair {
        cache.repair(&damage)?;
    }
    if args.json {
        print_json(&json!({ "bytes": looked_at, "damage": damage, "repaired": args.repair }))?;
    } else {
        let mut text = String::new();
        for d in &damage {
            let what = if d.there { "corrupt" } else { "missing" };
            text += &format!("{what:8}  {}  of {}\n", d.digest.short(), d.nodes.join(", "));
        }
        text += &format!("{} checked, {} corrupt or missing objects\n", bytes(looked_at), damage.len());
        print(&text)?;
    }
    match (damage.is_empty(), args.repair) {
        (true, _) | (_, true) => Ok(()),
        _ => Err(Fault::machine(format!("{} objects of the cache are corrupt or missing", damage.len()))
            .with_help("`lfs-pipe cache verify --repair` drops the results that need them; the next run computes them again")),
    }
}

fn gc(project: &Project, cache: &Cache, args: &GcArgs) -> Result<()> {
    let mut history = History::open(&project.cache_folder)?;
    let runs = history.runs(usize::MAX >> 1)?;
    // The run database says which runs belong to which pipeline. It may be newer than the results. Runs that only the results name are
    // not known to be old, and are kept unless the user says how many to keep.
    let known: HashSet<&str> = runs.iter().map(|run| run.run.as_str()).collect();
    let untold: Vec<String> = cache
        .runs_of_results()?
        .into_iter()
        .filter(|run| !run.is_empty() && !known.contains(run.as_str()))
        .collect();
    if runs.is_empty() && untold.is_empty() {
        return Err(Fault::usage("this cache has no recorded run: nothing says which results to keep")
            .with_help("run the pipeline once, or remove everything with `lfs-pipe clean --cache-too`"));
    }
    let mut untold_kept: Vec<String> = untold.clone();
    untold_kept.truncate(args.keep_runs.map_or(usize::MAX, |n| n.max(1)));
    let mut kept = chosen(&runs, args, &cache.running()?);
    kept.extend(untold_kept.iter().cloned());
    let mut collected = cache.collect(&spared(&history, &runs, &kept)?, &kept, true)?;
    // Oldest first, until it fits. The last run of each pipeline is kept.
    if let Some(most) = args.max_size {
        let last = chosen(&runs, &GcArgs { keep_runs: Some(1), ..GcArgs::default() }, &cache.running()?);
        let oldest = untold_kept.iter().rev().chain(runs.iter().rev().map(|run| &run.run));
        for run in oldest {
            if collected.kept_bytes <= most {
                break;
            }
            if !last.contains(run) && kept.remove(run) {
                collected = cache.collect(&spared(&history, &runs, &kept)?, &kept, true)?;
            }
        }
    }
    let all = runs.len() + untold.len();
    if !args.dry_run {
        collected = cache.collect(&spared(&history, &runs, &kept)?, &kept, false)?;
        let told_and_gone: Vec<String> =
            runs.iter().map(|r| r.run.clone()).filter(|r| !kept.contains(r)).collect();
        history.forget(&told_and_gone)?;
        for run in told_and_gone.iter().chain(untold.iter().filter(|run| !kept.contains(*run))) {
            crate::cache::remove(&project.cache_folder.join("runs").join(run));
        }
    }
    if args.json {
        return print_json(&json!({
            "kept-runs": kept.len(), "dropped-runs": all - kept.len(), "untold-runs": untold.len(), "collected": collected,
            "dry-run": args.dry_run,
        }));
    }
    let did = if args.dry_run { "would be removed" } else { "removed" };
    print(&format!(
        "{} results and {} objects {did}, {}; {} kept, with {} ({} runs kept, {} dropped)\n",
        count(collected.records as u64),
        count(collected.objects as u64),
        bytes(collected.bytes),
        bytes(collected.kept_bytes),
        count(collected.kept_records as u64) + " results",
        kept.len(),
        all - kept.len()
    ))?;
    if !untold.is_empty() {
        print(&format!(
            "{} runs have results but are not in the run database: {}\n",
            untold.len(),
            match (args.keep_runs, args.max_size) {
                (_, Some(_)) => "they are the oldest, and are dropped first",
                (Some(_), _) => "the latest of them are kept",
                (None, _) => "all are kept (--keep-runs N keeps the latest N)",
            }
        ))?;
    }
    match args.max_size {
        Some(most) if collected.kept_bytes > most => {
            Err(Fault::usage(format!("{} is still more than {}", bytes(collected.kept_bytes), bytes(most)))
                .with_help("the last run of each pipeline and what lock files name are never removed; see `lfs-pipe cache stats`"))
        }
        _ => Ok(()),
    }
}

/// The runs that are kept: the latest of each pipeline, those that are recent enough, and the active ones.
fn chosen(runs: &[Run], args: &GcArgs, running: &[String]) -> HashSet<String> {
    let latest = match (args.keep_runs, args.keep_days) {
        (Some(n), _) => n.max(1),
        (None, Some(_)) => 1,
        (None, None) => DEFAULT_RUNS,
    };
    let oldest = args.keep_days.and_then(|days| {
        let span = SignedDuration::from_hours(24).checked_mul(i32::try_from(days).ok()?)?;
        Timestamp::now().checked_sub(span).ok()
    });
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut keep = |run: &&Run| {
        let n = seen.entry(run.manifest.clone()).or_default();
        *n += 1;
        let young = oldest.zip(run.started.parse::<Timestamp>().ok()).is_some_and(|(o, s)| s >= o);
        *n <= latest || young || running.contains(&run.run)
    };
    runs.iter().filter(|r| keep(r)).map(|r| r.run.clone()).collect()
}

/// How many runs of a pipeline are kept by default.
const DEFAULT_RUNS: usize = 10;

/// The keys that these runs need, and those in the lock files next to the pipelines of this cache.
fn spared(history: &History, all: &[Run], kept: &HashSet<String>) -> Result<HashSet<Key>> {
    let mut keys = HashSet::new();
    for run in all.iter().map(|run| &run.run).filter(|run| kept.contains(*run)) {
        keys.extend(history.nodes(run)?.into_values().filter_map(|node| node.key));
    }
    let manifests: HashSet<&str> = all.iter().map(|r| r.manifest.as_str()).collect();
    for manifest in manifests {
        let file = Lock::file(Path::new(manifest));
        // One that cannot be read is an error: its results must not be removed.
        if file.is_file() {
            keys.extend(Lock::read(&file)?.node.into_values().map(|locked| locked.key));
        }
    }
    Ok(keys)
}
