//! Asking workers for their kinds, once for each state of their program.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use lfs_stage::{Description, PROTOCOL};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Program, kill_group};
use crate::cache::too_young;
use crate::digest::{Digest, Stat};
use crate::fault::{At, Fault, Result};

/// After this time it is reported that a worker has not answered yet.
const TOLD_AFTER: Duration = Duration::from_secs(5);
/// After this time it is ended.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(25);
/// How often to check whether it has answered.
const TICK: Duration = Duration::from_millis(5);
/// No description is larger, in bytes.
const LARGEST: u64 = 64 << 20;

/// A cached description of a worker.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The state of program and machine when it was given.
    under: State,
    description: Description,
}

/// The state of a program and of the machine.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(super) struct State {
    files: BTreeMap<String, Option<Stat>>,
    /// A worker's facts depend on the machine too: a description from before a restart may not hold.
    boot: String,
    /// Variables that may change the facts.
    variables: BTreeMap<String, Option<String>>,
}

/// Variables on which a worker's facts may depend.
const VARIABLES: [&str; 12] = [
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_CPU_ISA_HINTS",
    "DNNL_CPU_ISA_HINTS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "PATH",
];

/// The descriptions, and the states under which they were given.
pub(super) fn all(programs: &[Program], cache: &Path) -> Result<(Vec<Description>, Vec<State>)> {
    let file = cache.join("workers.json");
    // A file that cannot be read is created again.
    let mut kept: BTreeMap<String, Kept> =
        std::fs::read(&file).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
    let (mut out, mut states) = (Vec::new(), Vec::new());
    let mut changed = false;
    for program in programs {
        let name = program.command.join("\0");
        let mut under = State::of(program);
        if kept.get(&name).is_none_or(|k| k.under != under) {
            // Taken before the worker is asked: if its program changes meanwhile, it is asked again the next time.
            under = State::at_rest(program);
            let description = ask(program)?;
            kept.insert(name.clone(), Kept { under: under.clone(), description });
            changed = true;
        }
        if let Some(kept) = kept.get(&name) {
            out.push(kept.description.clone());
            states.push(under);
        }
    }
    if changed {
        crate::cache::claim(cache)?;
        let temporary = tempfile::NamedTempFile::new_in(cache).at("write", cache)?;
        serde_json::to_writer(&temporary, &kept).map_err(std::io::Error::from).at("write", &file)?;
        temporary.persist(&file).map_err(|e| e.error).at("write", &file)?;
    }
    Ok((out, states))
}

/// The digest of states: while it is the same, the descriptions hold.
pub(super) fn digest(states: &[State]) -> Digest {
    let states: Vec<_> = states.iter().map(|s| serde_json::to_vec(s).unwrap_or_default()).collect();
    Digest::derive("lfs-pipe 2026 workers", &states.join(&0))
}

impl State {
    /// The current state.
    pub fn of(program: &Program) -> Self {
        let stat = |p: &Path| std::fs::metadata(p).ok().map(|m| Stat::from(&m));
        Self {
            files: program.files.iter().map(|p| (p.display().to_string(), stat(p))).collect(),
            boot: std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
            variables: VARIABLES.iter().map(|v| ((*v).to_owned(), std::env::var(v).ok())).collect(),
        }
    }

    /// The state once the times of no file are so recent that it could change again without new times (racy time stamps).
    fn at_rest(program: &Program) -> Self {
        let until = Instant::now() + Duration::from_millis(2500);
        loop {
            let (since, state) = (SystemTime::now(), Self::of(program));
            if Instant::now() > until || !state.files.values().flatten().any(|stat| too_young(stat, since)) {
                return state;
            }
            std::thread::sleep(TICK);
        }
    }

    /// Whether the files of a program have not changed.
    pub fn has_files_of_now(&self, program: &Program) -> bool {
        self.files == Self::of(program).files
    }
}

fn ask(program: &Program) -> Result<Description> {
    tracing::debug!(worker = program.name, "asking for its kinds");
    let name = &program.name;
    let (first, rest) = program
        .command
        .split_first()
        .ok_or_else(|| Fault::usage(format!("worker `{name}` has no command")))?;
    let mut command = Command::new(first);
    command.args(rest).arg("describe").current_dir(&program.folder).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|e| {
        Fault::usage(format!("worker `{name}` cannot be started: {first}: {e}"))
            .with_help("check its `command` under `[workers]`; a relative program is looked for from the manifest's folder")
    })?;
    let (status, out, said) = answer(child, name)?;
    let said = String::from_utf8_lossy(&said);
    if !status.success() {
        return Err(Fault::usage(format!(
            "worker `{name}` failed to describe itself ({status}): {}",
            said.trim()
        )));
    }
    let description: Description = serde_json::from_slice(&out).map_err(|e| {
        Fault::usage(format!("worker `{name}` described itself in a form that cannot be read: {e}"))
            .with_help("`docs/workers.md` shows what `describe` must print")
    })?;
    if description.protocol != PROTOCOL {
        return Err(Fault::usage(format!(
            "worker `{name}` speaks protocol {}, and this program speaks {PROTOCOL}",
            description.protocol
        ))
        .with_help("use a worker and a runner of the same release"));
    }
    Ok(description)
}

/// Waits for a worker's description. A long wait is reported; after [`GIVEN_UP_AFTER`] the worker is ended.
fn answer(mut child: Child, name: &str) -> Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (out, said) = (Listener::on(child.stdout.take()), Listener::on(child.stderr.take()));
    let group = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let (began, mut told) = (Instant::now(), false);
    let over =
        |child: &mut Child| child.try_wait().map_err(|e| Fault::machine(format!("worker `{name}`: {e}")));
    let status = loop {
        // Processes that it started may keep the pipes open: only its own end counts.
        if let Some(status) = over(&mut child)? {
            break status;
        }
        if began.elapsed() > GIVEN_UP_AFTER {
            kill_group(group);
            let _ = child.wait();
            return Err(Fault::usage(format!(
                "worker `{name}` did not describe itself within {} s",
                GIVEN_UP_AFTER.as_secs()
            ))
            .with_help(
                "`describe` prints its kinds and ends: have it answer before it loads what only jobs need",
            ));
        }
        if began.elapsed() > TOLD_AFTER && !std::mem::replace(&mut told, true) {
            crate::say!(
                "worker `{name}` has not described itself for {} s; it is waited for, for {} s in all",
                TOLD_AFTER.as_secs(),
                GIVEN_UP_AFTER.as_secs()
            );
        }
        std::thread::sleep(TICK);
    };
    kill_group(group);
    Ok((status, out.heard(), said.heard()))
}

/// Reads a pipe to its end, or up to the largest size of a description.
struct Listener {
    thread: JoinHandle<()>,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Listener {
    fn on(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&bytes);
        let thread = std::thread::spawn(move || {
            let Some(pipe) = pipe else { return };
            let (mut pipe, mut piece) = (pipe.take(LARGEST), vec![0; 64 << 10]);
            while let Ok(n @ 1..) = pipe.read(&mut piece) {
                to.lock().extend(&piece[..n]);
            }
        });
        Self { thread, bytes }
    }

    /// Everything that was read, once the program has ended. A process that it left may keep the pipe open.
    fn heard(self) -> Vec<u8> {
        let until = Instant::now() + Duration::from_secs(1);
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(TICK / 5);
        }
        std::mem::take(&mut *self.bytes.lock())
    }
}
