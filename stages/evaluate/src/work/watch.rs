//! Work on the job's own threads, while the job's thread says how far it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use lfs_stage::{Context, Failure, Progress, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// How often progress is said.
const EVERY: Duration = Duration::from_millis(200);

/// The job's threads.
pub struct Watch {
    pool: ThreadPool,
}

impl Watch {
    /// As many threads as the job may use.
    pub fn new(threads: usize) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        Ok(Self { pool: pool.map_err(|e| Failure::new(format!("cannot start {threads} threads: {e}")))? })
    }

    /// Does `work` on the job's threads. It counts what is done in the number that it is given.
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
                // Dropped at the end, also when `work` panics.
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
