//! Stopping: once in order, twice at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::worker::kill_group;
use parking_lot::Mutex;

/// Shared by the scheduler, its threads and the signal handler.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicUsize>,
    listening: Arc<AtomicBool>,
    running: Arc<Mutex<HashMap<i32, Running>>>,
}

/// A process group that does a node's work; forgotten when this is dropped, since another may get its number.
pub(super) struct Entered<'a> {
    stop: &'a Stop,
    group: i32,
}

impl Entered<'_> {
    /// Says whether it was ended for its time.
    pub fn leave(self) -> bool {
        self.stop.forget(self.group)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.stop.forget(self.group);
    }
}

#[derive(Debug)]
struct Running {
    since: Instant,
    timeout: Option<Duration>,
    timed_out: bool,
}

impl Stop {
    /// Counts Ctrl-C and termination signals from now on.
    ///
    /// # Errors
    /// When the handlers cannot be set.
    pub fn listen(&self) -> std::io::Result<()> {
        if self.listening.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let asked = Arc::clone(&self.asked);
        let mut signals = signal_hook::iterator::Signals::new([
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGTERM,
            signal_hook::consts::SIGHUP,
        ])?;
        std::thread::spawn(move || {
            for _ in signals.forever() {
                asked.fetch_add(1, Ordering::SeqCst);
            }
        });
        Ok(())
    }

    /// Whether no new node is to be started.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst) > 0
    }

    /// Whether running nodes are to be ended too.
    pub fn now(&self) -> bool {
        self.asked.load(Ordering::SeqCst) > 1
    }

    /// Remembers a process group that does a node's work.
    pub(super) fn enter(&self, group: i32, timeout: Option<Duration>) -> Entered<'_> {
        let running = Running { since: Instant::now(), timeout, timed_out: false };
        self.running.lock().insert(group, running);
        Entered { stop: self, group }
    }

    fn forget(&self, group: i32) -> bool {
        let running = self.running.lock().remove(&group);
        running.is_some_and(|r| r.timed_out)
    }

    /// Ends what is over its time, and everything when stopping now.
    pub(super) fn enforce(&self) {
        let now = self.now();
        for (group, running) in self.running.lock().iter_mut() {
            let over = running.timeout.is_some_and(|t| running.since.elapsed() > t);
            running.timed_out |= over;
            if over || now {
                // It may have ended by itself a moment ago.
                kill_group(*group);
            }
        }
    }
}
