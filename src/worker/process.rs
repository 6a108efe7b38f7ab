//! A running worker.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use lfs_stage::{Reply, Request};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};

use super::Program;
use crate::fault::{Fault, Result};

/// A worker process, ready for one job after the other.
pub struct Worker {
    child: Child,
    stdin: ChildStdin,
    replies: Receiver<std::result::Result<Reply, String>>,
    log: Arc<Mutex<Option<File>>>,
    /// What it has settled on for its life; see [`lfs_stage::Choice::process`].
    settled: Option<String>,
}

/// No message of a worker is longer, in bytes.
const LONGEST: u64 = 256 << 20;
/// So much is reported of what is not a message, in bytes.
const LONGEST_NONSENSE: usize = 64 << 10;
/// Its error output is written to the log in lines, or in pieces of this many bytes.
const PIECE: u64 = 64 << 10;

/// What a worker sent.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Reply(Reply),
    /// Nothing yet.
    Nothing,
    /// It wrote something that is not a message.
    Nonsense(String),
    /// It ended.
    Gone(ExitStatus),
}

impl Worker {
    /// Starts a worker that sees these GPUs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Program, gpus: Option<&str>) -> Result<Self> {
        let Some((first, rest)) = program.command.split_first() else {
            return Err(Fault::usage(format!("worker `{}` has no command", program.name)));
        };
        let mut command = Command::new(first);
        command.args(rest).arg("serve").current_dir(&program.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C in a terminal is sent to this program alone, which decides what to do about its workers.
        command.process_group(0);
        if let Some(gpus) = gpus {
            command.env("CUDA_VISIBLE_DEVICES", gpus);
        }
        let mut child = command.spawn().map_err(|e| {
            Fault::machine(format!("worker `{}` cannot be started: {first}: {e}", program.name))
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Fault::machine("a worker's pipes could not be had"));
        };
        let (send, replies) = channel();
        std::thread::spawn(move || {
            let (mut from, mut line) = (BufReader::new(stdout), Vec::new());
            while (&mut from).take(LONGEST).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                let reply = serde_json::from_slice(text).map_err(|_| {
                    String::from_utf8_lossy(&text[..text.len().min(LONGEST_NONSENSE)]).into_owned()
                });
                line.clear();
                if send.send(reply).is_err() {
                    return;
                }
            }
        });
        let log = Arc::new(Mutex::new(None::<File>));
        let to = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut from = BufReader::new(stderr);
            let mut line = Vec::new();
            while (&mut from).take(PIECE).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                if let Some(file) = to.lock().as_mut() {
                    // A log that cannot be written is no reason to stop.
                    let _ = file.write_all(&line);
                }
                line.clear();
            }
        });
        Ok(Self { child, stdin, replies, log, settled: None })
    }

    /// Whether it has not settled on anything else; see [`lfs_stage::Choice::process`].
    pub fn can_work_as(&self, process: Option<&str>) -> bool {
        process.is_none() || self.settled.is_none() || self.settled.as_deref() == process
    }

    /// It has settled on this from now on.
    pub fn works_as(&mut self, process: Option<&str>) {
        if let Some(process) = process {
            self.settled = Some(process.to_owned());
        }
    }

    /// The file to which its error output is written from now on.
    pub fn log_to(&self, file: Option<File>) {
        *self.log.lock() = file;
    }

    /// Sends a message. If the worker has ended, the next [`Worker::hear`] says so.
    pub fn say(&mut self, request: &Request) {
        if let Ok(mut text) = serde_json::to_vec(request) {
            text.push(b'\n');
            let _ = self.stdin.write_all(&text).and_then(|()| self.stdin.flush());
        }
    }

    /// Waits for a message, for at most this time.
    pub fn hear(&mut self, wait: Duration) -> Heard {
        match self.replies.recv_timeout(wait) {
            Ok(Ok(reply)) => Heard::Reply(reply),
            Ok(Err(line)) => Heard::Nonsense(line),
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => match self.child.wait() {
                Ok(status) => Heard::Gone(status),
                Err(_) => Heard::Gone(ExitStatus::from_raw(0)),
            },
        }
    }

    /// Begins to measure its peak memory.
    pub fn measure(&self) {
        // Where that is not possible, the peak is that of its whole life.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    /// Its peak memory since then, in bytes.
    pub fn peak(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = text.lines().find(|l| l.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    }

    /// The group of the process and all that it started.
    pub fn group(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Neither it nor what it started needs an orderly end; its job's folder is discarded.
        kill_group(self.group());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends a process group at once. It may have ended by itself.
pub fn kill_group(group: i32) {
    if let Some(group) = Pid::from_raw(group) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}
