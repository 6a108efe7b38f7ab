//! A run with nothing to do, seen without a plan.
//!
//! Reading a plan of thousands of nodes takes longer than asking the file system for each of their files. So a run
//! after which all nodes stand leaves a list of the files on which that rests. While all of them are as they were,
//! and all that the plan was made from is, a run of everything has nothing to do.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::args::Common;
use super::project::{Project, kept_file, likely_cache};
use crate::cache::{Cache, RecordsMark, Seen};
use crate::checked;
use crate::digest::{Digest, Root};
use crate::engine::Standing;
use crate::history::History;
use crate::manifest::{Manifest, WorkerEntry};
use crate::plan::Premises;
use crate::worker;

/// From so many files on, threads are worth their coming.
const MANY: usize = 4000;

/// What it rests on that there is nothing to do.
#[derive(Serialize, Deserialize)]
pub(super) struct Rest {
    premises: Premises,
    /// The workers that the manifest names; `None` where no node needs any.
    workers: Option<Vec<WorkerEntry>>,
    described: Digest,
    root: PathBuf,
    cache: PathBuf,
    out: PathBuf,
    /// The output folder that the command line asked for.
    asked_out: Option<PathBuf>,
    records: RecordsMark,
    told_in: Option<u64>,
    /// The run at whose end it was so.
    pub run: String,
    /// How many nodes there are.
    pub nodes: usize,
    read: Vec<(PathBuf, Seen)>,
    wrote: Vec<(PathBuf, Seen)>,
    /// What is shown after a run.
    pub shown: Vec<PathBuf>,
    /// The report that is named after a run.
    pub report: Option<PathBuf>,
}

impl Rest {
    /// For a run after which all nodes of a plan stand, told in this run database.
    pub fn of(
        common: &Common,
        project: &Project,
        standing: &Standing,
        told_in: Option<u64>,
        (shown, report): (&[PathBuf], Option<&PathBuf>),
    ) -> Option<Self> {
        let [read, wrote] = standing.files(&project.plan)?;
        Some(Self {
            premises: project.premises.clone(),
            workers: (!project.plan.is_commands_alone()).then(|| project.manifest.workers.clone()),
            described: project.plan.described,
            root: project.manifest.root.clone(),
            cache: project.cache_folder.clone(),
            out: project.out.clone(),
            asked_out: asked_out(common),
            records: standing.records(),
            told_in,
            run: standing.run()?,
            nodes: project.plan.nodes.len(),
            read,
            wrote,
            shown: shown.to_vec(),
            report: report.cloned(),
        })
    }

    /// Writes it for the next run, which takes the long way without it.
    pub fn write(&self, file: &Path) {
        if let Err(e) = checked::write(file, self) {
            tracing::debug!("that there is nothing to do cannot be written: {e}");
        }
    }

    /// The last run's, if everything is as it was; with the cache folder.
    pub fn of_now(common: &Common) -> Option<(Self, PathBuf)> {
        let text = Manifest::text(&common.file).ok()?;
        let folder = likely_cache(common, &text)?;
        let rest: Self = checked::read(&kept_file(&folder, common, "rest"))?;
        let described = rest.workers.as_ref().map(|named| worker::state(named, &rest.root));
        let same = rest.cache == folder
            && rest.asked_out == asked_out(common)
            && described.is_none_or(|now| now == rest.described)
            && rest.premises.hold(&text, &common.file, &common.sets)
            && rest.told_in.is_some()
            && rest.told_in == History::mark(&folder);
        if !same {
            return None;
        }
        let manifest = std::path::absolute(&common.file).ok()?;
        let cache = Cache::open(&folder, &manifest).ok()?;
        let still = cache.nothing_withdrawn_since(&rest.records)
            && all_still(&rest.root, &rest.read)
            && all_still(&rest.out, &rest.wrote);
        still.then_some((rest, folder))
    }
}

fn asked_out(common: &Common) -> Option<PathBuf> {
    common.out.as_ref().map(|out| std::path::absolute(out).unwrap_or_else(|_| out.clone()))
}

fn all_still(folder: &Path, files: &[(PathBuf, Seen)]) -> bool {
    let Ok(root) = Root::open(folder) else { return files.is_empty() };
    let still = |(path, seen): &(PathBuf, Seen)| seen.is_still_at(&root, path);
    match files.len() {
        0..MANY => files.iter().all(still),
        _ => files.par_iter().with_min_len(256).all(still),
    }
}
