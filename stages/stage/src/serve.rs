//! The worker's side of the protocol.

use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::describe::{Description, PROTOCOL};
use crate::kind::Kind;
use crate::protocol::{Job, NOTE_FILE, Reply, Request, StepAnswer};
use crate::{Context, Failure, Result};

/// The least time between two progress messages.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// How long a worker waits for a request before it returns freed memory to the system.
const LONG: Duration = Duration::from_secs(1);

/// Sends replies.
pub(crate) struct Speak {
    to: Box<dyn Fn(Reply) + Send + Sync>,
    last: Mutex<Option<Instant>>,
}

impl Speak {
    fn new(to: impl Fn(Reply) + Send + Sync + 'static) -> Self {
        Self { to: Box::new(to), last: Mutex::new(None) }
    }

    pub(crate) fn say(&self, reply: Reply) {
        (self.to)(reply);
    }

    /// Sends a reply unless the last one was sent a moment ago; the end of a count is always sent.
    pub(crate) fn often(&self, reply: Reply) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let complete = matches!(&reply, Reply::Progress { done, total: Some(total), .. } if done >= total);
        if complete || last.is_none_or(|t| t.elapsed() >= PROGRESS_EVERY) {
            *last = Some(Instant::now());
            (self.to)(reply);
        }
    }
}

/// The whole `main` of a worker: `describe` or `serve`, by the first argument. Returns the exit code.
pub fn worker_main(worker: &str, kinds: &[&dyn Kind]) -> u8 {
    let word = std::env::args().nth(1);
    match word.as_deref() {
        Some("describe") => {
            let all = kinds.iter().map(|k| k.describe()).collect();
            let text =
                serde_json::to_string(&Description { protocol: PROTOCOL, worker: worker.into(), kinds: all });
            match text.map(|t| writeln!(std::io::stdout(), "{t}")) {
                Ok(Ok(())) => 0,
                _ => 1,
            }
        }
        Some("serve") => {
            serve(kinds);
            0
        }
        _ => {
            eprintln!("{worker} is a worker: lfs-pipe starts it, as `describe` or `serve`.");
            eprintln!("To run a pipeline: lfs-pipe run");
            2
        }
    }
}

/// Where the last panic on any thread occurred: `stages/align/src/warp.rs:31`.
static PANICKED_AT: Mutex<Option<String>> = Mutex::new(None);

/// Records the places of panics, in addition to printing them.
fn watch_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        *PANICKED_AT.lock().unwrap_or_else(PoisonError::into_inner) = place;
        print(info);
    }));
}

fn serve(kinds: &[&dyn Kind]) {
    watch_panics();
    let (send, receive) = channel();
    // If the host is gone, the worker ends at once, even during a job.
    std::thread::spawn(move || {
        listen(&send);
        std::process::exit(0);
    });
    let receive = RefCell::new(receive);
    loop {
        let request = match next(&receive.borrow()) {
            Some(request) => request,
            None => return,
        };
        let speak = Speak::new(|reply| {
            if let Ok(text) = serde_json::to_string(&reply) {
                let mut out = std::io::stdout().lock();
                // A closed pipe means that the host is gone; the listener ends the process.
                let _ = writeln!(out, "{text}").and_then(|()| out.flush());
            }
        });
        let result = match &request {
            Request::Run(job) => with(kinds, job, &speak, &receive, |kind, cx| kind.run(&job.parameters, cx)),
            Request::RunStep { job, step, after, folder } => {
                with(kinds, job, &speak, &receive, |kind, cx| {
                    let after: Vec<&Path> = after.iter().map(PathBuf::as_path).collect();
                    kind.step(&job.parameters, step, &after, folder, cx)
                })
            }
            Request::Steps { .. } => Err(Failure::new("an answer came without a question")),
        };
        speak.say(match result {
            Ok(()) => Reply::Done,
            Err(failure) => Reply::Failed(failure),
        });
    }
}

/// The next request; none at the end of the input. A worker that waits for long returns freed memory to the system, since another
/// process may need it.
fn next(receive: &Receiver<Request>) -> Option<Request> {
    match receive.recv_timeout(LONG) {
        Err(RecvTimeoutError::Timeout) => {
            give_back();
            receive.recv().ok()
        }
        request => request.ok(),
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)] // a function of the C library that `std` does not provide
fn give_back() {
    unsafe extern "C" {
        fn malloc_trim(kept: usize) -> std::ffi::c_int;
    }
    // SAFETY: it may be called at any time.
    unsafe {
        malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back() {}

fn listen(send: &Sender<Request>) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        match serde_json::from_str(&line) {
            Ok(request) => {
                if send.send(request).is_err() {
                    return;
                }
            }
            Err(e) => {
                eprintln!("a request could not be read: {e}");
                return;
            }
        }
    }
}

fn with(
    kinds: &[&dyn Kind],
    job: &Job,
    speak: &Speak,
    hear: &RefCell<Receiver<Request>>,
    work: impl FnOnce(&dyn Kind, &mut Context<'_>) -> Result<()>,
) -> Result<()> {
    let Some(kind) = kinds.iter().find(|k| k.name() == job.kind) else {
        return Err(Failure::new(format!("this worker has no kind `{}`", job.kind)));
    };
    let mut cx = Context::new(job, *kind, speak, hear);
    catch_unwind(AssertUnwindSafe(|| work(*kind, &mut cx))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        let place = PANICKED_AT.lock().unwrap_or_else(PoisonError::into_inner).take();
        let place = place.map(|at| format!(" ({at})")).unwrap_or_default();
        Err(Failure::new(format!("kind `{}` panicked: {text}{place}", job.kind))
            .help("this is a defect of the stage; please report it with its log"))
    })
}

/// Runs a job in this process, for tests of a stage: every step is computed, under `job.scratch`, and all replies are returned
/// beside the result.
pub fn run_in_place(kind: &'static dyn Kind, job: &Job) -> (Result<()>, Vec<Reply>) {
    let said = std::sync::Arc::new(Mutex::new(Vec::new()));
    let (send, receive) = channel();
    let (kept, base) = (said.clone(), job.scratch.join("steps"));
    let state = Mutex::new((0_usize, Vec::<PathBuf>::new()));
    let speak = Speak::new(move |reply| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        match &reply {
            Reply::Steps { steps } => {
                state.1.clear();
                for _ in steps {
                    let folder = base.join(state.0.to_string());
                    state.0 += 1;
                    let _ = std::fs::create_dir_all(&folder);
                    state.1.push(folder);
                }
                let answers = state.1.iter().map(|f| StepAnswer::Compute { folder: f.clone() }).collect();
                let _ = send.send(Request::Steps { answers });
            }
            Reply::StepDone { index } => {
                let folder = state.1[*index].clone();
                let digest = folder.display().to_string();
                let note = std::fs::read(folder.join(NOTE_FILE)).ok();
                let note = note.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                let _ =
                    send.send(Request::Steps { answers: vec![StepAnswer::Known { digest, folder, note }] });
            }
            _ => {}
        }
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(reply);
    });
    let hear = RefCell::new(receive);
    let result = with(&[kind], job, &speak, &hear, |kind, cx| kind.run(&job.parameters, cx));
    drop(speak);
    let said = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (result, said)
}
