//! The program `lfs-remote`, which moves the bytes.

use std::io::{BufRead, BufReader, BufWriter, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::fault::{Fault, Result};
use lfs_core::messages::{Answer, Asked, Greeting, Job, Outcome};

/// Its name; it is next to this program.
const PROGRAM: &str = "lfs-remote";

/// The most bytes of texts that are held for one request. Requests for what an honest store holds stay below it.
const MOST_TEXTS: usize = 512 << 20;

/// A running `lfs-remote` for one store. Dropping it ends it.
pub struct Helper {
    child: Child,
    jobs: Option<BufWriter<ChildStdin>>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Helper {
    /// Starts it for the store at an address.
    ///
    /// # Errors
    /// When it is missing, or cannot use such an address.
    pub fn start(url: &str) -> Result<Self> {
        let program = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(PROGRAM)));
        let program = program.filter(|p| p.is_file()).unwrap_or_else(|| PathBuf::from(PROGRAM));
        let started = Command::new(&program).arg(url).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|e| {
            Fault::machine(format!("`{PROGRAM}` cannot be started: {e}"))
                .with_help("build it: `cargo build --release --workspace`; it lies beside `lfs-pipe`")
        })?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(gone());
        };
        let mut answers = BufReader::new(stdout).lines();
        let greeting: Greeting = next(&mut answers)?;
        match greeting {
            Greeting::Ready => Ok(Self { child, jobs: Some(BufWriter::new(stdin)), answers }),
            Greeting::Unusable(why) => {
                let _ = child.wait();
                Err(Fault::usage(format!("the remote store `{url}` cannot be used: {why}")).with_help(
                    "see `lfs-pipe cache push --help` for addresses, and for the variables that hold keys",
                ))
            }
        }
    }

    /// Sends jobs, and returns how each ended. `moved` is called with the number of bytes that were sent or received.
    ///
    /// # Errors
    /// When the program has ended.
    pub fn ask(&mut self, jobs: Vec<Job>, moved: &mut dyn FnMut(u64)) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = jobs.iter().map(|_| None).collect();
        let Some(to) = self.jobs.as_mut() else { return Err(gone()) };
        let answers = &mut self.answers;
        let child = &mut self.child;
        // It answers while it still receives jobs; if no thread read the answers, both would wait for ever.
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for (id, job) in (0..).zip(jobs) {
                    let text = serde_json::to_string(&Asked { id, job }).unwrap_or_default();
                    // If it has ended, the loop that reads its answers reports that.
                    if writeln!(to, "{text}").is_err() {
                        return;
                    }
                }
                let _ = to.flush();
            });
            let mut open = outcomes.len();
            let mut held = 0;
            while open > 0 {
                // After an answer that cannot be read it is ended: it may be waiting for us.
                let answer = next(answers).inspect_err(|_| drop(child.kill()))?;
                match answer {
                    Answer::Moved(bytes) => moved(bytes),
                    Answer::Over { id, mut outcome } => {
                        if let Outcome::Text(text) = &outcome {
                            held += text.len();
                            if held > MOST_TEXTS {
                                outcome = Outcome::Broken("the store gives too much text at once".to_owned());
                            }
                        }
                        let place = usize::try_from(id).ok().and_then(|id| outcomes.get_mut(id));
                        if place.is_some_and(|place| place.replace(outcome).is_none()) {
                            open -= 1;
                        }
                    }
                }
            }
            Ok(())
        })?;
        Ok(outcomes.into_iter().flatten().collect())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // When its input is closed it ends by itself; if it does not, perhaps because a file system hangs, it is killed.
        self.jobs = None;
        for _ in 0..200 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn next<T: serde::de::DeserializeOwned>(answers: &mut Lines<BufReader<ChildStdout>>) -> Result<T> {
    let line = answers.next().and_then(std::result::Result::ok).ok_or_else(gone)?;
    serde_json::from_str(&line).map_err(|e| {
        Fault::machine(format!("`{PROGRAM}` said something unknown: {e}"))
            .with_help("it is of another build than `lfs-pipe`: `cargo build --release --workspace`")
    })
}

fn gone() -> Fault {
    Fault::machine(format!("`{PROGRAM}` ended before its work was done"))
        .with_help("run it again; what has arrived is kept")
}
