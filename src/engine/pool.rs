//! The threads of a run. A thread that has finished a node takes the result in, decides what is next, and does it: from one
//! node to the next no thread waits for another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::scheduler::Scheduler;
use super::task::Outcome;
use super::work::RunContext;
use crate::fault::{Fault, Result};

/// How often to check whether the run is to be stopped.
const TICK: Duration = Duration::from_millis(100);

/// What the threads of a run share.
pub(super) struct Pool<'env> {
    context: &'env RunContext<'env>,
    shared: Mutex<Shared<'env>>,
    /// There is a task for a thread that waits.
    more: Condvar,
    /// Nothing runs any more.
    done: Condvar,
}

struct Shared<'env> {
    scheduler: Scheduler<'env>,
    /// Threads that wait for a task.
    idle: usize,
    /// Nodes that run.
    running: usize,
    fault: Option<Fault>,
}

impl Shared<'_> {
    fn is_over(&self) -> bool {
        self.running == 0 && !self.scheduler.has_task()
    }

    /// Keeps a fault of the machine; what runs goes on to its end, so that no finished work is lost.
    fn note(&mut self, result: Result<()>) {
        if let Err(fault) = result {
            self.scheduler.start_nothing_more();
            self.fault.get_or_insert(fault);
        }
    }
}

impl<'env> Pool<'env> {
    pub fn new(context: &'env RunContext<'env>, scheduler: Scheduler<'env>) -> Self {
        let shared = Mutex::new(Shared { scheduler, idle: 0, running: 0, fault: None });
        Self { context, shared, more: Condvar::new(), done: Condvar::new() }
    }

    /// Runs everything, and gives the scheduler back, with the fault that ended it before its time.
    pub fn run(self) -> (Scheduler<'env>, Option<Fault>) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let mut shared = self.shared();
            let started = shared.scheduler.start();
            shared.note(started);
            if shared.scheduler.has_task()
                && let Err(e) = Builder::new().spawn_scoped(scope, || self.work(scope))
            {
                shared.note(Err(Fault::machine(format!("no thread can be had: {e}"))));
            }
            // It takes no lock: the holder may be hashing for minutes.
            let guard = match shared.is_over() {
                true => None,
                false => Builder::new().spawn_scoped(scope, || self.guard(&over)).ok(),
            };
            while !shared.is_over() {
                if guard.is_none() {
                    self.context.stop.enforce();
                }
                let running = shared.running;
                shared.scheduler.announce_stopping(running);
                self.done.wait_for(&mut shared, TICK);
            }
            self.more.notify_all();
            over.store(true, Ordering::Release);
            if let Some(guard) = guard {
                guard.thread().unpark();
            }
        });
        let mut shared = self.shared.into_inner();
        shared.scheduler.skip_rest();
        (shared.scheduler, shared.fault)
    }

    /// Kills nodes that exceed their timeout, and all nodes when the run is stopped at once.
    fn guard(&self, over: &AtomicBool) {
        while !over.load(Ordering::Acquire) {
            self.context.stop.enforce();
            std::thread::park_timeout(TICK);
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared<'env>> {
        self.shared.lock()
    }

    fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let mut shared = self.shared();
        loop {
            let Some(task) = shared.scheduler.next_task() else {
                if shared.is_over() {
                    self.more.notify_all();
                    self.done.notify_all();
                    return;
                }
                shared.idle += 1;
                self.more.wait(&mut shared);
                shared.idle -= 1;
                continue;
            };
            shared.running += 1;
            if shared.scheduler.has_task() {
                match shared.idle {
                    // Without another thread this one does the rest.
                    0 => drop(Builder::new().spawn_scoped(scope, || self.work(scope))),
                    _ => drop(self.more.notify_one()),
                }
            }
            drop(shared);
            // A fault of this program itself must not leave the run waiting for ever.
            let worked = catch_unwind(AssertUnwindSafe(|| self.context.work(&task)));
            let (outcome, seconds) = worked.unwrap_or_else(|_| (Outcome::Broken(own_fault()), 0.0));
            let (index, key) = task.of();
            // Its slots are free before the next is looked for.
            drop(task);
            shared = self.shared();
            shared.running -= 1;
            let scheduler = &mut shared.scheduler;
            let taken_in = catch_unwind(AssertUnwindSafe(|| scheduler.take_in(index, key, outcome, seconds)));
            shared.note(taken_in.unwrap_or_else(|_| Err(own_fault())));
            if shared.scheduler.wants_sync() {
                // Without it the run syncs at its end.
                drop(Builder::new().spawn_scoped(scope, || self.context.sync()));
            }
        }
    }
}

fn own_fault() -> Fault {
    Fault::machine("a defect of this program stopped a node")
        .with_help("please report it with the lines above")
}
