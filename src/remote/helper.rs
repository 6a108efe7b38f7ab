//! The program that moves the bytes.

use std::io::{BufRead, BufReader, BufWriter, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::protocol::{Answer, Asked, Greeting, Job, Outcome};
use crate::fault::{Fault, Result};

/// Its name; it lies beside this program.
const PROGRAM: &str = "lfs-remote";

/// So many bytes of texts are held for one question. Whoever asks for what honest stores hold asks for less.
const MOST_TEXTS: usize = 512 << 20;

/// The program at work for one store. Dropping it ends it.
pub struct Helper {
    child: Child,
    jobs: Option<BufWriter<ChildStdin>>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Helper {
    /// Starts it for the store of an address.
    ///
    /// # Errors
    /// When it is not there, or cannot use such an address.
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

    /// Has jobs done, and gives how each ended. `moved` hears of bytes that went to or fro.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn ask(&mut self, jobs: Vec<Job>, moved: &mut dyn FnMut(u64)) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = jobs.iter().map(|_| None).collect();
        let Some(to) = self.jobs.as_mut() else { return Err(gone()) };
        let answers = &mut self.answers;
        let child = &mut self.child;
        // It answers while it is still being asked; if nobody listened, both would wait for ever.
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for (id, job) in (0..).zip(jobs) {
                    let text = serde_json::to_string(&Asked { id, job }).unwrap_or_default();
                    // If it is gone, whoever waits for its answers says so.
                    if writeln!(to, "{text}").is_err() {
                        return;
                    }
                }
                let _ = to.flush();
            });
            let mut open = outcomes.len();
            let mut held = 0;
            while open > 0 {
                // What is not understood is not waited for any more: it may wait for us.
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
        // With nothing to read any more it ends by itself; if not, for it waits for a dead file system, say, it is ended.
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
