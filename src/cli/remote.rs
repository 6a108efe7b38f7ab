//! `lfs-pipe cache push | pull | remote`, and what `--pull` does before a run

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Instant;

use serde_json::json;

use super::args::{PushArgs, RemoteArgs};
use super::print::{print, print_json};
use super::project::Project;
use crate::cache::{Cache, Record};
use crate::engine::{Forecast, Foreseen};
use crate::fault::{Fault, Result};
use crate::fingerprint::Key;
use crate::remote::{Moved, Remote, Wanted};
use crate::show::{bytes, bytes_bar, count, span};

type Foreseens = Vec<Option<Forecast>>;

/// What a run of these targets that may fetch would do, according to the store. The keys of downstream nodes are known only
/// when the results of their inputs are, so the store is asked several times.
fn look(project: &Project, cache: &Cache, remote: &mut Remote<'_>, targets: &[String]) -> Result<Foreseens> {
    let sight = project.foresight(cache, targets)?;
    let mut asked: HashSet<Key> = HashSet::new();
    loop {
        let foreseen = sight.look(&mut |key| remote.mirror().record(key))?;
        let open = foreseen.iter().flatten().filter(|f| f.state != Foreseen::Cached).filter_map(|f| f.key);
        let open: Vec<Key> = open.filter(|key| asked.insert(*key)).collect();
        if open.is_empty() {
            return Ok(foreseen);
        }
        remote.look(&open)?;
    }
}

/// The nodes in a state, with their keys and records.
fn those<'a>(
    project: &'a Project,
    foreseen: &'a Foreseens,
    state: Foreseen,
) -> impl Iterator<Item = (&'a str, Key, &'a Record)> {
    project.plan.nodes.iter().zip(foreseen).filter_map(move |(node, f)| {
        let f = f.as_ref().filter(|f| f.state == state)?;
        Some((node.name.as_str(), f.key?, f.record.as_ref()?))
    })
}

/// The nodes whose result in the store cannot be used, and why.
fn odd(project: &Project, foreseen: &Foreseens, remote: &Remote<'_>) -> BTreeMap<String, String> {
    let nodes = project.plan.nodes.iter().zip(foreseen);
    let odd = nodes.filter_map(|(node, f)| {
        let f = f.as_ref()?;
        let names = || node.outputs.iter().map(|o| o.name.as_str()).collect::<BTreeSet<_>>();
        let why = match (&f.state, &f.record) {
            (Foreseen::Fetch, Some(r)) if r.outputs.keys().map(String::as_str).ne(names()) => {
                "its record in the store has other outputs"
            }
            (Foreseen::Cached | Foreseen::Fetch, _) => return None,
            _ => remote.odd(&f.key?)?,
        };
        Some((node.name.clone(), why.to_owned()))
    });
    odd.collect()
}

fn size<'a>(results: impl Iterator<Item = (&'a str, Key, &'a Record)>) -> u64 {
    results.flat_map(|(_, _, record)| record.outputs.values()).fold(0, |sum, s| sum.saturating_add(s.bytes))
}

fn wanted<'a>(results: impl Iterator<Item = (&'a str, Key, &'a Record)>) -> Vec<Wanted> {
    results.map(|(node, key, _)| (node.to_owned(), key)).collect()
}

/// Fetches the results that these targets need and the store holds.
fn fetch(
    project: &Project,
    cache: &Cache,
    url: &str,
    targets: &[String],
    quiet: bool,
) -> Result<(Moved, usize)> {
    let mut remote = Remote::open(url, cache)?;
    let foreseen = look(project, cache, &mut remote, targets)?;
    let odd = odd(project, &foreseen, &remote);
    let to_fetch =
        || those(project, &foreseen, Foreseen::Fetch).filter(|(node, ..)| !odd.contains_key(*node));
    let bar = bytes_bar(size(to_fetch()), quiet);
    let moved = remote.pull(&wanted(to_fetch()), &mut |bytes| bar.inc(bytes)).map(|mut moved| {
        moved.failed.extend(odd.clone());
        moved
    });
    bar.finish_and_clear();
    let missing = foreseen.iter().flatten();
    let missing = missing.filter(|f| matches!(f.state, Foreseen::ToRun | Foreseen::Depends)).count();
    Ok((moved?, missing))
}

pub(super) fn pull(project: &Project, cache: &Cache, args: &RemoteArgs) -> Result<()> {
    let began = Instant::now();
    let url = project.remote(args.remote.as_deref())?;
    let (moved, missing) = fetch(project, cache, &url, &args.targets, args.json)?;
    if args.json {
        print_json(&json!({ "remote": url, "moved": moved, "missing": missing }))?;
    } else {
        let time = span(began.elapsed().as_secs_f64());
        let mut text =
            format!("{} results fetched, {}, in {time}", count(moved.results as u64), bytes(moved.bytes));
        if missing > 0 {
            text += &format!("; {missing} are not there");
        }
        print(&(text + "\n"))?;
    }
    judge(
        &moved,
        "fetched",
        "a run computes them; push them again from a machine that has them: `lfs-pipe cache push --again`",
    )
}

pub(super) fn push(project: &Project, cache: &Cache, args: &PushArgs) -> Result<()> {
    let began = Instant::now();
    let url = project.remote(args.to.remote.as_deref())?;
    let mut remote = Remote::open(&url, cache)?;
    let foreseen = project.forecast(cache, &args.to.targets)?;
    let to_send = || those(project, &foreseen, Foreseen::Cached);
    let bar = bytes_bar(size(to_send()), args.to.json);
    let moved = remote.push(&wanted(to_send()), args.again, &mut |bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let moved = moved?;
    if args.to.json {
        print_json(&json!({ "remote": url, "moved": moved }))?;
    } else {
        let time = span(began.elapsed().as_secs_f64());
        let mut text =
            format!("{} results sent, {}, in {time}", count(moved.results as u64), bytes(moved.bytes));
        if moved.there > 0 {
            text += &format!("; {} were there", count(moved.there as u64));
        }
        text.push('\n');
        for node in &moved.different {
            text += &format!("the store holds a different result of {node}: the node is not deterministic\n");
        }
        print(&text)?;
    }
    judge(&moved, "sent", "the others are there")
}

/// A transfer that left something out is an error.
fn judge(moved: &Moved, did: &str, help: &str) -> Result<()> {
    if moved.failed.is_empty() {
        return Ok(());
    }
    let mut text = format!("{} could not be {did}", crate::show::nodes(moved.failed.len()));
    for (node, why) in moved.failed.iter().take(20) {
        text += &format!("\n  {node}: {why}");
    }
    if moved.failed.len() > 20 {
        text += &format!("\n  and {} more", moved.failed.len() - 20);
    }
    Err(Fault::machine(text).with_help(help))
}

pub(super) fn remote(project: &Project, cache: &Cache, args: &RemoteArgs) -> Result<()> {
    let url = project.remote(args.remote.as_deref())?;
    let mut remote = Remote::open(&url, cache)?;
    let foreseen = look(project, cache, &mut remote, &args.targets)?;
    let here: Vec<(&str, Key, &Record)> = those(project, &foreseen, Foreseen::Cached).collect();
    remote.look(&here.iter().map(|(_, key, _)| *key).collect::<Vec<_>>())?;
    let (both, here): (Vec<_>, Vec<_>) =
        here.into_iter().partition(|(_, key, _)| remote.mirror().record(key).is_some());
    for (node, why) in odd(project, &foreseen, &remote) {
        crate::say!("warning: {node} is in the store, and of no use: {why}");
    }
    let there: Vec<_> = those(project, &foreseen, Foreseen::Fetch).collect();
    let nowhere = foreseen.iter().flatten().count() - both.len() - here.len() - there.len();
    let (to_send, to_fetch) = (size(here.iter().copied()), size(there.iter().copied()));
    if args.json {
        return print_json(&json!({
            "remote": url, "both": both.len(), "here": here.len(), "there": there.len(), "nowhere": nowhere,
            "bytes-to-send": to_send, "bytes-to-fetch": to_fetch,
        }));
    }
    print(&format!(
        "{url}\n{:>6} results here and there\n{:>6} there alone, {}: `lfs-pipe cache pull` fetches them\n\
         {:>6} here alone, {}: `lfs-pipe cache push` sends them\n{nowhere:>6} nowhere yet\n",
        both.len(),
        there.len(),
        bytes(to_fetch),
        here.len(),
        bytes(to_send),
    ))
}

/// Before a run: fetches what it would compute otherwise. If the store fails, there is only a warning.
pub(super) fn before_run(
    project: &Project,
    cache: &Cache,
    named: Option<&str>,
    targets: &[String],
    quiet: bool,
) -> Result<()> {
    let url = project.remote(named)?;
    // A store is not even asked if everything is cached.
    let foreseen = project.forecast(cache, targets)?;
    if foreseen.iter().flatten().all(|f| f.state == Foreseen::Cached) {
        return Ok(());
    }
    match fetch(project, cache, &url, targets, quiet) {
        Ok((moved, _)) => {
            if !quiet && moved.results > 0 {
                crate::say!("{} results fetched, {}", count(moved.results as u64), bytes(moved.bytes));
            }
            for (node, why) in &moved.failed {
                crate::say!("warning: {node} is computed, not fetched from `{url}`: {why}");
            }
            Ok(())
        }
        Err(fault @ Fault::Machine { .. }) => {
            crate::say!("warning: nothing more is fetched\n{fault}");
            Ok(())
        }
        Err(fault) => Err(fault),
    }
}

/// What a run of these targets that may fetch would do. If the store does not answer, its last known state counts.
pub(super) fn foresee(
    project: &Project,
    cache: &Cache,
    named: Option<&str>,
    targets: &[String],
) -> Result<Foreseens> {
    let mut remote = Remote::open(&project.remote(named)?, cache)?;
    match look(project, cache, &mut remote, targets) {
        Err(fault @ Fault::Machine { .. }) => {
            crate::say!("warning: the store does not answer; this is what it held the last time\n{fault}");
            project.foresight(cache, targets)?.look(&mut |key| remote.mirror().record(key))
        }
        other => other,
    }
}
