//! `lfs-remote URL`: moves files between a folder and an object store. `lfs-pipe` starts it and sends it jobs;
//! see `lfs_core::messages`.

mod fetch;
mod folder;
mod jobs;
mod send;

use std::io::{BufRead, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;

use futures::FutureExt;
use lfs_core::messages::{Answer, Asked, Greeting, Outcome};
use tokio::sync::{Semaphore, mpsc};

use jobs::{Doer, Sent};

// The messages of the runner and the answers of a store have the same bound.
const _: () = assert!(lfs_store::MOST_TEXT == lfs_core::messages::MOST_TEXT);

/// How many jobs are done at once. Most wait for the network.
const AT_ONCE: usize = 32;

fn main() -> ExitCode {
    let Some(url) = std::env::args().nth(1).filter(|a| !a.starts_with('-')) else {
        eprintln!("lfs-remote URL\n\nStarted by lfs-pipe: see `lfs-pipe cache --help`.");
        return ExitCode::from(2);
    };
    let store = match lfs_store::open(&url, &variables()) {
        Ok(store) => store,
        Err(why) => {
            line(&Greeting::Unusable(why));
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            line(&Greeting::Unusable(format!("no threads can be started: {e}")));
            return ExitCode::from(4);
        }
    };
    line(&Greeting::Ready);
    let (answers, mut to_send) = mpsc::unbounded_channel::<Sent>();
    let saying = std::thread::spawn(move || {
        while let Some((answer, held)) = to_send.blocking_recv() {
            line(&answer);
            drop(held);
        }
    });
    let doer = Arc::new(Doer::new(store, answers.clone()));
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = Vec::new();
    for text in std::io::stdin().lock().lines().map_while(Result::ok) {
        let asked: Asked = match serde_json::from_str(&text) {
            Ok(asked) => asked,
            Err(e) => {
                eprintln!("lfs-remote: not a job: {e}");
                return ExitCode::from(2);
            }
        };
        // Until there is a permit, further jobs wait in the pipe.
        let Ok(place) = runtime.block_on(Arc::clone(&places).acquire_owned()) else { break };
        let (doer, answers) = (Arc::clone(&doer), answers.clone());
        tasks.push(runtime.spawn(async move {
            // The runner would wait for the answer for ever.
            let done = AssertUnwindSafe(doer.run(asked.job)).catch_unwind().await;
            let (outcome, held) = done.unwrap_or_else(|_| {
                (Outcome::Failed("a defect of lfs-remote stopped a job".to_owned()), None)
            });
            // The receiver may be gone.
            let _ = answers.send((Answer::Over { id: asked.id, outcome }, held));
            drop(place);
        }));
        tasks.retain(|t| !t.is_finished());
    }
    runtime.block_on(futures::future::join_all(tasks));
    drop((answers, doer));
    let _ = saying.join();
    // Threads may still wait for a file system that does not answer; they are not waited for.
    std::process::exit(0)
}

/// The environment variables that are UTF-8.
fn variables() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Writes a line. If it cannot be written, no one reads the output any more, and the program ends.
fn line(value: &impl serde::Serialize) {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let said = serde_json::to_writer(&mut out, value).map_err(std::io::Error::from);
    if said.and_then(|()| writeln!(out)).and_then(|()| out.flush()).is_err() {
        std::process::exit(4);
    }
}

/// The outcome when a file of this machine cannot be read or written.
fn here(doing: &str, path: &std::path::Path, e: &std::io::Error) -> Outcome {
    Outcome::Here(format!("cannot {doing} {}: {e}", path.display()))
}
