//! Executing one node: lock, run, check the outputs, record.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lfs_stage::Cell;
use parking_lot::Mutex;

use super::event::Event;
use super::names::Names;
use super::slots::Slots;
use super::stop::Stop;
use super::task::{Difference, End, Failed, Mode, Outcome, Reads, Restore, Run, Task};
use crate::cache::{Cache, Hashed, Look, Made, NoCollection, Record, Refused, Room, Scratch};
use crate::digest::Digest;
use crate::fault::{At, Fault};
use crate::fingerprint::Key;
use crate::manifest::shown;
use crate::outputs::{Folder, Of, PLACING, Trouble};
use crate::paths::LONGEST_NAME;
use crate::plan::{Node, Work};
use crate::worker::{Worker, Workers};

/// What all running nodes share.
pub(super) struct RunContext<'a> {
    pub cache: &'a Cache,
    /// Where outputs are materialised.
    pub out: &'a Folder,
    pub emitter: &'a (dyn Fn(&Event) + Sync),
    pub workers: &'a Workers,
    pub idle: Mutex<Vec<IdleWorker>>,
    pub stop: Stop,
    pub slots: Slots,
    /// How many processes the kernel had killed for memory when the run began.
    pub kills_for_memory: u64,
    /// Nothing new starts: the run is being stopped, a node failed, or the machine did.
    pub halted: AtomicBool,
    /// Results are being put on the disk.
    pub syncing: AtomicBool,
    /// Workers called steps spent.
    pub spent: AtomicBool,
    /// What commands call folders.
    pub names: Names,
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

/// The figures, cells, findings and warnings that a worker gave.
#[derive(Default)]
pub(super) struct WorkerReport {
    pub metrics: BTreeMap<String, f64>,
    pub cells: BTreeMap<String, Cell>,
    pub findings: BTreeMap<String, String>,
    pub warnings: Vec<String>,
    /// The most memory that was held, in bytes.
    pub peak: Option<u64>,
    /// The earlier result that the worker was given.
    pub earlier: Option<Key>,
}

/// Where one try of a node writes.
pub(super) struct Attempt<'a> {
    /// Emptied afterwards.
    pub room: Room<'a>,
    /// The outputs go here; a command starts here.
    pub out: PathBuf,
    /// The log.
    pub log: PathBuf,
}

impl RunContext<'_> {
    /// Emits an event to the subscribers.
    pub fn emit(&self, event: &Event) {
        (self.emitter)(event);
    }

    /// Does a task. Says how it ended, and how long it took.
    pub fn work(&self, task: &Task<'_>) -> (Outcome, f64) {
        let began = Instant::now();
        let outcome = match task {
            Task::Restore(restore) => self.restore(restore),
            Task::Run(run) => self.try_work(run),
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(End::Failed(failed)) => Outcome::Failed(failed),
            Err(End::Stopped) => Outcome::Stopped,
            Err(End::Broken(fault)) => Outcome::Broken(fault),
        };
        (outcome, began.elapsed().as_secs_f64())
    }

    fn restore(&self, Restore { node, key, record, .. }: &Restore<'_>) -> Result<Outcome, End> {
        let placed = self.materialise(node, key, record, false)?;
        Ok(placed.map_or(Outcome::Unusable, |placed| Outcome::Restored(placed, record.made.seconds)))
    }

    /// Nothing that takes long is begun after the run was stopped for the second time.
    fn unless_stopped(&self) -> Result<(), End> {
        if self.stop.now() { Err(End::Stopped) } else { Ok(()) }
    }

    /// Warns that an output of a node is computed again.
    pub fn warn_of_corruption(&self, node: &Node) {
        let text = "a cached output is corrupt or missing: it is computed again; a corrupt object is kept in `damaged/` of the cache";
        self.emit(&Event::NodeWarning { node: node.name.clone(), text: text.to_owned() });
    }

    /// What a node reads that is not whole.
    fn unsound(&self, objects: &[Reads]) -> Result<Vec<Reads>, End> {
        let mut out = Vec::new();
        for object in objects {
            self.unless_stopped()?;
            if !self.cache.verify(&object.stored, Look::AtStat)? {
                out.push(object.clone());
            }
        }
        Ok(out)
    }

    fn try_work(&self, task: &Run<'_>) -> Result<Outcome, End> {
        let unsound = self.unsound(&task.objects)?;
        if !unsound.is_empty() {
            return Ok(Outcome::Unsound(unsound));
        }
        // Verifying may have taken a while.
        if self.stop.asked() || self.halted.load(Ordering::Relaxed) {
            return Err(End::Stopped);
        }
        self.emit(&Event::NodeStarted { node: task.node.name.clone(), kind: task.node.kind.clone() });
        let waiting = || {
            self.emit(&Event::NodeWaiting { node: task.node.name.clone() });
        };
        let lock = self.cache.lock(&task.key, &|| self.stop.asked(), &waiting)?;
        if let Some(record) = self.cache.record_now(&task.key)?
            && task.mode == Mode::Known
            && self.cache.has_all(&record, Look::AtStat)?
            && let Some(placed) = self.materialise(task.node, &task.key, &record, false)?
        {
            self.cache.pin(&self.run, &[task.key])?;
            return Ok(Outcome::Found(placed, record.made.seconds));
        }
        let mut tries = 0;
        let record = loop {
            match self.once(task) {
                Err(End::Failed(failed)) if tries < task.node.retries && !self.stop.asked() => {
                    tries += 1;
                    let text = format!("try {tries} of {} failed: {}", task.node.retries + 1, failed.message);
                    self.emit(&Event::NodeWarning { node: task.node.name.clone(), text });
                    self.pause(Duration::from_millis(500) * 2_u32.saturating_pow(tries.min(8)));
                }
                other => break other,
            }
        };
        let changed = self.changed(task);
        // What it read changed under it: that is also why it may have failed. What it took away itself is no such change.
        let took_away = matches!(&record, Err(End::Failed(failed)) if failed.took_away);
        if !changed.is_empty() && !took_away && matches!(record, Ok(_) | Err(End::Failed(_))) {
            return Ok(Outcome::Changed(changed));
        }
        let (record, no_collection) = record?;
        if let Work::Worker(program) = task.node.work {
            self.is_as_described(program)?;
        }
        if task.mode == Mode::Check
            && let Some(published) = self.cache.record_now(&task.key)?
        {
            let differences = differences(task.node, &published, &record);
            drop(no_collection);
            return match self.materialise(task.node, &task.key, &published, false)? {
                Some(placed) => Ok(Outcome::Checked(placed, published.made.seconds, differences)),
                None => {
                    Err(End::Failed(Failed::new("the published result is damaged, and nothing was compared")))
                }
            };
        }
        self.cache.put_node(&task.key, &task.fingerprint, &record)?;
        drop(no_collection);
        drop(lock);
        match self.materialise(task.node, &task.key, &record, true)? {
            Some(placed) => Ok(Outcome::Ran(placed, record.made.seconds, record.made.peak)),
            None => Err(End::Failed(Failed::new("its result vanished from the cache"))),
        }
    }

    /// Materialises the outputs of a result, and says what lies there now; `None` when an object that is needed for it
    /// is damaged. `fresh`: the objects were stored a moment ago.
    pub fn materialise(
        &self,
        node: &Node,
        key: &Key,
        record: &Record,
        fresh: bool,
    ) -> Result<Option<Vec<Hashed>>, End> {
        let folder = node.folder();
        let mut placed = Vec::with_capacity(node.outputs.len());
        for output in &node.outputs {
            let Some(stored) = record.outputs.get(&output.name) else { return Ok(None) };
            let path = folder.join(&output.path);
            if let Some(there) = self.cache.is_at(&self.out.path().join(&path), stored) {
                placed.push(there);
                continue;
            }
            self.unless_stopped()?;
            let damaged = || {
                self.warn_of_corruption(node);
                self.cache.set_aside(stored)?;
                self.cache.withdraw(key)
            };
            if !fresh && !self.cache.verify(stored, Look::AtStat)? {
                damaged()?;
                return Ok(None);
            }
            let make = || Scratch::new(&self.out.path().join(PLACING), &self.run);
            // That it cannot be made is a fault of the output folder.
            let placing = lazily(&self.placing, &make).map_err(|fault| End::Failed(Failed::of(fault)))?;
            let of = Of { node: &node.name, path: &path };
            match self.out.place(self.cache, of, stored, (&placing, &|| self.stop.now())) {
                Ok(there) => placed.push(there),
                Err(Trouble::Damaged) => {
                    damaged()?;
                    return if fresh { Err(Trouble::Damaged.into()) } else { Ok(None) };
                }
                Err(trouble) => return Err(trouble.into()),
            }
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
    fn changed(&self, task: &Run<'_>) -> Vec<PathBuf> {
        let same = |(path, hashed): &&(PathBuf, Hashed)| !self.cache.unchanged(path, hashed).unwrap_or(false);
        task.files.iter().filter(same).map(|(path, _)| path.clone()).collect()
    }

    /// The files and folders of the user's that a node reads.
    fn own_inputs<'t>(&self, task: &'t Run<'_>) -> Vec<&'t (PathBuf, Hashed)> {
        let own: Vec<&PathBuf> = task.node.paths().collect();
        task.files.iter().filter(|(path, _)| own.contains(&path)).collect()
    }

    /// Looks for inputs of the user's that a node moved into its own folder, which is about to be emptied, and puts them back.
    fn missing_inputs(&self, task: &Run<'_>, attempt: &mut Attempt<'_>) -> Result<Option<Failed>, End> {
        let own = self.own_inputs(task);
        let is_missing = |path: &Path| path.symlink_metadata().is_err();
        let may_miss = own.iter().any(|(path, hashed)| hashed.stored.folder || is_missing(path));
        if !may_miss {
            return Ok(None);
        }
        let back = self.cache.put_back(attempt.room.path());
        let help = "inputs are yours, and are left alone: copy them (`cp`), or link them (`ln`)";
        if let Some(first) = back.first() {
            let more = if back.len() > 1 { format!(" and {} more", back.len() - 1) } else { String::new() };
            let message = format!("it moved its input away: {}{more} (restored)", shown(first));
            return Ok(Some(Failed { took_away: true, ..Failed::new(message).help(help) }));
        }
        // What it made of an input that is gone is all that is left of it.
        let Some((gone, _)) = own.iter().find(|(path, _)| is_missing(path)) else { return Ok(None) };
        let kept = self.cache.keep_aside(attempt.room.path(), &task.node.name)?;
        attempt.room.spoil();
        let message =
            format!("its input {} is missing; what the node left is in {}", shown(gone), shown(&kept));
        Ok(Some(Failed { took_away: true, ..Failed::new(message).help(help) }))
    }

    fn once(&self, task: &Run<'_>) -> Result<(Record, Option<NoCollection>), End> {
        let began = Instant::now();
        let started = jiff::Timestamp::now().to_string();
        let scratch = self.scratch()?;
        let room = scratch.room()?;
        let mut attempt = Attempt { out: room.path().to_owned(), log: self.log_path(&task.node.name), room };
        let done = match &task.node.work {
            Work::Command { run, env, strict } => {
                self.run_command(task, &mut attempt, (run, env, strict.as_deref()))
            }
            Work::Worker(program) => self.run_job(task, &mut attempt, *program),
        };
        let done = match self.missing_inputs(task, &mut attempt)? {
            Some(failed) => Err(End::Failed(failed)),
            None => done,
        };
        let record = done.and_then(|report| {
            let no_collection = self.cache.no_collection()?;
            Ok((self.collect(task, &attempt, report, started, began)?, no_collection))
        });
        match record {
            Err(End::Failed(mut failed)) => {
                failed.log = tail(&attempt.log);
                Err(End::Failed(failed))
            }
            other => other,
        }
    }

    /// Moves the outputs into the cache.
    fn collect(
        &self,
        task: &Run<'_>,
        attempt: &Attempt<'_>,
        report: WorkerReport,
        started: String,
        began: Instant,
    ) -> Result<Record, End> {
        let mut outputs = BTreeMap::new();
        for output in &task.node.outputs {
            let path = attempt.out.join(&output.path);
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
        let (node, run) = (task.node.name.clone(), self.run.clone());
        let WorkerReport { metrics, cells, findings, warnings, peak, earlier } = report;
        let made = Made { node, run, started, seconds, peak, worker, earlier };
        Ok(Record { outputs, metrics, cells, findings, warnings, note: None, made })
    }

    /// Where a node's log goes.
    pub fn log_path(&self, node: &str) -> PathBuf {
        self.logs.join(log_name(node))
    }

    /// Whether a worker's program and files are those that described its kinds: what others computed belongs to another key.
    pub fn is_as_described(&self, program: usize) -> Result<(), End> {
        match self.workers.is_as_described(program) {
            true => Ok(()),
            false => Err(End::Failed(
                Failed::new(format!(
                    "the worker `{}` changed since the run began: what it computed is thrown away",
                    self.workers.programs[program].name
                ))
                .help("run again: the worker is asked again what its results depend on"),
            )),
        }
    }

    /// A worker for a node that sees these GPUs: an idle one, or a new one.
    pub fn worker(&self, program: usize, node: &Node, gpus: &[String]) -> Result<Worker, End> {
        let process = node.process.as_deref();
        let gpus = if gpus.is_empty() { None } else { Some(gpus.join(",")) };
        let mut idle = self.idle.lock();
        if let Some(at) =
            idle.iter().position(|w| w.program == program && w.gpus == gpus && w.worker.can_work_as(process))
        {
            let mut worker = idle.swap_remove(at).worker;
            worker.works_as(process);
            return Ok(worker);
        }
        drop(idle);
        // A node without a GPU of its own must not touch one.
        let worker = Worker::start(&self.workers.programs[program], Some(gpus.as_deref().unwrap_or("")));
        // That it cannot be started is a fault of the nodes that need it.
        let mut worker = worker.map_err(|fault| End::Failed(Failed::of(fault)))?;
        worker.works_as(process);
        Ok(worker)
    }

    /// Keeps a worker for the next node.
    pub fn keep(&self, program: usize, gpus: &[String], worker: Worker) {
        worker.log_to(None);
        let gpus = if gpus.is_empty() { None } else { Some(gpus.join(",")) };
        self.idle.lock().push(IdleWorker { program, gpus, worker });
    }
}

/// The outputs whose bytes differ.
fn differences(node: &Node, published: &Record, now: &Record) -> Vec<Difference> {
    let outputs = published.outputs.iter().map(|(name, stored)| (name, stored, now.outputs.get(name)));
    let other = outputs.filter(|(_, published, now)| {
        now.is_none_or(|now| !now.is_same_as(published) || now.executable != published.executable)
    });
    other
        .map(|(name, published, now)| Difference {
            output: format!("{}.{name}", node.name),
            published: published.digest,
            now: now.map(|stored| stored.digest),
        })
        .collect()
}

/// What is there, or is made now.
fn lazily(
    slot: &Mutex<Option<Arc<Scratch>>>,
    make: &dyn Fn() -> Result<Scratch, Fault>,
) -> Result<Arc<Scratch>, Fault> {
    let mut slot = slot.lock();
    match &mut *slot {
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

/// The name of a node's log file. A long one is cut, and ends in a digest of the whole.
pub fn log_name(node: &str) -> String {
    const ENDING: &str = ".log";
    let name = node.replace('%', "%25").replace('/', "%2F");
    if name.len() + ENDING.len() <= LONGEST_NAME {
        return name + ENDING;
    }
    let digest = Digest::derive("lfs-pipe 2026 log name", node.as_bytes()).short();
    let mut cut = LONGEST_NAME - ENDING.len() - digest.len() - 1;
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}-{digest}{ENDING}", &name[..cut])
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
    const LINES: usize = 15;
    let text = String::from_utf8_lossy(&end_of(path, 8192)).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(|l| (*l).to_owned()).collect()
}

/// The last bytes of a file, so many at the most; a file that cannot be read has none.
pub fn end_of(path: &Path, most: u64) -> Vec<u8> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().unwrap_or_default()
}
