//! Doing one node's work: lock, run, look at what came out, record.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lfs_stage::Binding;

use super::event::Event;
use super::slots::{Slots, Taken};
use super::stop::Stop;
use crate::cache::{Cache, Hashed, Look, Made, NoCollection, Record, Refused, Room, Scratch};
use crate::fault::{At, Fault};
use crate::fingerprint::{Fingerprint, Key};
use crate::outputs::{self, PLACING};
use crate::plan::{Node, Work};
use crate::worker::{Worker, Workers};

/// What all running nodes share.
pub(super) struct Shop<'a> {
    pub cache: &'a Cache,
    /// Where outputs appear.
    pub out: &'a Path,
    pub voice: &'a (dyn Fn(&Event) + Sync),
    pub workers: &'a Workers,
    pub idle: Mutex<Vec<IdleWorker>>,
    pub stop: Stop,
    pub slots: Slots,
    /// How many processes the kernel had killed for memory when the run began.
    pub kills_for_memory: u64,
    /// Results are being put on the disk.
    pub syncing: AtomicBool,
    /// Workers called steps spent.
    pub spent: AtomicBool,
    /// Made when the first node runs.
    pub scratch: Mutex<Option<Arc<Scratch>>>,
    /// Made when the first output is placed.
    pub placing: Mutex<Option<Arc<Scratch>>>,
    pub run: String,
    pub logs: PathBuf,
}

/// A worker without work, kept for the next node.
pub(super) struct IdleWorker {
    program: usize,
    gpus: Option<String>,
    worker: Worker,
}

/// A file or folder that a command reads.
pub(super) struct Reading {
    /// Where it lies.
    pub path: PathBuf,
    /// The name under which the command is to see it, where that is not the path's own.
    pub link: Option<String>,
}

/// A node that must run.
pub(super) struct Task<'a> {
    pub index: usize,
    pub node: &'a Node,
    pub key: Key,
    pub fingerprint: Fingerprint,
    pub files: Vec<(PathBuf, Hashed)>,
    /// For a worker: its inputs.
    pub bindings: BTreeMap<String, Binding>,
    /// For a command: its inputs.
    pub reads: BTreeMap<String, Vec<Reading>>,
    /// What it may use.
    pub taken: Taken,
    /// Run it although its result is known.
    pub forced: bool,
}

/// How a node's work ended.
pub(super) enum Outcome {
    /// Another run had the result ready: what lies in the output folder, and how long it took then.
    Found(Vec<Hashed>, f64),
    /// It ran: what lies in the output folder, how long it took, and the most memory that it held.
    Ran(Vec<Hashed>, f64, Option<u64>),
    /// One of the user's files changed while it ran: the result belongs to no key.
    Changed(Vec<PathBuf>),
    /// It failed.
    Failed(Failed),
    /// It was stopped.
    Stopped,
    /// The cache or the machine failed.
    Broken(Fault),
}

/// Why a node failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Failed {
    pub message: String,
    pub help: Option<String>,
    /// The last lines of its log.
    pub log: Vec<String>,
}

impl Task<'_> {
    /// The GPUs that it may use, as `CUDA_VISIBLE_DEVICES` names them.
    pub fn gpus(&self) -> &[String] {
        &self.taken.what.gpus
    }

    /// How many threads it may use.
    pub fn threads(&self) -> usize {
        self.taken.what.cpu.max(1) as usize
    }
}

impl Failed {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// What ends a piece of work early.
pub(super) enum End {
    Failed(Failed),
    Stopped,
    Broken(Fault),
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        let (message, help) = match refused {
            Refused::Fault(fault) => return fault.into(),
            Refused::Missing => ("an output is not there".to_owned(), "this is a defect of the stage"),
            Refused::Link(link) => {
                (format!("the output holds a symbolic link: {}", link.display()), "write the file itself")
            }
        };
        Self::Failed(Failed::new(message).help(help))
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Interrupted => Self::Stopped,
            other => Self::Broken(other),
        }
    }
}

/// The figures and warnings that a worker gave.
#[derive(Default)]
pub(super) struct Said {
    pub metrics: BTreeMap<String, f64>,
    pub warnings: Vec<String>,
    /// The most memory that was held, in bytes.
    pub peak: Option<u64>,
}

/// Where one try of a node writes.
pub(super) struct Place<'a> {
    /// Emptied afterwards.
    pub room: Room<'a>,
    /// The outputs go here; a command starts here.
    pub out: PathBuf,
    /// The log.
    pub log: PathBuf,
}

impl Shop<'_> {
    /// Says an event to whoever listens.
    pub fn say(&self, event: &Event) {
        (self.voice)(event);
    }

    /// Does a task that has its slots. Says how it ended, and how long it took.
    pub fn work(&self, task: &Task<'_>) -> (Outcome, f64) {
        let began = Instant::now();
        let outcome = match self.try_work(task) {
            Ok(outcome) => outcome,
            Err(End::Failed(failed)) => Outcome::Failed(failed),
            Err(End::Stopped) => Outcome::Stopped,
            Err(End::Broken(fault)) => Outcome::Broken(fault),
        };
        (outcome, began.elapsed().as_secs_f64())
    }

    fn try_work(&self, task: &Task<'_>) -> Result<Outcome, End> {
        self.say(&Event::NodeStarted { node: task.node.name.clone(), kind: task.node.kind.clone() });
        let waiting = || {
            self.say(&Event::NodeWaiting { node: task.node.name.clone() });
        };
        let lock = self.cache.lock(&task.key, &|| self.stop.asked(), &waiting)?;
        if let Some(record) = self.cache.record_now(&task.key)?
            && !task.forced
            && self.cache.has_all(&record, Look::AtStat)?
            && let Some(placed) = self.appear(task.node, &task.key, &record, false)?
        {
            self.cache.rely_on(&self.run, &[task.key])?;
            return Ok(Outcome::Found(placed, record.made.seconds));
        }
        let mut tries = 0;
        let record = loop {
            match self.once(task) {
                Err(End::Failed(failed)) if tries < task.node.retries && !self.stop.asked() => {
                    tries += 1;
                    let text = format!("try {tries} of {} failed: {}", task.node.retries + 1, failed.message);
                    self.say(&Event::NodeWarning { node: task.node.name.clone(), text });
                    self.pause(Duration::from_millis(500) * 2_u32.saturating_pow(tries.min(8)));
                }
                other => break other,
            }
        };
        let changed = self.changed(task);
        // What it read changed under it: that is also why it may have failed.
        if !changed.is_empty() && matches!(record, Ok(_) | Err(End::Failed(_))) {
            return Ok(Outcome::Changed(changed));
        }
        let (record, no_collection) = record?;
        self.cache.put_node(&task.key, &task.fingerprint, &record)?;
        drop(no_collection);
        drop(lock);
        match self.appear(task.node, &task.key, &record, true)? {
            Some(placed) => Ok(Outcome::Ran(placed, record.made.seconds, record.made.peak)),
            None => Err(End::Failed(Failed::new("its result vanished from the cache"))),
        }
    }

    /// Makes a result's outputs appear, and says what lies there now; `None` when an object that is needed for it
    /// is damaged. `fresh`: the objects were stored a moment ago.
    pub fn appear(
        &self,
        node: &Node,
        key: &Key,
        record: &Record,
        fresh: bool,
    ) -> Result<Option<Vec<Hashed>>, Fault> {
        let folder = self.out.join(node.folder());
        let mut placed = Vec::with_capacity(node.outputs.len());
        for output in &node.outputs {
            let Some(stored) = record.outputs.get(&output.name) else { return Ok(None) };
            let to = folder.join(&output.path);
            if let Some(there) = self.cache.is_at(&to, stored) {
                placed.push(there);
                continue;
            }
            if !fresh && !self.cache.verify(stored, Look::AtStat)? {
                self.cache.set_aside(&stored.digest)?;
                self.cache.withdraw(key)?;
                return Ok(None);
            }
            let placing = lazily(&self.placing, &|| Scratch::new(&self.out.join(PLACING), &self.run))?;
            placed.push(outputs::place(self.cache, stored, &to, &placing)?);
        }
        Ok(Some(placed))
    }

    /// The folder for running nodes.
    pub fn scratch(&self) -> Result<Arc<Scratch>, Fault> {
        lazily(&self.scratch, &|| self.cache.scratch(&self.run))
    }

    /// Puts everything so far on the disk.
    pub fn sync(&self) {
        if let Err(fault) = self.cache.make_durable() {
            tracing::warn!("{fault}");
        }
        self.syncing.store(false, Ordering::Relaxed);
    }

    /// Waits between two tries, unless the run is being stopped.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.stop.asked() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The user's files that are not what they were when the key was made.
    fn changed(&self, task: &Task<'_>) -> Vec<PathBuf> {
        let same = |(path, hashed): &&(PathBuf, Hashed)| !self.cache.unchanged(path, hashed).unwrap_or(false);
        task.files.iter().filter(same).map(|(path, _)| path.clone()).collect()
    }

    fn once(&self, task: &Task<'_>) -> Result<(Record, Option<NoCollection>), End> {
        let began = Instant::now();
        let started = jiff::Timestamp::now().to_string();
        let scratch = self.scratch()?;
        let room = scratch.room()?;
        let mut place = Place { out: room.path().to_owned(), log: self.log_path(&task.node.name), room };
        let done = match &task.node.work {
            Work::Command { run, env, strict } => {
                self.run_command(task, &mut place, (run, env, strict.as_deref()))
            }
            Work::Worker(program) => self.run_job(task, &mut place, *program),
        };
        let record = done.and_then(|said| {
            let no_collection = self.cache.no_collection()?;
            Ok((self.collect(task, &place, said, started, began)?, no_collection))
        });
        match record {
            Err(End::Failed(mut failed)) => {
                failed.log = tail(&place.log);
                Err(End::Failed(failed))
            }
            other => other,
        }
    }

    /// Moves the outputs into the cache.
    fn collect(
        &self,
        task: &Task<'_>,
        place: &Place<'_>,
        said: Said,
        started: String,
        began: Instant,
    ) -> Result<Record, End> {
        let mut outputs = BTreeMap::new();
        for output in &task.node.outputs {
            let path = place.out.join(&output.path);
            let stored = self.cache.store(&path).map_err(|refused| match refused {
                Refused::Missing => {
                    let what = match task.node.work {
                        Work::Command { .. } => {
                            format!("write it to `$OUT_{}`, or correct `output.{}`", output.name, output.name)
                        }
                        Work::Worker(_) => "this is a defect of the stage".to_owned(),
                    };
                    let message = format!(
                        "it ended well, but did not write its output `{}` ({})",
                        output.name, output.path
                    );
                    End::Failed(Failed::new(message).help(what))
                }
                other => other.into(),
            })?;
            outputs.insert(output.name.clone(), stored);
        }
        let seconds = began.elapsed().as_secs_f64();
        let worker = match task.node.work {
            Work::Command { .. } => "/bin/sh".to_owned(),
            Work::Worker(program) => self.workers.programs[program].name.clone(),
        };
        let (node, run, peak) = (task.node.name.clone(), self.run.clone(), said.peak);
        let made = Made { node, run, started, seconds, peak, worker };
        Ok(Record { outputs, metrics: said.metrics, warnings: said.warnings, note: None, made })
    }

    /// Where a node's log goes.
    pub fn log_path(&self, node: &str) -> PathBuf {
        self.logs.join(log_name(node))
    }

    /// A worker that sees these GPUs: an idle one, or a new one.
    pub fn worker(&self, program: usize, gpus: &[String]) -> Result<Worker, Fault> {
        let gpus = if gpus.is_empty() { None } else { Some(gpus.join(",")) };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = idle.iter().position(|w| w.program == program && w.gpus == gpus) {
            return Ok(idle.swap_remove(at).worker);
        }
        drop(idle);
        // A node without a GPU of its own must not touch one.
        Worker::start(&self.workers.programs[program], Some(gpus.as_deref().unwrap_or("")))
    }

    /// Keeps a worker for the next node.
    pub fn keep(&self, program: usize, gpus: &[String], worker: Worker) {
        worker.log_to(None);
        let gpus = if gpus.is_empty() { None } else { Some(gpus.join(",")) };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(IdleWorker { program, gpus, worker });
    }
}

/// What is there, or is made now.
fn lazily(
    place: &Mutex<Option<Arc<Scratch>>>,
    make: &dyn Fn() -> Result<Scratch, Fault>,
) -> Result<Arc<Scratch>, Fault> {
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *place {
        Some(there) => Ok(Arc::clone(there)),
        none => Ok(Arc::clone(none.insert(Arc::new(make()?)))),
    }
}

/// How many processes the kernel has killed for memory since the machine started.
pub(super) fn kills_for_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("oom_kill "));
    line.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

/// The name of a node's log file.
pub fn log_name(node: &str) -> String {
    format!("{}.log", node.replace('/', "%2F"))
}

/// Opens a log for appending: tries after the first go on in it.
pub(super) fn open_log(path: &Path) -> Result<File, Fault> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).at("create", parent)?;
    }
    File::options().create(true).append(true).open(path).at("write", path)
}

/// The last lines of a log.
fn tail(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let from = bytes.len().saturating_sub(8192);
    let text = String::from_utf8_lossy(&bytes[from..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].iter().map(|l| (*l).to_owned()).collect()
}
