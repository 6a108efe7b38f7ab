//! `lfs-pipe run --watch`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher};

use super::args::{Common, RunArgs};
use super::execute::execute;
use super::project::Project;
use crate::engine::Stop;
use crate::fault::{Fault, Result};
use crate::manifest::{folder, shown};
use crate::paths::{absolute, plain};
use crate::plan::Node;

/// Editors write a file in several steps: it counts as written after this time without changes.
const QUIET: Duration = Duration::from_millis(150);
/// How often to check whether the user wants to stop.
const TICK: Duration = Duration::from_millis(100);

/// Runs, and again whenever something changes that the pipeline reads.
pub(super) fn watch(common: &Common, args: &RunArgs) -> Result<()> {
    let stop = Stop::default();
    stop.listen().map_err(|e| Fault::machine(format!("signals cannot be caught: {e}")))?;
    loop {
        // Watched from before the run, so that changes meanwhile count.
        let (send, changed) = channel();
        let handler = move |event: notify::Result<notify::Event>| {
            if let Ok(event) = event
                && !event.kind.is_access()
            {
                let _ = send.send(event.paths);
            }
        };
        let mut watcher = notify::recommended_watcher(handler)
            .map_err(|e| Fault::machine(format!("files cannot be watched: {e}")))?;
        let manifest = folder(&common.file);
        let mut counts: Box<dyn Fn(&Path) -> bool> = Box::new(|_| true);
        let result = match Project::open(common) {
            Ok(project) => {
                for (path, mode) in places(&project) {
                    // A file that does not exist yet is reported by the run.
                    if let Err(e) = watcher.watch(&path, mode) {
                        tracing::debug!("{} cannot be watched: {e}", path.display());
                    }
                }
                let _ = watcher.watch(&manifest, RecursiveMode::NonRecursive);
                let ran = project
                    .cache()
                    .and_then(|cache| execute(common, &project, &cache, args, &stop))
                    .and_then(|outcome| outcome.show(args));
                let read = Read::by(common, project);
                counts = Box::new(move |path| read.holds(path));
                ran
            }
            Err(fault) => {
                let _ = watcher.watch(&manifest, RecursiveMode::NonRecursive);
                Err(fault)
            }
        };
        match result {
            Err(Fault::Interrupted) => return Err(Fault::Interrupted),
            // The next change may correct the mistake.
            Err(fault) => crate::say!("{}", fault.to_string().trim_end()),
            Ok(()) => {}
        }
        crate::say!("watching    Ctrl-C ends it");
        let Some(path) = next_change(&changed, &*counts, &stop) else { return Err(Fault::Interrupted) };
        crate::say!("changed     {}", shown(&path));
    }
}

/// What a pipeline reads. Changes of anything else in the same folders are ignored.
struct Read {
    project: Project,
    /// Files and folders, both as written and with links resolved.
    paths: BTreeSet<PathBuf>,
}

impl Read {
    fn by(common: &Common, project: Project) -> Self {
        let inputs = project.plan.nodes.iter().flat_map(Node::paths).cloned();
        let files = project.workers.programs.iter().flat_map(|p| p.files.clone());
        let all = inputs.chain(files).chain([absolute(&common.file)]);
        let paths = all.flat_map(|path| [plain(&path), path]).collect();
        Self { project, paths }
    }

    fn holds(&self, path: &Path) -> bool {
        let Project { plan, manifest, out, cache_folder, .. } = &self.project;
        let is_own = |path: &Path| {
            path.starts_with(out) && !manifest.root.starts_with(out)
                || path.starts_with(cache_folder) && !manifest.root.starts_with(cache_folder)
        };
        path.ancestors().any(|above| self.paths.contains(above))
            || plan.has_pattern_for(&manifest.root, path) && !is_own(path)
    }
}

/// Waits for a change that counts, and then until there are no further changes.
fn next_change(
    changed: &Receiver<Vec<PathBuf>>,
    counts: &dyn Fn(&Path) -> bool,
    stop: &Stop,
) -> Option<PathBuf> {
    let mut found: Option<(PathBuf, Instant)> = None;
    loop {
        if stop.asked() {
            return None;
        }
        match changed.recv_timeout(TICK.min(QUIET)) {
            Ok(paths) => {
                if let Some(path) = paths.into_iter().find(|path| counts(path)) {
                    found = Some((path, Instant::now()));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
        if let Some((path, at)) = &found
            && at.elapsed() > QUIET
        {
            return Some(path.clone());
        }
    }
}

/// The folders in which something can change that the pipeline reads.
fn places(project: &Project) -> BTreeSet<(PathBuf, RecursiveMode)> {
    let mut out = BTreeSet::new();
    for path in project.plan.nodes.iter().flat_map(Node::paths) {
        match path.is_dir() {
            true => out.insert((path.clone(), RecursiveMode::Recursive)),
            // The folder, since editors replace the old file by a new one.
            false => {
                out.insert((path.parent().unwrap_or(Path::new(".")).to_owned(), RecursiveMode::NonRecursive))
            }
        };
    }
    for folder in project.plan.pattern_folders(&project.manifest.root) {
        out.insert((folder, RecursiveMode::Recursive));
    }
    for worker in project.workers.programs.iter().flat_map(|p| &p.files) {
        if let Some(parent) = worker.parent() {
            out.insert((parent.to_owned(), RecursiveMode::NonRecursive));
        }
    }
    out
}
