//! Work on rows, on several threads.

use std::sync::mpsc::sync_channel;

use lfs_stage::{Context, Failure, Progress, Result};
use rayon::ThreadPool;
use rayon::prelude::*;

/// So many threads, for [`Work::run`].
///
/// # Errors
/// When they cannot be started.
pub fn threads(count: usize) -> Result<ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
    pool.map_err(|e| Failure::new(format!("cannot start {count} threads: {e}")))
}

/// What is done with each of so many rows.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// What a person sees that is done: `aligning`.
    pub doing: &'a str,
    /// How many rows there are.
    pub rows: usize,
    /// How many rows are worked on before what came of them is taken: twice as many are held in memory.
    pub at_once: usize,
}

impl Work<'_> {
    /// Works on every row, and takes what came of them in order, while the next ones are worked on.
    ///
    /// # Errors
    /// The first of `take`, after which no more rows are taken.
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
                    // Nobody takes more when one failed.
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
            // A fault of its own is told as what it was.
            worker.join().unwrap_or_else(|fault| std::panic::resume_unwind(fault));
            Ok(())
        })
    }
}
