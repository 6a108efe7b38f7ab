//! The threads of a run. Whoever has finished a node takes in what came out, decides what is next, and does it: from
//! one node to the next no thread waits for another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};
use std::time::Duration;

use super::scheduler::Scheduler;
use super::work::{Outcome, Shop};
use crate::fault::{Fault, Result};

/// How often to look whether somebody wants the end.
const TICK: Duration = Duration::from_millis(100);

/// What the threads of a run share.
pub(super) struct Crew<'env> {
    shop: &'env Shop<'env>,
    desk: Mutex<Desk<'env>>,
    /// There is a task for a thread that waits.
    more: Condvar,
    /// Nothing runs any more.
    done: Condvar,
}

struct Desk<'env> {
    scheduler: Scheduler<'env>,
    /// Threads that wait for a task.
    idle: usize,
    /// Nodes that run.
    running: usize,
    fault: Option<Fault>,
}

impl Desk<'_> {
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

impl<'env> Crew<'env> {
    pub fn new(shop: &'env Shop<'env>, scheduler: Scheduler<'env>) -> Self {
        let desk = Mutex::new(Desk { scheduler, idle: 0, running: 0, fault: None });
        Self { shop, desk, more: Condvar::new(), done: Condvar::new() }
    }

    /// Runs everything, and gives the scheduler back, with the fault that ended it before its time.
    pub fn run(self) -> (Scheduler<'env>, Option<Fault>) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let mut desk = self.desk();
            let started = desk.scheduler.start();
            desk.note(started);
            if desk.scheduler.has_task()
                && let Err(e) = Builder::new().spawn_scoped(scope, || self.work(scope))
            {
                desk.note(Err(Fault::machine(format!("no thread can be had: {e}"))));
            }
            // It asks nobody: whoever is at the desk may be hashing for minutes.
            let guard = match desk.is_over() {
                true => None,
                false => Builder::new().spawn_scoped(scope, || self.guard(&over)).ok(),
            };
            while !desk.is_over() {
                if guard.is_none() {
                    self.shop.stop.enforce();
                }
                let running = desk.running;
                desk.scheduler.tell_of_stopping(running);
                desk = self.done.wait_timeout(desk, TICK).unwrap_or_else(PoisonError::into_inner).0;
            }
            self.more.notify_all();
            over.store(true, Ordering::Release);
            if let Some(guard) = guard {
                guard.thread().unpark();
            }
        });
        let mut desk = self.desk.into_inner().unwrap_or_else(PoisonError::into_inner);
        desk.scheduler.skip_rest();
        (desk.scheduler, desk.fault)
    }

    /// Ends what is over its time, and everything when somebody wants that.
    fn guard(&self, over: &AtomicBool) {
        while !over.load(Ordering::Acquire) {
            self.shop.stop.enforce();
            std::thread::park_timeout(TICK);
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk<'env>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let mut desk = self.desk();
        loop {
            let Some(task) = desk.scheduler.next_task() else {
                if desk.is_over() {
                    self.more.notify_all();
                    self.done.notify_all();
                    return;
                }
                desk.idle += 1;
                desk = self.more.wait(desk).unwrap_or_else(PoisonError::into_inner);
                desk.idle -= 1;
                continue;
            };
            desk.running += 1;
            if desk.scheduler.has_task() {
                match desk.idle {
                    // Without another thread this one does the rest.
                    0 => drop(Builder::new().spawn_scoped(scope, || self.work(scope))),
                    _ => self.more.notify_one(),
                }
            }
            drop(desk);
            // A fault of this program itself must not leave the run waiting for ever.
            let worked = catch_unwind(AssertUnwindSafe(|| self.shop.work(&task)));
            let (outcome, seconds) = worked.unwrap_or_else(|_| (Outcome::Broken(own_fault()), 0.0));
            let (index, key) = task.of();
            // Its slots are free before the next is looked for.
            drop(task);
            desk = self.desk();
            desk.running -= 1;
            let scheduler = &mut desk.scheduler;
            let taken_in = catch_unwind(AssertUnwindSafe(|| scheduler.take_in(index, key, outcome, seconds)));
            desk.note(taken_in.unwrap_or_else(|_| Err(own_fault())));
            if desk.scheduler.wants_sync() {
                // Without it the run syncs at its end.
                drop(Builder::new().spawn_scoped(scope, || self.shop.sync()));
            }
        }
    }
}

fn own_fault() -> Fault {
    Fault::machine("a defect of this program stopped a node")
        .with_help("please report it with the lines above")
}
