//! Running a plan: which node next, what is known already, what must run.

mod command;
mod crew;
mod event;
mod forecast;
mod inputs;
mod job;
mod slots;
mod standing;
mod stop;
mod work;

use std::collections::{BTreeMap, BinaryHeap};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

pub use event::{Ended, Event};
pub use forecast::{Forecast, Nearest, State as Foreseen, forecast};
pub use inputs::{Files, prints};
pub use slots::Ask;
pub use standing::Standing;
pub use stop::Stop;
pub use work::log_name;

use crate::cache::{Cache, Hashed, Look, Record};
use crate::digest::Digest;
use crate::fault::{Fault, Result};
use crate::fingerprint::{Fingerprint, Key};
use crate::manifest::Manifest;
use crate::outputs;
use crate::plan::{Plan, Source, Work};
use crate::worker::Workers;
use command::Reading;
use crew::Crew;
use slots::{Limits, Slots};
use standing::Stood;
use work::{Failed, Message, Outcome, Shop, Task};

/// How often the scheduler looks up while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// How often a node is run again because a file changed under it.
const MOST_CHANGES: u32 = 3;

/// Results of nodes that took this long reach the disk before the run goes on.
const SYNC_AFTER: f64 = 1.0;

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
    /// Whether somebody stopped it.
    pub interrupted: bool,
    /// Where nodes stand now, if that is not as it was.
    pub standing: Option<Standing>,
}

/// Runs a plan and tells `emit` what happens.
///
/// # Errors
/// When the cache or the machine fails; failed nodes are in the summary.
pub fn run(mut request: Request<'_>, emit: &mut dyn FnMut(&Event)) -> Result<Summary> {
    let began = Instant::now();
    let before = request.standing.take();
    let request = &request;
    let needed = request.plan.needed(&request.targets);
    let files = Files::of(request.plan, &needed, request.cache, request.manifest, before.as_ref())?;
    let mut still = match &before {
        Some(before) => before.still(request.plan, &needed, &files),
        None => vec![false; needed.len()],
    };
    for i in &request.force {
        still[*i] = false;
    }
    let run = run_name();
    let count = needed.iter().filter(|n| **n).count();
    let mut summary = if still.iter().filter(|s| **s).count() == count {
        emit(&Event::RunStarted { run, nodes: count, jobs: None });
        quiet(request, &needed, before.as_ref(), emit)
    } else {
        let known = Known { needed, still, before, files };
        work_off(request, known, run, emit)?
    };
    summary.interrupted = request.stop.asked() && summary.skipped > 0;
    emit(&Event::RunFinished {
        executed: summary.executed,
        cached: summary.cached,
        failed: summary.failed,
        skipped: summary.skipped,
        seconds: began.elapsed().as_secs_f64(),
    });
    Ok(summary)
}

/// What is known when a run begins.
struct Known {
    needed: Vec<bool>,
    /// Nodes that stand where they stood.
    still: Vec<bool>,
    before: Option<Standing>,
    files: Files,
}

/// A run in which every node stands where it stood.
fn quiet(
    request: &Request<'_>,
    needed: &[bool],
    before: Option<&Standing>,
    emit: &mut dyn FnMut(&Event),
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
            outputs: stood.outputs(node).map(|(name, stored)| (name.clone(), stored.digest)).collect(),
            error: None,
            help: None,
            log: Vec::new(),
        });
    }
    summary
}

/// A run in which something is to be looked up or done.
fn work_off(
    request: &Request<'_>,
    known: Known,
    run: String,
    emit: &mut dyn FnMut(&Event),
) -> Result<Summary> {
    let cache = request.cache;
    let limits = Limits::of_machine(&request.limits);
    for (i, node) in request.plan.nodes.iter().enumerate() {
        if known.needed[i] && !known.still[i] && node.resources.gpu as usize > limits.gpus.len() {
            let message = format!(
                "`{}` asks for {} GPU, and this machine has {}",
                node.name,
                node.resources.gpu,
                limits.gpus.len()
            );
            return Err(Fault::usage(message)
                .with_help("lower `resources.gpu` of the stage, or run where there are more"));
        }
    }
    let nodes = known.needed.iter().filter(|n| **n).count();
    emit(&Event::RunStarted { run: run.clone(), nodes, jobs: Some(limits.cpu as usize) });
    request.stop.listen().map_err(|e| Fault::machine(format!("signals cannot be caught: {e}")))?;
    let shop = Shop {
        cache,
        workers: request.workers,
        idle: Mutex::default(),
        stop: request.stop.clone(),
        slots: Slots::new(limits),
        scratch: cache.scratch(&run)?,
        logs: cache.root().join("runs").join(&run),
        run,
    };
    let (send, receive) = channel();
    let result = std::thread::scope(|scope| {
        let crew = Crew::new(scope, &shop, send);
        let mut scheduler = Scheduler::new(request, &shop, crew, emit, known);
        let result = scheduler.start();
        let result = result.and_then(|()| scheduler.follow(&receive));
        if result.is_err() {
            // Threads end before the scope does: let them.
            scheduler.wind_up(&receive);
        }
        result.map(|()| scheduler.finish())
    });
    cache.flush_memo()?;
    let (mut summary, standing) = result?;
    if summary.executed > 0 {
        cache.make_durable()?;
    }
    summary.standing = Some(standing.at(cache.records_mark()));
    Ok(summary)
}

fn run_name() -> String {
    let now = jiff::Timestamp::now();
    format!("{}-{}", now.strftime("%Y%m%d-%H%M%S%.3f"), std::process::id())
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not wanted in this run.
    Unwanted,
    /// So many of the nodes that it reads have no result yet.
    Waiting(usize),
    /// All that it reads is there; its key has not been looked up.
    Ready,
    /// Its result is not known; it waits for slots.
    Runnable,
    /// It runs.
    Running,
    /// It is over.
    Over(Ended),
}

struct Scheduler<'scope, 'env, 'a> {
    request: &'env Request<'a>,
    shop: &'env Shop<'env>,
    crew: Crew<'scope, 'env>,
    emit: &'env mut dyn FnMut(&Event),
    files: Files,
    before: Option<Standing>,
    states: Vec<State>,
    records: Vec<Option<Record>>,
    /// What lies in the output folder, by output.
    placed: Vec<Vec<Hashed>>,
    keys: Vec<Option<Key>>,
    /// How long nodes took, as far as that is known.
    took: Vec<Option<f64>>,
    changes: Vec<u32>,
    priority: Vec<f64>,
    ready: Vec<usize>,
    runnable: BinaryHeap<Ranked>,
    summary: Summary,
    told_of_stopping: u8,
}

/// A node by its rank: the longest way to the end first, then the order of the file.
struct Ranked(f64, usize);

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Ranked {}
impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(other.1.cmp(&self.1))
    }
}

impl<'scope, 'env, 'a> Scheduler<'scope, 'env, 'a> {
    fn new(
        request: &'env Request<'a>,
        shop: &'env Shop<'env>,
        crew: Crew<'scope, 'env>,
        emit: &'env mut dyn FnMut(&Event),
        known: Known,
    ) -> Self {
        let plan = request.plan;
        let count = plan.nodes.len();
        let Known { needed, still, before, files } = known;
        let state = |i: usize| match needed[i] {
            true => State::Waiting(plan.reads(i).filter(|r| !still[*r]).count()),
            false => State::Unwanted,
        };
        let mut scheduler = Self {
            states: (0..count).map(state).collect(),
            records: vec![None; count],
            placed: vec![Vec::new(); count],
            keys: vec![None; count],
            took: vec![None; count],
            changes: vec![0; count],
            priority: Vec::new(),
            ready: Vec::new(),
            runnable: BinaryHeap::new(),
            summary: Summary::default(),
            told_of_stopping: 0,
            request,
            shop,
            crew,
            emit,
            files,
            before: None,
        };
        if let Some(before) = before {
            for i in 0..count {
                if let Some(stood) = before.node(i) {
                    scheduler.took[i] = Some(stood.seconds);
                    if still[i] {
                        scheduler.stands(i, stood);
                    }
                }
            }
            scheduler.before = Some(before);
        }
        scheduler
    }

    /// A node stands where it stood when the last run ended.
    fn stands(&mut self, i: usize, stood: &Stood) {
        let outputs = stood.outputs(&self.request.plan.nodes[i]);
        let outputs = outputs.map(|(name, stored)| (name.clone(), stored.clone())).collect();
        self.records[i] = Some(Record { outputs, ..Record::default() });
        self.placed[i].clone_from(&stood.placed);
        self.keys[i] = Some(stood.key);
        self.tell_over(i, Ended::Cached, 0.0, None);
    }

    /// What came out, and where the nodes stand.
    fn finish(self) -> (Summary, Standing) {
        let stood = (0..self.states.len()).map(|i| {
            let known = matches!(self.states[i], State::Over(Ended::Cached | Ended::Executed));
            let placed = self.placed[i].clone();
            let whole = known && placed.len() == self.request.plan.nodes[i].outputs.len();
            let settled = whole && placed.iter().all(Hashed::is_settled);
            let seconds = self.took[i].unwrap_or(0.0);
            self.keys[i].filter(|_| settled).map(|key| Stood { key, placed, seconds })
        });
        let (identity, out) = (self.request.identity, &self.request.out);
        let standing = Standing::now(self.before, identity, out, stood.collect(), &self.files);
        (self.summary, standing)
    }

    fn start(&mut self) -> Result<()> {
        let first: Vec<usize> = self
            .request
            .plan
            .order
            .iter()
            .copied()
            .filter(|i| self.states[*i] == State::Waiting(0))
            .collect();
        // The last in the list is taken first: file order.
        for i in first.into_iter().rev() {
            self.states[i] = State::Ready;
            self.ready.push(i);
        }
        self.advance()
    }

    /// Waits for running nodes until nothing is left.
    fn follow(&mut self, receive: &std::sync::mpsc::Receiver<Message>) -> Result<()> {
        while self.crew.out() > 0 {
            self.shop.stop.enforce();
            self.tell_of_stopping();
            match receive.recv_timeout(TICK) {
                Ok(Message::Event(event)) => (self.emit)(&event),
                Ok(Message::Finished { index, key, outcome, seconds, follows }) => {
                    self.crew.over();
                    if let Some(next) = follows {
                        self.started(next);
                    }
                    // What can start at once need not wait until this result has appeared.
                    self.fill()?;
                    self.finished(index, key, *outcome, seconds)?;
                    self.advance()?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for i in 0..self.states.len() {
            if !matches!(self.states[i], State::Unwanted | State::Over(_)) {
                self.over(i, Ended::Skipped, 0.0, None);
            }
        }
        Ok(())
    }

    /// Says once that somebody asked for the end, and once more that it is to come now.
    fn tell_of_stopping(&mut self) {
        let asked = u8::from(self.shop.stop.asked()) + u8::from(self.shop.stop.now());
        if asked > self.told_of_stopping {
            self.told_of_stopping = asked;
            (self.emit)(&Event::RunStopping { running: self.crew.out(), now: asked > 1 });
        }
    }

    /// After a fault of the machine: waits for what runs, so that no finished work is lost.
    fn wind_up(&mut self, receive: &std::sync::mpsc::Receiver<Message>) {
        self.crew.take_back();
        while self.crew.out() > 0 {
            self.shop.stop.enforce();
            if let Ok(Message::Finished { .. }) = receive.recv_timeout(TICK) {
                self.crew.over();
            }
        }
    }

    /// Looks up what is ready and starts what there are slots for.
    fn advance(&mut self) -> Result<()> {
        while let Some(i) = self.ready.pop() {
            self.look_up(i)?;
        }
        self.fill()
    }

    /// Starts what there are slots for, and has small nodes wait for the threads that are busy.
    fn fill(&mut self) -> Result<()> {
        let failed = self.summary.failed > 0 && !self.request.keep_going;
        if failed || self.shop.stop.asked() {
            for i in self.crew.take_back() {
                self.states[i] = State::Runnable;
            }
            return Ok(());
        }
        while let Some(Ranked(rank, i)) = self.runnable.pop() {
            let wanted = &self.request.plan.nodes[i].resources;
            let taken = self.shop.slots.take(wanted);
            if taken.is_none() && !(wanted.is_small() && self.crew.has_room()) {
                self.runnable.push(Ranked(rank, i));
                break;
            }
            if self.inputs_are_sound(i)? {
                self.launch(i, taken)?;
                continue;
            }
            drop(taken);
            while let Some(i) = self.ready.pop() {
                self.look_up(i)?;
            }
        }
        Ok(())
    }

    /// Makes a node's key and looks for its result.
    fn look_up(&mut self, i: usize) -> Result<()> {
        let plan = self.request.plan;
        let node = &plan.nodes[i];
        let inputs = prints(node, plan, &self.records, &self.files).unwrap_or_default();
        let fingerprint = Fingerprint::of(node, inputs);
        let key = fingerprint.key().map_err(|e| Fault::machine(e.to_string()))?;
        self.keys[i] = Some(key);
        let forced = self.request.force.contains(&i);
        if !forced
            && let Some(record) = self.shop.cache.record(&key)
            && self.appear(i, &record, &key, false)?
        {
            self.took[i] = Some(record.made.seconds);
            self.records[i] = Some(record);
            self.over(i, Ended::Cached, 0.0, None);
            return Ok(());
        }
        if self.priority.is_empty() {
            self.priority = self.ranks();
        }
        self.states[i] = State::Runnable;
        self.runnable.push(Ranked(self.priority[i], i));
        Ok(())
    }

    /// The longest time from each node to the end, by what nodes of this name took last.
    fn ranks(&mut self) -> Vec<f64> {
        let plan = self.request.plan;
        if self.before.is_none() {
            let keys = self.shop.cache.node_keys();
            let mut took: BTreeMap<String, f64> = BTreeMap::new();
            for record in keys.iter().take(4 * plan.nodes.len()).filter_map(|k| self.shop.cache.record(k)) {
                took.entry(record.made.node).or_insert(record.made.seconds);
            }
            for (node, seconds) in plan.nodes.iter().zip(&mut self.took) {
                *seconds = seconds.or_else(|| took.get(&node.name).copied());
            }
        }
        let mut ranks = vec![0.0; plan.nodes.len()];
        for i in plan.order.iter().rev() {
            let after = plan.readers(*i).map(|r| ranks[r]).fold(0.0, f64::max);
            ranks[*i] = after + self.took[*i].unwrap_or(1.0).max(0.001);
        }
        ranks
    }

    /// Makes a result's outputs appear; `false` when an object that is needed for it is damaged.
    /// `fresh`: the objects were stored a moment ago.
    fn appear(&mut self, i: usize, record: &Record, key: &Key, fresh: bool) -> Result<bool> {
        let node = &self.request.plan.nodes[i];
        let folder = self.request.out.join(node.folder());
        let mut placed = Vec::with_capacity(node.outputs.len());
        for output in &node.outputs {
            let Some(stored) = record.outputs.get(&output.name) else { return Ok(false) };
            let to = folder.join(&output.path);
            if let Some(there) = self.shop.cache.is_at(&to, stored) {
                placed.push(there);
                continue;
            }
            if !fresh && !self.shop.cache.verify(stored, Look::AtStat) {
                self.shop.cache.set_aside(&stored.digest)?;
                self.shop.cache.withdraw(key)?;
                return Ok(false);
            }
            placed.push(outputs::place(self.shop.cache, stored, &to)?);
        }
        self.placed[i] = placed;
        Ok(true)
    }

    /// Whether all objects that a node reads are whole. Nodes whose objects are not run again first.
    fn inputs_are_sound(&mut self, i: usize) -> Result<bool> {
        let plan = self.request.plan;
        let mut waiting = 0;
        for before in plan.reads(i) {
            if self.states[before] != State::Over(Ended::Cached)
                && self.states[before] != State::Over(Ended::Executed)
            {
                waiting += 1;
                continue;
            }
            let sources = plan.nodes[i].inputs.iter().flat_map(|input| &input.sources);
            let read = sources.filter_map(|s| match s {
                Source::Node { node, output } if *node == before => {
                    Some(&plan.nodes[before].outputs[*output].name)
                }
                _ => None,
            });
            let record = self.records[before].clone().unwrap_or_default();
            let mut sound = true;
            for name in read {
                let whole = record.outputs.get(name).is_some_and(|s| self.shop.cache.verify(s, Look::AtStat));
                if !whole {
                    sound = false;
                    if let Some(stored) = record.outputs.get(name) {
                        self.shop.cache.set_aside(&stored.digest)?;
                    }
                }
            }
            if !sound {
                tracing::warn!(
                    node = plan.nodes[before].name,
                    "a cached output is damaged or gone: it is made again"
                );
                if let Some(key) = self.keys[before] {
                    self.shop.cache.withdraw(&key)?;
                }
                match self.states[before] {
                    State::Over(Ended::Cached) => self.summary.cached -= 1,
                    _ => self.summary.executed -= 1,
                }
                self.records[before] = None;
                self.states[before] = State::Ready;
                self.ready.push(before);
                waiting += 1;
            }
        }
        if waiting > 0 {
            self.states[i] = State::Waiting(waiting);
        }
        Ok(waiting == 0)
    }

    fn launch(&mut self, i: usize, taken: Option<slots::Taken>) -> Result<()> {
        let plan = self.request.plan;
        let node = &plan.nodes[i];
        let inputs = prints(node, plan, &self.records, &self.files).unwrap_or_default();
        let fingerprint = Fingerprint::of(node, inputs);
        let key = fingerprint.key().map_err(|e| Fault::machine(e.to_string()))?;
        self.keys[i] = Some(key);
        let mut files = self.files.of_node(node);
        let (mut bindings, mut reads) = (BTreeMap::new(), BTreeMap::new());
        match node.work {
            Work::Command { .. } => reads = self.reads(i, &mut files),
            Work::Worker(_) => bindings = inputs::bindings(node, plan, &self.records, self.shop.cache),
        }
        let task = Task {
            index: i,
            node,
            key,
            fingerprint,
            files,
            bindings,
            reads,
            taken,
            forced: self.request.force.contains(&i),
        };
        self.states[i] = State::Running;
        if task.taken.is_some() {
            self.started(i);
        }
        self.crew.start(task);
        Ok(())
    }

    fn started(&mut self, i: usize) {
        let node = &self.request.plan.nodes[i];
        (self.emit)(&Event::NodeStarted { node: node.name.clone(), kind: node.kind.clone() });
    }

    /// What a command reads: outputs of other nodes where they appeared, and these are looked at afterwards like
    /// the user's own files. Where one of them changed in the first try, the objects behind them under links.
    fn reads(&self, i: usize, files: &mut Vec<(PathBuf, Hashed)>) -> BTreeMap<String, Vec<Reading>> {
        let plan = self.request.plan;
        let mut out: BTreeMap<String, Vec<Reading>> = BTreeMap::new();
        for input in &plan.nodes[i].inputs {
            let reads = out.entry(input.name.clone()).or_default();
            for source in &input.sources {
                if let Source::Node { node, output } = source
                    && self.changes[i] == 0
                    && let Some(hashed) = self.placed[*node].get(*output)
                {
                    let from = &plan.nodes[*node];
                    let path = self.request.out.join(from.folder()).join(&from.outputs[*output].path);
                    files.push((path.clone(), hashed.clone()));
                    reads.push(Reading { path, link: None });
                    continue;
                }
                let path = inputs::lies_at(source, plan, &self.records, self.shop.cache);
                let last = inputs::last_name(source, plan);
                let link = path.file_name().is_none_or(|n| *n != *last).then_some(last);
                reads.push(Reading { path, link });
            }
        }
        out
    }

    fn finished(&mut self, i: usize, key: Key, outcome: Outcome, seconds: f64) -> Result<()> {
        match outcome {
            Outcome::Found(record) => {
                self.appear(i, &record, &key, false)?;
                self.records[i] = Some(record);
                self.over(i, Ended::Cached, seconds, None);
            }
            Outcome::Ran(record) => {
                self.appear(i, &record, &key, true)?;
                self.took[i] = Some(record.made.seconds);
                self.records[i] = Some(record);
                if seconds > SYNC_AFTER {
                    self.shop.cache.make_durable()?;
                }
                self.over(i, Ended::Executed, seconds, None);
            }
            Outcome::Changed(paths) => self.again(i, &paths, seconds)?,
            Outcome::Failed(failed) => self.over(i, Ended::Failed, seconds, Some(failed)),
            Outcome::Stopped => self.over(i, Ended::Skipped, seconds, None),
            Outcome::Broken(fault) => return Err(fault),
        }
        Ok(())
    }

    /// A file changed while a node read it: what came out belongs to neither state. It runs again on the new one.
    fn again(&mut self, i: usize, paths: &[PathBuf], seconds: f64) -> Result<()> {
        let node = self.request.plan.nodes[i].name.clone();
        let list: Vec<String> = paths.iter().map(|p| crate::manifest::shown(p)).collect();
        let list = list.join(", ");
        self.changes[i] += 1;
        let renewed = paths.iter().try_for_each(|p| self.files.renew(p, self.shop.cache));
        for before in self.request.plan.reads(i) {
            if let (Some(record), Some(key)) = (self.records[before].clone(), self.keys[before]) {
                self.appear(before, &record, &key, false)?;
            }
        }
        if self.changes[i] > MOST_CHANGES || renewed.is_err() {
            let failed = Failed::new(format!("{list} kept changing while it ran"));
            self.over(i, Ended::Failed, seconds, Some(failed.help("let it come to rest, then run again")));
            return Ok(());
        }
        let text = format!("{list} changed while it ran: what came out is thrown away, and it runs again");
        (self.emit)(&Event::NodeWarning { node, text });
        self.states[i] = State::Ready;
        self.ready.push(i);
        Ok(())
    }

    fn over(&mut self, i: usize, ended: Ended, seconds: f64, failed: Option<Failed>) {
        self.tell_over(i, ended, seconds, failed);
        if !matches!(ended, Ended::Cached | Ended::Executed) {
            return;
        }
        for reader in self.request.plan.readers(i) {
            match self.states[reader] {
                State::Waiting(1) => {
                    self.states[reader] = State::Ready;
                    self.ready.push(reader);
                }
                State::Waiting(n) => self.states[reader] = State::Waiting(n - 1),
                _ => {}
            }
        }
    }

    fn tell_over(&mut self, i: usize, ended: Ended, seconds: f64, failed: Option<Failed>) {
        let plan = self.request.plan;
        self.states[i] = State::Over(ended);
        match ended {
            Ended::Cached => self.summary.cached += 1,
            Ended::Executed => self.summary.executed += 1,
            Ended::Failed => self.summary.failed += 1,
            Ended::Skipped => self.summary.skipped += 1,
        }
        let digests = self.records[i].iter().flat_map(|r| &r.outputs).map(|(n, s)| (n.clone(), s.digest));
        let Failed { message, help, log } = failed.unwrap_or_default();
        (self.emit)(&Event::NodeFinished {
            node: plan.nodes[i].name.clone(),
            state: ended,
            key: self.keys[i],
            seconds,
            outputs: digests.collect(),
            error: Some(message).filter(|m| !m.is_empty()),
            help,
            log,
        });
    }
}
