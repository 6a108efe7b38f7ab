//! A run with nothing to do, seen without a plan.
//!
//! Reading a plan of thousands of nodes takes longer than asking the file system for each of their files. So a plan
//! all of whose nodes stand leaves a list of their files. While all of them are as they were, and all that the plan was
//! made from is, a run of everything has nothing to do. Where one is not, what was seen of them is seen for the run that follows.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::args::Common;
use super::project::{Project, asked, kept_file, likely_cache};
use crate::cache::Cache;
use crate::checked;
use crate::digest::Digest;
use crate::engine::{Looks, Standing};
use crate::history::History;
use crate::manifest::{Manifest, WorkerEntry};
use crate::paths::absolute;
use crate::plan::{Premises, Source};
use crate::worker;

/// The files of a plan, and what it rests on that they are.
#[derive(Serialize, Deserialize)]
pub(super) struct Rest {
    premises: Premises,
    /// The workers that the manifest names; `None` where no node needs any.
    workers: Option<Vec<WorkerEntry>>,
    described: Digest,
    root: PathBuf,
    cache: PathBuf,
    out: PathBuf,
    /// What the nodes read.
    read: Vec<PathBuf>,
    /// What they write below the output folder, in the order of nodes and outputs.
    wrote: Vec<PathBuf>,
    /// What is shown after a run.
    pub shown: Vec<PathBuf>,
    /// The report that is named after a run.
    pub report: Option<PathBuf>,
}

/// What is known before the plan is there.
pub(super) enum Now {
    /// Nothing is to be done.
    Done(Box<Done>),
    /// Something is, perhaps.
    Ahead(Box<Ahead>),
}

/// A run with nothing to do.
pub(super) struct Done {
    pub rest: Rest,
    /// The cache folder.
    pub cache: PathBuf,
    /// The run at whose end everything stood.
    pub run: Option<String>,
    /// How many nodes there are.
    pub nodes: usize,
}

/// What the run that follows need not find again.
#[derive(Default)]
pub(super) struct Ahead {
    /// Where nodes stood.
    pub standing: Option<Standing>,
    /// What was seen of their files.
    pub looks: Option<Looks>,
    /// The manifest's text, and the premises of its plan, which hold.
    pub held: Option<(String, Premises)>,
    /// The plan whose list is there.
    pub listed: Option<Digest>,
}

impl Rest {
    /// For a plan all of whose nodes stand.
    pub fn of(project: &Project, (shown, report): (&[PathBuf], Option<&PathBuf>)) -> Self {
        let nodes = &project.plan.nodes;
        let sources = nodes.iter().flat_map(|node| &node.inputs).flat_map(|input| &input.sources);
        let mut read: Vec<PathBuf> = sources
            .filter_map(|source| match source {
                Source::Path { path, .. } => Some(path.clone()),
                Source::Node { .. } => None,
            })
            .collect();
        read.sort_unstable();
        read.dedup();
        let wrote = nodes.iter().flat_map(|node| {
            let folder = node.folder();
            node.outputs.iter().map(move |output| folder.join(&output.path))
        });
        Self {
            premises: project.premises.clone(),
            workers: (!project.plan.is_commands_alone()).then(|| project.manifest.workers.clone()),
            described: project.plan.described,
            root: project.manifest.root.clone(),
            cache: project.cache_folder.clone(),
            out: project.out.clone(),
            read,
            wrote: wrote.collect(),
            shown: shown.to_vec(),
            report: report.cloned(),
        }
    }

    /// Writes it for the next run, which takes the long way without it.
    pub fn write(&self, project: &Project) {
        if let Err(e) = checked::write(&project.rest, self) {
            tracing::debug!("the list of files cannot be written: {e}");
        }
    }

    /// The list, if it is of the plan of now, with the text of the manifest.
    fn read(common: &Common) -> Option<(String, Self)> {
        let text = Manifest::text(&common.file).ok()?;
        let folder = likely_cache(common, &text)?;
        let rest: Self = checked::read(&kept_file(&folder, common, "rest"))?;
        let described = rest.workers.as_ref().map(|named| worker::state(named, &rest.root));
        let same = rest.cache == folder
            && described.is_none_or(|now| now == rest.described)
            && rest.premises.hold(&text, &common.file, &common.sets, &asked(common));
        same.then_some((text, rest))
    }
}

/// What is known without a plan.
pub(super) fn now(common: &Common) -> Now {
    let Some((text, mut rest)) = Rest::read(common) else { return Now::Ahead(Box::default()) };
    let identity = rest.premises.identity(&rest.described);
    let ahead = |rest: Rest, standing, looks| {
        let held = Some((text, rest.premises));
        Now::Ahead(Box::new(Ahead { standing, looks, held, listed: Some(identity) }))
    };
    let Ok(cache) = Cache::open(&rest.cache, &absolute(&common.file)) else { return ahead(rest, None, None) };
    let file = kept_file(&rest.cache, common, "standing");
    let database = History::mark(&rest.cache);
    let Some(standing) = Standing::read(&file, identity, &rest.out, &cache, database) else {
        return ahead(rest, None, None);
    };
    let wrote = std::mem::take(&mut rest.wrote);
    let seen = standing.seen(&rest.read);
    let looks = seen.and_then(|seen| Looks::at(&rest.root, &rest.out, &rest.read, wrote, seen));
    match looks {
        Some(looks) if looks.all() => Now::Done(Box::new(Done {
            cache: rest.cache.clone(),
            run: standing.run(),
            nodes: standing.nodes(),
            rest,
        })),
        looks => ahead(rest, Some(standing), looks),
    }
}
