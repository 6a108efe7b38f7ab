//! Which node next.

use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::event::{Ended, Event};
use super::inputs::{self, prints};
use super::rank::{self, Ranked};
use super::slots::Taken;
use super::task::{End, Failed, Mode, Outcome, Reading, Reads, Restore, Run, Task};
use super::work::RunContext;
use super::{Known, Request, Summary};
use crate::cache::{Hashed, Stored};
use crate::digest::{Digest, Root};
use crate::fault::{Fault, Result};
use crate::fingerprint::{Fingerprint, Key};
use crate::plan::{Resources, Source, Work};
use crate::state::{Files, NodeState, NodeStates, digest_of_inputs};

/// How often a node is run again because a file changed under it.
const MOST_CHANGES: u32 = 3;

/// Work of so many seconds is put on the disk; less is not waited for.
const SYNC_AFTER: f64 = 1.0;

/// The state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not wanted in this run.
    Unwanted,
    /// So many of the nodes that it reads have no result yet.
    Waiting(usize),
    /// All that it reads is there; its key has not been looked up.
    Ready,
    /// A cache hit: its outputs are being materialised.
    Restoring,
    /// A cache miss: it waits for slots.
    Runnable,
    /// It runs.
    Running,
    /// It is over.
    Over(Ended),
}

/// Decides what is next, and takes results in.
pub(super) struct Scheduler<'env> {
    request: &'env Request<'env>,
    context: &'env RunContext<'env>,
    files: Files,
    before: NodeStates,
    states: Vec<State>,
    /// The results that are there.
    results: Vec<Option<NodeState>>,
    /// Which of them the last run left, and are up to date.
    unchanged: Vec<bool>,
    keys: Vec<Option<Key>>,
    /// The digest of what each node read when its key was made.
    inputs: Vec<Option<Digest>>,
    /// How long nodes took, as far as that is known.
    took: Vec<Option<f64>>,
    changes: Vec<u32>,
    /// How many results of a node this run has taken in.
    made: Vec<u32>,
    /// What the outputs of nodes were that are computed again.
    superseded: HashMap<usize, Vec<Digest>>,
    priority: Vec<f64>,
    ready: Vec<usize>,
    /// By what they need of the machine.
    runnable: BTreeMap<Resources, BinaryHeap<Ranked>>,
    /// Cache hits that wait for a thread.
    hits: VecDeque<Box<Restore<'env>>>,
    /// How many of them threads work on.
    restoring: usize,
    /// What has its slots and waits for a thread.
    tasks: VecDeque<Box<Run<'env>>>,
    /// After a fault of the machine.
    closed: bool,
    /// Cache hits that are still to be pinned.
    pinned: Vec<Key>,
    /// Seconds of work whose results may not be on the disk.
    unsynced: f64,
    summary: Summary,
    announced_stops: u8,
}

/// What is reported of a node that is over.
#[derive(Default)]
struct Ending {
    seconds: f64,
    peak: Option<u64>,
    /// The last run left its result, which is up to date.
    unchanged: bool,
    failed: Option<Failed>,
}

/// What a run leaves.
pub(super) struct Finished {
    pub summary: Summary,
    pub states: NodeStates,
    /// Every node of the plan has its result, from inputs that did not change meanwhile.
    pub all_up_to_date: bool,
    /// There is work to put on the disk.
    pub unsynced: bool,
}

impl<'env> Scheduler<'env> {
    pub fn new(request: &'env Request<'env>, context: &'env RunContext<'env>, known: Known) -> Self {
        let plan = request.plan;
        let count = plan.nodes.len();
        let Known { needed, up_to_date, mut before, files } = known;
        let state = |i: usize| match needed[i] {
            true => State::Waiting(plan.reads(i).filter(|r| !up_to_date[*r]).count()),
            false => State::Unwanted,
        };
        let took = (0..count).map(|i| before.node(i).map(|state| state.seconds)).collect();
        let results: Vec<_> = (0..count).map(|i| if up_to_date[i] { before.take(i) } else { None }).collect();
        let mut scheduler = Self {
            states: (0..count).map(state).collect(),
            results,
            unchanged: up_to_date.clone(),
            keys: vec![None; count],
            inputs: vec![None; count],
            superseded: HashMap::new(),
            took,
            changes: vec![0; count],
            made: vec![0; count],
            priority: Vec::new(),
            ready: Vec::new(),
            runnable: BTreeMap::new(),
            hits: VecDeque::new(),
            restoring: 0,
            tasks: VecDeque::new(),
            closed: false,
            pinned: Vec::new(),
            unsynced: 0.0,
            summary: Summary::default(),
            announced_stops: 0,
            request,
            context,
            files,
            before,
        };
        for i in (0..count).filter(|i| up_to_date[*i]) {
            scheduler.announce(i, Ended::Cached, Ending { unchanged: true, ..Ending::default() });
        }
        scheduler
    }

    /// What the run leaves.
    pub fn finish(self) -> Finished {
        let unsynced = self.unsynced > SYNC_AFTER;
        let ended = |s: &State| matches!(s, State::Over(Ended::Cached | Ended::Executed));
        let all_up_to_date = self.states.iter().all(ended) && self.changes.iter().all(|n| *n == 0);
        let mut states = self.before;
        for (i, result) in self.results.into_iter().enumerate() {
            match result {
                Some(state) if self.unchanged[i] => states.put_back(i, state),
                // Where there is doubt about an output, it is checked again.
                result if self.states[i] != State::Unwanted => states.put(i, result),
                _ => {}
            }
        }
        states.put_files(&self.files);
        Finished { summary: self.summary, states, all_up_to_date, unsynced }
    }

    /// The result of a node, as the cache has it.
    fn stored<'b>(&'b self) -> impl Fn(usize, usize) -> Option<&'b Stored> + 'b {
        |node, output| Some(&self.results[node].as_ref()?.placed.get(output)?.stored)
    }

    pub fn start(&mut self) -> Result<()> {
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
            self.make_ready(i);
        }
        self.advance()
    }

    /// Whether something waits for a thread.
    pub fn has_task(&self) -> bool {
        !self.tasks.is_empty() || self.may_restore()
    }

    /// Whether another cache hit may be restored: as many at a time as there are processors.
    fn may_restore(&self) -> bool {
        !self.hits.is_empty() && self.restoring < self.context.slots.processors()
    }

    /// What to do next. What runs has its slots.
    pub fn next_task(&mut self) -> Option<Task<'env>> {
        if self.may_restore()
            && let Some(hit) = self.hits.pop_front()
        {
            self.restoring += 1;
            return Some(Task::Restore(hit));
        }
        self.tasks.pop_front().map(Task::Run)
    }

    /// After a fault of the machine.
    pub fn start_nothing_more(&mut self) {
        self.closed = true;
        self.context.halted.store(true, Ordering::Relaxed);
        self.tasks.clear();
        self.hits.clear();
    }

    /// Takes in the outcome of a node, and starts what can start now.
    pub fn take_in(&mut self, i: usize, key: Key, outcome: Outcome, seconds: f64) -> Result<()> {
        self.finished(i, key, outcome, seconds)?;
        self.advance()
    }

    /// What was not tried is skipped.
    pub fn skip_rest(&mut self) {
        for i in 0..self.states.len() {
            if !matches!(self.states[i], State::Unwanted | State::Over(_)) {
                self.over(i, Ended::Skipped, Ending::default());
            }
        }
    }

    /// Whether it is time to put results on the disk. Who asks does it.
    pub fn wants_sync(&mut self) -> bool {
        let wants = self.unsynced > SYNC_AFTER && !self.context.syncing.swap(true, Ordering::Relaxed);
        if wants {
            self.unsynced = 0.0;
        }
        wants
    }

    /// Reports once that the run is being stopped, and once more that it is stopped at once.
    pub fn announce_stopping(&mut self, running: usize) {
        let asked = u8::from(self.context.stop.asked()) + u8::from(self.context.stop.now());
        if asked > self.announced_stops {
            self.announced_stops = asked;
            self.context.emit(&Event::RunStopping { running, now: asked > 1 });
        }
    }

    /// Looks up what is ready and starts what there are slots for.
    fn advance(&mut self) -> Result<()> {
        while let Some(i) = self.ready.pop() {
            self.look_up(i)?;
        }
        // Together, and before their outputs are materialised: no collection takes them away from here on.
        self.context.cache.pin(&self.context.run, &std::mem::take(&mut self.pinned))?;
        self.fill()
    }

    /// Takes slots for what can start.
    fn fill(&mut self) -> Result<()> {
        let failed = self.summary.failed > 0 && !self.request.keep_going;
        if failed || self.closed || self.context.stop.asked() {
            self.context.halted.store(true, Ordering::Relaxed);
            self.tasks.clear();
            self.hits.clear();
            return Ok(());
        }
        // Nodes that need the same are tried in their order; one that gets nothing holds up those alone that would take what it
        // waits for.
        let mut refused: Vec<Resources> = Vec::new();
        while let Some(wanted) = self.next_demand(&refused) {
            let Some(Ranked(_, i)) = self.runnable.get(&wanted).and_then(|queue| queue.peek()) else { break };
            let i = *i;
            let taken = match refused.first() {
                None => self.context.slots.take(&wanted),
                Some(first) => self.context.slots.take_beside(&wanted, first),
            };
            let Some(taken) = taken else {
                if refused.is_empty() {
                    self.context.slots.wait_for(i);
                }
                refused.push(wanted);
                continue;
            };
            if let Some(queue) = self.runnable.get_mut(&wanted) {
                queue.pop();
                if queue.is_empty() {
                    self.runnable.remove(&wanted);
                }
            }
            if self.inputs_are_there(i) {
                self.launch(i, taken)?;
            }
        }
        Ok(())
    }

    /// What the first node in the order needs, leaving out those that need what was refused.
    fn next_demand(&self, refused: &[Resources]) -> Option<Resources> {
        let open = self.runnable.iter().filter(|(wanted, _)| !refused.contains(wanted));
        let first =
            open.filter_map(|(wanted, queue)| Some((queue.peek()?, wanted))).max_by(|a, b| a.0.cmp(b.0));
        first.map(|(_, wanted)| wanted.clone())
    }

    /// Makes a node's key and looks for its result.
    fn look_up(&mut self, i: usize) -> Result<()> {
        // An input that was there may be computed again meanwhile.
        if !self.inputs_are_there(i) {
            return Ok(());
        }
        let plan = self.request.plan;
        let node = &plan.nodes[i];
        let known_will_do = self.mode(i) == Mode::Known;
        let reads = self.inputs_now(i);
        if known_will_do && self.is_up_to_date(i, reads) {
            self.results[i] = self.before.take(i);
            self.unchanged[i] = true;
            self.over(i, Ended::Cached, Ending { unchanged: true, ..Ending::default() });
            return Ok(());
        }
        let (_, key) = self.fingerprint(i, reads)?;
        if known_will_do && let Some(record) = self.context.cache.record(&key) {
            self.states[i] = State::Restoring;
            self.pinned.push(key);
            self.hits.push_back(Box::new(Restore { index: i, node, key, record }));
        } else {
            self.queue(i);
        }
        Ok(())
    }

    /// Makes a node's key; `reads` is the digest of what it reads now.
    fn fingerprint(&mut self, i: usize, reads: Option<Digest>) -> Result<(Fingerprint, Key)> {
        let plan = self.request.plan;
        let node = &plan.nodes[i];
        let inputs = prints(node, plan, &self.stored(), &self.files).unwrap_or_default();
        let fingerprint = Fingerprint::of(node, inputs);
        let key = fingerprint.key().map_err(|e| Fault::machine(e.to_string()))?;
        self.keys[i] = Some(key);
        self.inputs[i] = reads;
        Ok((fingerprint, key))
    }

    /// A cache miss waits for slots.
    fn queue(&mut self, i: usize) {
        let plan = self.request.plan;
        let node = &plan.nodes[i];
        let gpus = self.context.slots.gpus();
        if node.resources.gpu as usize > gpus {
            let message = format!("it asks for {} GPU, and this machine has {gpus}", node.resources.gpu);
            let failed = Failed::new(message);
            let failed = failed.help("lower `resources.gpu` of the stage or what makes it want GPUs (`device`), or run where there are more");
            self.over(i, Ended::Failed, Ending { failed: Some(failed), ..Ending::default() });
            return;
        }
        if self.priority.is_empty() {
            self.priority = rank::ranks(plan, &self.took, self.context.cache);
        }
        self.states[i] = State::Runnable;
        self.runnable.entry(node.resources.clone()).or_default().push(Ranked(self.priority[i], i));
    }

    /// What it means for a node that its result is known.
    fn mode(&self, i: usize) -> Mode {
        match (self.request.check.contains(&i), self.request.force.contains(&i)) {
            (true, _) => Mode::Check,
            (_, true) => Mode::Again,
            _ => Mode::Known,
        }
    }

    /// A node has no result. Only a fault of the cache or the machine ends the run.
    fn end_early(&mut self, i: usize, end: End, seconds: f64) -> Result<()> {
        match end {
            End::Failed(failed) => {
                self.over(i, Ended::Failed, Ending { seconds, failed: Some(failed), ..Ending::default() });
            }
            End::Stopped => self.over(i, Ended::Skipped, Ending { seconds, ..Ending::default() }),
            End::Broken(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Whether a node reads what it read in the last run, and its outputs have not changed since.
    fn is_up_to_date(&self, i: usize, reads: Option<Digest>) -> bool {
        let Some(state) = self.before.node(i) else { return false };
        let node = &self.request.plan.nodes[i];
        reads == Some(state.inputs)
            && Root::open(&self.request.out).is_ok_and(|out| state.outputs_are_unchanged(node, &out))
    }

    /// The digest of what a node reads.
    fn inputs_now(&self, i: usize) -> Option<Digest> {
        digest_of_inputs(&self.request.plan.nodes[i], &self.stored(), &self.files)
    }

    /// Takes in a result whose outputs are materialised.
    fn put(&mut self, i: usize, key: Key, placed: Vec<Hashed>, seconds: f64) {
        let before = self.superseded.remove(&i);
        let differs = before.is_some_and(|before| !before.iter().eq(placed.iter().map(|p| &p.stored.digest)));
        let inputs = self.inputs[i].unwrap_or_default();
        self.results[i] = Some(NodeState { key, inputs, placed, seconds });
        self.unchanged[i] = false;
        self.made[i] += 1;
        if differs {
            let readers: Vec<usize> = self.request.plan.readers(i).collect();
            readers.into_iter().for_each(|reader| drop(self.reopen(reader)));
        }
    }

    /// A node that is over is looked up again. Gives the result that it had.
    fn reopen(&mut self, i: usize) -> Option<NodeState> {
        match self.states[i] {
            State::Over(Ended::Cached) => self.summary.cached -= 1,
            State::Over(Ended::Executed) => self.summary.executed -= 1,
            _ => return None,
        }
        self.unchanged[i] = false;
        self.make_ready(i);
        let result = self.results[i].take()?;
        self.superseded.insert(i, result.placed.iter().map(|placed| placed.stored.digest).collect());
        Some(result)
    }

    /// A node is to be looked up.
    fn make_ready(&mut self, i: usize) {
        self.states[i] = State::Ready;
        self.ready.push(i);
    }

    /// Whether all that a node reads has its result. One may have been withdrawn: then the node waits for it again.
    fn inputs_are_there(&mut self, i: usize) -> bool {
        let over = |state| matches!(state, State::Over(Ended::Cached | Ended::Executed));
        let waiting = self.request.plan.reads(i).filter(|before| !over(self.states[*before])).count();
        if waiting > 0 {
            self.states[i] = State::Waiting(waiting);
        }
        waiting == 0
    }

    /// These objects are corrupt or missing: their nodes are computed again, and the node that reads them after that.
    fn compute_again(&mut self, i: usize, unsound: &[Reads]) -> Result<()> {
        let mut again: Vec<usize> = Vec::new();
        for Reads { by, result, stored } in unsound {
            // Another reader may have found it first; what lies there now is of the new result.
            let is_over = matches!(self.states[*by], State::Over(Ended::Cached | Ended::Executed));
            let first = is_over && self.made[*by] == *result;
            if !first && !again.contains(by) {
                continue;
            }
            self.context.cache.set_aside(stored)?;
            if first {
                again.push(*by);
                self.context.warn_of_corruption(&self.request.plan.nodes[*by]);
                if let Some(result) = self.reopen(*by) {
                    self.context.cache.withdraw(&result.key)?;
                }
            }
        }
        if self.inputs_are_there(i) {
            // They were computed again meanwhile.
            self.make_ready(i);
        }
        Ok(())
    }

    /// The objects that a node reads of others.
    fn objects(&self, i: usize) -> Vec<Reads> {
        let stored = self.stored();
        let sources = self.request.plan.nodes[i].inputs.iter().flat_map(|input| &input.sources);
        let read = sources.filter_map(|source| match source {
            Source::Node { node, output } => {
                let stored = stored(*node, *output)?.clone();
                Some(Reads { by: *node, result: self.made[*node], stored })
            }
            Source::Path { .. } => None,
        });
        read.collect()
    }

    fn launch(&mut self, i: usize, taken: Taken) -> Result<()> {
        let plan = self.request.plan;
        let node = &plan.nodes[i];
        let (fingerprint, key) = self.fingerprint(i, self.inputs_now(i))?;
        let mut files = self.files.of_node(node);
        let (mut bindings, mut reads) = (BTreeMap::new(), BTreeMap::new());
        match node.work {
            Work::Command { .. } => reads = self.reads(i, &mut files),
            Work::Worker(_) => bindings = inputs::bindings(node, plan, &self.stored(), self.context.cache),
        }
        let (objects, mode) = (self.objects(i), self.mode(i));
        let run = Run { index: i, node, key, fingerprint, files, objects, bindings, reads, taken, mode };
        self.states[i] = State::Running;
        self.tasks.push_back(Box::new(run));
        Ok(())
    }

    /// What a command reads: outputs of other nodes in the output folder, which are checked afterwards like
    /// the user's own files. Where one of them changed in the first try, the objects behind them under links.
    fn reads(&self, i: usize, files: &mut Vec<(PathBuf, Hashed)>) -> BTreeMap<String, Vec<Reading>> {
        let plan = self.request.plan;
        let mut out: BTreeMap<String, Vec<Reading>> = BTreeMap::new();
        for input in &plan.nodes[i].inputs {
            let reads = out.entry(input.name.clone()).or_default();
            for source in &input.sources {
                if let Source::Node { node, output } = source
                    && self.changes[i] == 0
                    && let Some(hashed) = self.results[*node].as_ref().and_then(|r| r.placed.get(*output))
                {
                    let from = &plan.nodes[*node];
                    let path = self.request.out.join(from.folder()).join(&from.outputs[*output].path);
                    files.push((path.clone(), hashed.clone()));
                    reads.push(Reading { path, link: None });
                    continue;
                }
                let path = inputs::lies_at(source, &self.stored(), self.context.cache);
                let last = inputs::last_name(source, plan);
                let link = path.file_name().is_none_or(|n| *n != *last).then_some(last);
                reads.push(Reading { path, link });
            }
        }
        out
    }

    fn finished(&mut self, i: usize, key: Key, outcome: Outcome, seconds: f64) -> Result<()> {
        if self.states[i] == State::Restoring {
            self.restoring -= 1;
        }
        // An input changed meanwhile, and another node has noticed: the result belongs to the state before.
        let stale = self.inputs[i] != self.inputs_now(i);
        match outcome {
            Outcome::Restored(..) | Outcome::Found(..) | Outcome::Ran(..) | Outcome::Checked(..) if stale => {
                self.make_ready(i);
            }
            Outcome::Restored(placed, took) => {
                self.put(i, key, placed, took);
                self.over(i, Ended::Cached, Ending::default());
            }
            Outcome::Unusable => self.queue(i),
            Outcome::Unsound(of) => self.compute_again(i, &of)?,
            Outcome::Found(placed, took) => {
                self.put(i, key, placed, took);
                self.over(i, Ended::Cached, Ending { seconds, ..Ending::default() });
            }
            Outcome::Ran(placed, took, peak) => {
                self.put(i, key, placed, took);
                self.unsynced += seconds;
                self.over(i, Ended::Executed, Ending { seconds, peak, ..Ending::default() });
            }
            Outcome::Checked(placed, took, differences) => {
                self.put(i, key, placed, took);
                self.summary.differences.extend(differences);
                self.over(i, Ended::Executed, Ending { seconds, ..Ending::default() });
            }
            Outcome::Changed(paths) => self.again(i, &paths, seconds)?,
            Outcome::Failed(failed) => self.end_early(i, End::Failed(failed), seconds)?,
            Outcome::Stopped => self.end_early(i, End::Stopped, seconds)?,
            Outcome::Broken(fault) => return Err(fault),
        }
        Ok(())
    }

    /// A file changed while a node read it: the result belongs to neither state. The node runs again on the new one.
    fn again(&mut self, i: usize, paths: &[PathBuf], seconds: f64) -> Result<()> {
        let node = self.request.plan.nodes[i].name.clone();
        let list: Vec<String> = paths.iter().map(|p| crate::manifest::shown(p)).collect();
        let list = list.join(", ");
        self.changes[i] += 1;
        let renewed = paths.iter().try_for_each(|p| self.files.renew(p, self.context.cache));
        for before in self.request.plan.reads(i) {
            let key = self.results[before].as_ref().map(|r| r.key);
            if let Some((key, record)) = key.and_then(|k| Some((k, self.context.cache.record(&k)?)))
                && let Err(end) =
                    self.context.materialise(&self.request.plan.nodes[before], &key, &record, false)
            {
                return self.end_early(i, end, seconds);
            }
        }
        if self.changes[i] > MOST_CHANGES || renewed.is_err() {
            let failed = Failed::new(format!("{list} kept changing while it ran"));
            let failed = Some(failed.help("let it come to rest, then run again"));
            self.over(i, Ended::Failed, Ending { seconds, failed, ..Ending::default() });
            return Ok(());
        }
        let text = format!("{list} changed while it ran: the result is discarded, and it runs again");
        self.context.emit(&Event::NodeWarning { node, text });
        self.make_ready(i);
        Ok(())
    }

    fn over(&mut self, i: usize, ended: Ended, ending: Ending) {
        self.announce(i, ended, ending);
        if !matches!(ended, Ended::Cached | Ended::Executed) {
            return;
        }
        for reader in self.request.plan.readers(i) {
            match self.states[reader] {
                State::Waiting(1) => {
                    self.make_ready(reader);
                }
                State::Waiting(n) => self.states[reader] = State::Waiting(n - 1),
                _ => {}
            }
        }
    }

    fn announce(&mut self, i: usize, ended: Ended, ending: Ending) {
        let Ending { seconds, peak, unchanged, failed } = ending;
        let plan = self.request.plan;
        self.states[i] = State::Over(ended);
        match ended {
            Ended::Cached => self.summary.cached += 1,
            Ended::Executed => self.summary.executed += 1,
            Ended::Failed => self.summary.failed += 1,
            Ended::Skipped => self.summary.skipped += 1,
        }
        let result = self.results[i].as_ref();
        let digests =
            result.iter().flat_map(|r| r.outputs(&plan.nodes[i])).map(|(n, s)| (n.clone(), s.digest));
        let Failed { message, help, log, .. } = failed.unwrap_or_default();
        self.context.emit(&Event::NodeFinished {
            node: plan.nodes[i].name.clone(),
            state: ended,
            key: result.map(|r| r.key).or(self.keys[i]),
            seconds,
            peak,
            unchanged,
            outputs: digests.collect(),
            error: Some(message).filter(|m| !m.is_empty()),
            help,
            log,
        });
    }
}
