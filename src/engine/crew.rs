//! Threads that do nodes' work, one node at a time each.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Scope;

use super::work::{Message, Shop, Task};

/// The threads of a run. They end when the crew is dropped.
pub(super) struct Crew<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    shop: &'env Shop<'env>,
    tell: Sender<Message>,
    queue: Arc<Queue<'env>>,
    threads: usize,
    /// Tasks that were handed out and are not over.
    out: usize,
}

#[derive(Default)]
struct Queue<'env> {
    tasks: Mutex<Tasks<'env>>,
    more: Condvar,
}

#[derive(Default)]
struct Tasks<'env> {
    list: VecDeque<Task<'env>>,
    closed: bool,
}

impl<'env> Queue<'env> {
    /// Waits for a task that has its slots.
    fn next(&self) -> Option<Task<'env>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(at) = tasks.list.iter().position(|t| t.taken.is_some()) {
                return tasks.list.remove(at);
            }
            if tasks.closed {
                return None;
            }
            tasks = self.more.wait(tasks).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A small task that waits for a thread, to be done with the slots of a small one that is over.
    fn waiting(&self) -> Option<Task<'env>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let at = tasks.list.iter().position(|t| t.taken.is_none())?;
        tasks.list.remove(at)
    }

    fn put(&self, task: Task<'env>) {
        let starts = task.taken.is_some();
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).list.push_back(task);
        if starts {
            self.more.notify_one();
        }
    }
}

impl<'scope, 'env> Crew<'scope, 'env> {
    pub fn new(scope: &'scope Scope<'scope, 'env>, shop: &'env Shop<'env>, tell: Sender<Message>) -> Self {
        Self { scope, shop, tell, queue: Arc::default(), threads: 0, out: 0 }
    }

    /// How many tasks are not over.
    pub fn out(&self) -> usize {
        self.out
    }

    /// Says that a task is over.
    pub fn over(&mut self) {
        self.out -= 1;
    }

    /// Whether a task without slots may be handed out: every thread is busy, and for each at most one waits.
    pub fn has_room(&self) -> bool {
        self.out >= self.threads && self.out < 2 * self.threads
    }

    /// Hands a task out. One that has its slots starts at once; a small one without, when a thread is done with
    /// another small one: the machine does not stand still while the scheduler looks for what is next.
    pub fn start(&mut self, task: Task<'env>) {
        self.out += 1;
        if task.taken.is_some() && self.out > self.threads {
            self.threads += 1;
            let (shop, tell, queue) = (self.shop, self.tell.clone(), Arc::clone(&self.queue));
            self.scope.spawn(move || {
                let mut next = queue.next();
                while let Some(mut task) = next.take() {
                    let (outcome, seconds) = shop.work(&task, &tell);
                    let after = if task.node.resources.is_small() { queue.waiting() } else { None };
                    next = after.map(|after| Task { taken: task.taken.take(), ..after });
                    let (index, key, follows) = (task.index, task.key, next.as_ref().map(|t| t.index));
                    // Slots are free before the scheduler hears of it.
                    drop(task);
                    let outcome = Box::new(outcome);
                    // The scheduler waits for every message: it cannot be gone.
                    let _ = tell.send(Message::Finished { index, key, outcome, seconds, follows });
                    next = next.or_else(|| queue.next());
                }
            });
        }
        self.queue.put(task);
    }

    /// Has everything so far put on the disk, beside the work; false while the last time is not over.
    pub fn sync(&self) -> bool {
        let free = !self.shop.syncing.swap(true, Ordering::Relaxed);
        if free {
            let shop = self.shop;
            self.scope.spawn(move || {
                if let Err(fault) = shop.cache.make_durable() {
                    tracing::warn!("{fault}");
                }
                shop.syncing.store(false, Ordering::Relaxed);
            });
        }
        free
    }

    /// Takes the tasks back that wait for a thread: they are not started any more.
    pub fn take_back(&mut self) -> Vec<usize> {
        let mut back = Vec::new();
        while let Some(task) = self.queue.waiting() {
            back.push(task.index);
        }
        self.out -= back.len();
        back
    }
}

impl Drop for Crew<'_, '_> {
    fn drop(&mut self) {
        self.queue.tasks.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.queue.more.notify_all();
    }
}
