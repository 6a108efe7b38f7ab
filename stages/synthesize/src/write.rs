//! Draws items and writes their files, on all threads.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use lfs_faces::dataset::Points;
use lfs_stage::{Context, Failure, IoContext, Progress, Result};
use rayon::prelude::*;

use crate::item::Item;
use crate::params::Set;
use crate::truth::{self, Truth};
use crate::world::World;

/// The number of images between two progress reports.
const BATCH: usize = 512;

/// Draws and writes items, and counts them.
pub struct Press<'a, 'w> {
    world: &'w World,
    pool: &'a rayon::ThreadPool,
    truth: &'a mut Truth<'w>,
    done: AtomicU64,
    total: u64,
}

impl<'a, 'w> Press<'a, 'w> {
    /// A writer of about `total` images.
    pub fn new(world: &'w World, pool: &'a rayon::ThreadPool, truth: &'a mut Truth<'w>, total: u64) -> Self {
        Self { world, pool, truth, done: AtomicU64::new(0), total }
    }

    /// The world of the images.
    pub fn world(&self) -> &'w World {
        self.world
    }

    /// The number of written images.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Writes a small file for each item: its path relative to `root`, and its content.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn files(
        &self,
        root: &Path,
        items: &[Item],
        file: impl Fn(&Item) -> (String, String) + Sync,
    ) -> Result<()> {
        self.pool.install(|| {
            items.par_iter().try_for_each(|item| {
                let (path, text) = file(item);
                truth::write(&root.join(path), text.as_bytes())
            })
        })
    }

    /// Draws and writes the items of a set under `root`, adds them to the truth, and returns their landmarks.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn print(&mut self, cx: &Context<'_>, set: Set, root: &Path, items: &[Item]) -> Result<Vec<Points>> {
        let mut all = Vec::with_capacity(items.len());
        for batch in items.chunks(BATCH) {
            let mut last = None;
            for item in batch {
                let folder = item.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                if last != Some(folder) {
                    let folder = root.join(folder);
                    std::fs::create_dir_all(&folder).doing("create", &folder)?;
                    last = Some(item.path.rsplit_once('/').map_or("", |(folder, _)| folder));
                }
            }
            let world = self.world;
            let points: Vec<Points> = self.pool.install(|| {
                batch
                    .par_iter()
                    .map(|item| {
                        let bytes =
                            item.bytes(world).map_err(|e| Failure::new(format!("{}: {e}", item.path)))?;
                        let path = root.join(&item.path);
                        std::fs::write(&path, bytes).doing("write", &path)?;
                        Ok(item.five(world))
                    })
                    .collect::<Result<_>>()
            })?;
            let rows: Vec<_> = batch.iter().zip(points.iter().copied()).collect();
            self.truth.add(set, &rows)?;
            let done = self.done.fetch_add(batch.len() as u64, Ordering::Relaxed) + batch.len() as u64;
            cx.progress(Progress {
                doing: set.name().to_owned(),
                done,
                total: Some(self.total.max(done)),
                unit: "images".to_owned(),
                ..Progress::default()
            });
            all.extend(points);
        }
        Ok(all)
    }
}
