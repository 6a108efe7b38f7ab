//! Running a job on a worker, and serving the steps that it asks for.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use lfs_stage::{Job, NOTE_FILE, Reply, Request, Step, StepAnswer};

use super::event::Event;
use super::task::{End, Failed, Mode, Run};
use super::work::{Attempt, RunContext, WorkerReport, open_log};
use crate::cache::{Look, Made, NoCollection, Record};
use crate::digest::Digest;
use crate::fault::{At, Fault};
use crate::fingerprint::{Key, StepPrint, canonical};
use crate::plan::Node;
use crate::worker::{Heard, Worker};

/// How long to listen before looking whether the run is being stopped.
const LISTEN: Duration = Duration::from_millis(200);

impl RunContext<'_> {
    pub(super) fn run_job(
        &self,
        task: &Run<'_>,
        attempt: &mut Attempt<'_>,
        program: usize,
    ) -> Result<WorkerReport, End> {
        attempt.out = attempt.room.path().join("out");
        std::fs::create_dir(&attempt.out).at("create", &attempt.out)?;
        let earlier = self.earlier(task)?;
        let job = Job {
            node: task.node.name.clone(),
            kind: task.node.kind.clone(),
            parameters: task.node.parameters.clone(),
            inputs: task.bindings.clone(),
            outputs: task.node.outputs.iter().map(|o| (o.name.clone(), attempt.out.join(&o.path))).collect(),
            scratch: attempt.room.path().join("own"),
            threads: task.threads(),
            earlier: earlier.outputs,
        };
        std::fs::create_dir(&job.scratch).at("create", &job.scratch)?;
        let mut worker = self.worker(program, task.node, task.gpus())?;
        worker.log_to(Some(open_log(&attempt.log)?));
        worker.measure();
        // What a check computes is named by no record.
        let unnamed = match task.mode {
            Mode::Check => self.cache.no_collection()?,
            _ => None,
        };
        worker.say(&Request::Run(job.clone()));
        let result = std::thread::scope(|scope| {
            let mut host = Host {
                context: self,
                task,
                attempt,
                program,
                job: &job,
                scope,
                asked: vec![],
                keys: HashMap::new(),
                fresh: HashMap::new(),
                _unnamed: unnamed,
                report: WorkerReport::default(),
            };
            let result = host.listen(&mut worker);
            // Helpers of steps that are no longer awaited end before the scope does.
            result.map(|usable| (host.report, usable))
        });
        match result {
            Ok((mut report, usable)) => {
                report.peak = worker.peak();
                report.earlier = earlier.key;
                if usable {
                    self.keep(program, task.gpus(), worker);
                }
                Ok(report)
            }
            // After a failure that it reported a worker is as good as new; after others it is not kept.
            Err((end, usable)) => {
                if usable {
                    self.keep(program, task.gpus(), worker);
                }
                Err(end)
            }
        }
    }
}

/// A step that the worker asked for.
struct Asked<'scope> {
    key: Key,
    print: StepPrint,
    step: Step,
    after: Vec<PathBuf>,
    folder: Option<PathBuf>,
    elsewhere: Option<ScopedJoinHandle<'scope, Result<(), End>>>,
}

/// Speaks with the worker of one job.
struct Host<'scope, 'env> {
    context: &'env RunContext<'env>,
    task: &'env Run<'env>,
    attempt: &'env Attempt<'env>,
    program: usize,
    job: &'env Job,
    scope: &'scope Scope<'scope, 'env>,
    asked: Vec<Asked<'scope>>,
    /// The keys of steps by the digests that the worker was given.
    keys: HashMap<String, Key>,
    /// The steps that this job computed, where those that were known before do not count.
    fresh: HashMap<Key, Record>,
    _unnamed: Option<NoCollection>,
    report: WorkerReport,
}

/// An early end, and whether the worker can be used again.
type Ending = (End, bool);

impl<'scope, 'env> Host<'scope, 'env> {
    /// Says whether the worker can be used again: its time may have been over just when it was done.
    fn listen(&mut self, worker: &mut Worker) -> Result<bool, Ending> {
        let entered = self.context.stop.enter(worker.group(), self.task.node.timeout);
        let mut log = open_log(&self.attempt.log).map_err(|f| (f.into(), false))?;
        loop {
            match worker.hear(LISTEN) {
                Heard::Nothing => {}
                Heard::Gone(status) => {
                    let timed_out = entered.leave();
                    return Err((self.context.ended(status, timed_out, self.task, "the worker"), false));
                }
                Heard::Nonsense(line) => {
                    let _ = writeln!(log, "{line}");
                }
                Heard::Reply(Reply::Done) => return Ok(!entered.leave()),
                Heard::Reply(Reply::Failed(failure)) => {
                    let failed = Failed { message: failure.message, help: failure.help, ..Failed::default() };
                    return Err((End::Failed(failed), !entered.leave()));
                }
                Heard::Reply(reply) => {
                    if let Some(answer) = self.answer(reply, &mut log).map_err(|end| (end, false))? {
                        worker.say(&answer);
                    }
                }
            }
        }
    }

    fn event(&self, event: Event) {
        self.context.emit(&event);
    }

    fn answer(&mut self, reply: Reply, log: &mut std::fs::File) -> Result<Option<Request>, End> {
        let node = self.task.node.name.clone();
        match reply {
            Reply::Progress { doing, done, total, unit, figures } => {
                self.event(Event::NodeProgress { node, doing, done, total, unit, figures });
            }
            Reply::Note { text } => {
                let _ = writeln!(log, "{text}");
            }
            Reply::Warning { text } => {
                let _ = writeln!(log, "warning: {text}");
                self.report.warnings.push(text.clone());
                self.event(Event::NodeWarning { node, text });
            }
            Reply::Metric { name, value } => {
                self.report.metrics.insert(name.clone(), value);
                self.event(Event::NodeMetric { node, name, value });
            }
            Reply::Cell { name, cell } => {
                self.report.cells.insert(name, cell);
            }
            Reply::Finding { claim, verdict } => {
                self.report.findings.insert(claim, verdict);
            }
            Reply::Steps { steps } => return self.ask(steps).map(Some),
            Reply::StepDone { index } => {
                return self.hand_in(index).map(|a| Some(Request::Steps { answers: vec![a] }));
            }
            Reply::StepWait { index } => {
                return self.wait(index).map(|a| Some(Request::Steps { answers: vec![a] }));
            }
            Reply::Spent { .. } if self.task.mode == Mode::Check => {}
            Reply::Spent { digests } => {
                let keys: Vec<Key> = digests.iter().filter_map(|d| self.keys.get(d)).copied().collect();
                self.context.cache.spend(&keys)?;
                self.context.spent.store(true, Ordering::Relaxed);
            }
            Reply::Done | Reply::Failed(_) => {}
        }
        Ok(None)
    }

    /// Answers a question for steps: known ones at once; of the others the worker gets the first, and those for
    /// which there is no free slot.
    fn ask(&mut self, steps: Vec<Step>) -> Result<Request, End> {
        self.asked.clear();
        let mut found = Vec::with_capacity(steps.len());
        for step in steps {
            let print = self.print(&step)?;
            let key = print.key().map_err(|e| End::Broken(Fault::machine(e.to_string())))?;
            let after: Result<Vec<PathBuf>, End> = step.after.iter().map(|d| self.folder_of(d)).collect();
            let asked = Asked { key, print, after: after?, step, folder: None, elsewhere: None };
            found.push((self.known(&key, asked.step.note_will_do)?, asked));
        }
        // What is done is kept: a stopped job goes on here the next time.
        if self.context.stop.asked() && found.iter().any(|(known, _)| known.is_none()) {
            return Err(End::Stopped);
        }
        // What some of them continue from is computed first: until then nothing of them is given out.
        let lacking = |asked: &Asked<'_>| -> Vec<String> {
            let after = asked.step.after.iter().zip(&asked.after);
            after.filter(|(_, folder)| !folder.exists()).map(|(digest, _)| digest.clone()).collect()
        };
        if found.iter().any(|(known, asked)| known.is_none() && !lacking(asked).is_empty()) {
            let answers = found.into_iter().map(|(known, asked)| {
                known.unwrap_or_else(|| StepAnswer::Lacking { after: lacking(&asked) })
            });
            return Ok(Request::Steps { answers: answers.collect() });
        }
        let mut answers = Vec::with_capacity(found.len());
        let mut own = false;
        for (known, mut asked) in found {
            let answer = match known {
                Some(answer) => {
                    self.step_event(&asked.step, true);
                    answer
                }
                None => self.give_out(&mut asked, &mut own)?,
            };
            self.asked.push(asked);
            answers.push(answer);
        }
        Ok(Request::Steps { answers })
    }

    /// Has a step computed: the first by the asking worker itself, others elsewhere while there is room.
    fn give_out(&self, asked: &mut Asked<'scope>, own: &mut bool) -> Result<StepAnswer, End> {
        let folder = self.context.scratch()?.folder()?;
        asked.folder = Some(folder.clone());
        let free = if *own { self.context.slots.take(&self.task.node.resources) } else { None };
        let Some(taken) = free else {
            *own = true;
            return Ok(StepAnswer::Compute { folder });
        };
        let (context, job, program) = (self.context, self.job.clone(), self.program);
        let log = self.attempt.log.clone();
        let node = self.task.node;
        let request = Request::RunStep { job, step: asked.step.clone(), after: asked.after.clone(), folder };
        asked.elsewhere = Some(
            self.scope.spawn(move || context.elsewhere(program, node, &taken.what.gpus, &request, &log)),
        );
        Ok(StepAnswer::Elsewhere)
    }

    fn step_event(&self, step: &Step, known: bool) {
        let node = self.task.node.name.clone();
        self.event(Event::NodeStep { node, step: step.name.clone(), known });
    }

    /// The fingerprint of a step: of the kind's code and facts, and what the worker says that it depends on.
    fn print(&self, step: &Step) -> Result<StepPrint, End> {
        let node = self.task.node;
        let Some(kind) = self.context.workers.kinds.get(&node.kind) else {
            return Err(End::Failed(Failed::new(format!("there is no kind `{}`", node.kind))));
        };
        let mut code = kind.info.code.clone();
        let mut environment = kind.info.facts.clone();
        for name in &step.choices {
            let value = node.parameters.get(name).and_then(|v| v.as_str()).unwrap_or_default();
            let choice = kind.info.choices.get(name).and_then(|c| c.get(value));
            if let Some(choice) = choice.filter(|choice| choice.counts(&node.parameters)) {
                code.extend(choice.code.clone());
                environment.extend(choice.facts.clone());
            }
        }
        let mut inputs = BTreeMap::new();
        for name in &step.inputs {
            match self.task.fingerprint.inputs.get(name) {
                Some(print) => {
                    inputs.insert(name.clone(), print.clone());
                }
                // An optional input that is not there is a fact too: its absence.
                None => continue,
            }
        }
        Ok(StepPrint {
            version: 1,
            kind: node.kind.clone(),
            code,
            spec: canonical(&step.spec),
            inputs,
            after: step.after.clone(),
            environment,
        })
    }

    fn folder_of(&self, digest: &str) -> Result<PathBuf, End> {
        let digest: Digest = digest.parse().map_err(|_| {
            End::Failed(Failed::new(format!("the worker named `{digest}` as a step, which is no digest")))
        })?;
        Ok(self.context.cache.object(&digest))
    }

    fn known(&mut self, key: &Key, note_will_do: bool) -> Result<Option<StepAnswer>, End> {
        let cache = self.context.cache;
        let record = match self.task.mode {
            Mode::Known => cache.record_now(key)?,
            Mode::Again | Mode::Check => self.fresh.get(key).cloned(),
        };
        let Some(record) = record else { return Ok(None) };
        let Some(stored) = record.outputs.get(STEP) else { return Ok(None) };
        cache.pin(&self.context.run, &[*key])?;
        if !cache.verify(stored, Look::AtStat)? {
            cache.set_aside(stored)?;
            // A damaged checkpoint is computed again, unless only its note is wanted.
            if !(note_will_do && record.note.is_some() && cache.is_spent(key)) {
                return Ok(None);
            }
        }
        Ok(Some(self.tell(*key, stored.digest, record.note)))
    }

    /// Tells the worker of a step that is known.
    fn tell(&mut self, key: Key, digest: Digest, note: Option<serde_json::Value>) -> StepAnswer {
        let folder = self.context.cache.object(&digest);
        let digest = digest.to_string();
        self.keys.insert(digest.clone(), key);
        StepAnswer::Known { digest, folder, note }
    }

    /// Takes a computed step into the cache.
    fn hand_in(&mut self, index: usize) -> Result<StepAnswer, End> {
        let Some(asked) = self.asked.get(index) else {
            return Err(End::Failed(Failed::new(format!(
                "the worker delivered step {index}, which it did not ask for"
            ))));
        };
        let Some(folder) = &asked.folder else {
            return Err(End::Failed(Failed::new(format!(
                "the worker delivered step {index}, which was cached"
            ))));
        };
        self.context.is_as_described(self.program)?;
        let note = note_of(folder)?;
        let no_collection = self.context.cache.no_collection()?;
        let stored = self.context.cache.store(folder)?;
        let digest = stored.digest;
        let made =
            Made { node: self.task.node.name.clone(), run: self.context.run.clone(), ..Made::default() };
        let outputs = BTreeMap::from([(STEP.to_owned(), stored)]);
        let record = Record { outputs, made, note: note.clone(), ..Record::default() };
        if self.task.mode != Mode::Check {
            self.context.cache.put_step(&asked.key, &asked.print, &record)?;
        }
        if self.task.mode != Mode::Known {
            self.fresh.insert(asked.key, record);
        }
        drop(no_collection);
        self.step_event(&asked.step, false);
        Ok(self.tell(asked.key, digest, note))
    }

    /// Waits for a step that another worker computes.
    fn wait(&mut self, index: usize) -> Result<StepAnswer, End> {
        let helper = self.asked.get_mut(index).and_then(|a| a.elsewhere.take());
        let Some(helper) = helper else {
            return Err(End::Failed(Failed::new(format!(
                "the worker waits for step {index}, which no process computes"
            ))));
        };
        match helper.join() {
            Ok(Ok(())) => self.hand_in(index),
            Ok(Err(end)) => Err(end),
            Err(_) => Err(End::Failed(Failed::new("the thread of a step panicked"))),
        }
    }
}

/// The note in a step's folder, if there is one.
fn note_of(folder: &Path) -> Result<Option<serde_json::Value>, End> {
    let path = folder.join(NOTE_FILE);
    let bytes = match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.at("read", &path)?,
    };
    if bytes.len() > LARGEST_NOTE {
        let text =
            format!("the {NOTE_FILE} of a step has {} bytes, of {LARGEST_NOTE} at the most", bytes.len());
        return Err(End::Failed(Failed::new(text)));
    }
    // `null` is no note.
    serde_json::from_slice(&bytes)
        .map_err(|e| End::Failed(Failed::new(format!("the {NOTE_FILE} of a step is no JSON: {e}"))))
}

/// Notes are part of the records, which are held in memory.
const LARGEST_NOTE: usize = 1 << 18;

/// The one output of a step's record.
const STEP: &str = "step";

impl RunContext<'_> {
    /// Has a step computed by another worker.
    fn elsewhere(
        &self,
        program: usize,
        node: &Node,
        gpus: &[String],
        request: &Request,
        log: &Path,
    ) -> Result<(), End> {
        let mut worker = self.worker(program, node, gpus)?;
        worker.log_to(Some(open_log(log)?));
        worker.say(request);
        let entered = self.stop.enter(worker.group(), node.timeout);
        loop {
            match worker.hear(LISTEN) {
                Heard::Reply(Reply::Done) => {
                    if !entered.leave() {
                        self.keep(program, gpus, worker);
                    }
                    return Ok(());
                }
                Heard::Reply(Reply::Failed(failure)) => {
                    return Err(End::Failed(Failed {
                        message: failure.message,
                        help: failure.help,
                        ..Failed::default()
                    }));
                }
                Heard::Gone(status) => {
                    let timed_out = entered.leave();
                    if timed_out {
                        let text = "a helper of a step was stopped after the timeout of its node";
                        return Err(End::Failed(Failed::new(text)));
                    }
                    if self.stop.now() {
                        return Err(End::Stopped);
                    }
                    return Err(End::Failed(Failed::new(format!("a helper of a step ended: {status}"))));
                }
                // What it says on the way is of the step alone, and not shown.
                Heard::Reply(_) | Heard::Nothing | Heard::Nonsense(_) => {}
            }
        }
    }
}
