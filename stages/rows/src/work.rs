//! Parallel work on rows.

use std::sync::mpsc::sync_channel;

use lfs_stage::{Context, Failure, Progress, Result};
use rayon::ThreadPool;
use rayon::prelude::*;

/// A pool of so many threads, for [`Work::run`].
///
/// # Errors
/// If they cannot be started.
pub fn threads(count: usize) -> Result<ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
    pool.map_err(|e| Failure::new(format!("cannot start {count} threads: {e}")))
}

/// Work on each row of a data set.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// The activity shown to the user: `aligning`.
    pub doing: &'a str,
    /// The number of rows.
    pub rows: usize,
    /// The number of rows in a batch. Two batches are held in memory.
    pub at_once: usize,
}

impl Work<'_> {
    /// Works on every row, and passes the results to `take` in order, while the next batch is computed.
    ///
    /// # Errors
    /// The first error of `take`, after which no more rows are taken.
    pub fn run<T: Send>(
        &self,
        cx: &Context<'_>,
        pool: &ThreadPool,
        work: impl Fn(usize) -> T + Sync,
        mut take: impl FnMut(usize, T) -> Result<()>,
    ) -> Result<()> {
        let (send, receive) = sync_channel::<(usize, Vec<T>)>(0);
        let work = &work;
        std::thread::scope(|scope| {
            let worker = scope.spawn(move || {
                for start in (0..self.rows).step_by(self.at_once.max(1)) {
                    let end = (start + self.at_once).min(self.rows);
                    let done = pool.install(|| (start..end).into_par_iter().map(work).collect());
                    // The receiver ends at the first error.
                    if send.send((start, done)).is_err() {
                        return;
                    }
                }
            });
            for (start, done) in receive {
                let end = start + done.len();
                for (row, done) in (start..end).zip(done) {
                    take(row, done)?;
                }
                cx.progress(Progress {
                    doing: self.doing.to_owned(),
                    done: end as u64,
                    total: Some(self.rows as u64),
                    unit: "images".to_owned(),
                    ..Progress::default()
                });
            }
            // A panic of the worker thread is passed on.
            worker.join().unwrap_or_else(|fault| std::panic::resume_unwind(fault));
            Ok(())
        })
    }
}
