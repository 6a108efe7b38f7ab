//! Runs work on the job's thread pool, while the job's own thread reports progress.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use lfs_stage::{Context, Failure, Progress, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The interval between progress reports.
const EVERY: Duration = Duration::from_millis(200);

/// The thread pool of the job.
pub struct Watch {
    pool: ThreadPool,
}

impl Watch {
    /// Starts as many threads as the job may use.
    pub fn new(threads: usize) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        Ok(Self { pool: pool.map_err(|e| Failure::new(format!("cannot start {threads} threads: {e}")))? })
    }

    /// Runs `work` on the thread pool. It counts its progress in the given counter.
    pub fn run<T: Send>(
        &self,
        cx: &Context<'_>,
        doing: &str,
        total: u64,
        work: impl FnOnce(&AtomicU64) -> T + Send,
    ) -> T {
        let done = AtomicU64::new(0);
        let (finished, wait) = channel::<()>();
        std::thread::scope(|scope| {
            let (pool, count) = (&self.pool, &done);
            let handle = scope.spawn(move || {
                // Dropped at the end, even if `work` panics.
                let _finished = finished;
                pool.install(|| work(count))
            });
            while wait.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                cx.progress(Progress {
                    doing: doing.to_owned(),
                    done: done.load(Ordering::Relaxed),
                    total: Some(total),
                    unit: "pairs".to_owned(),
                    ..Progress::default()
                });
            }
            handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
