//! A manifest with its plan and its workers, with which every command begins.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::args::Common;
use crate::cache::{Cache, Record};
use crate::engine::{Forecast, forecast};
use crate::fault::{Fault, Result};
use crate::fingerprint::Key;
use crate::history::History;
use crate::manifest::{Manifest, folder, nearest, shown};
use crate::paths::{absolute, plain};
use crate::plan::{Asked, COMMAND, Grounds, Plan, Premises, build};
use crate::state::{Files, Head, Kept, NodeStates, Prior};
use crate::worker::Workers;

/// A manifest, its plan and its workers.
pub(super) struct Project {
    pub manifest: Manifest,
    pub plan: Plan,
    pub workers: Workers,
    /// The cache folder.
    pub cache_folder: PathBuf,
    /// The output folder.
    pub out: PathBuf,
    premises: Premises,
    /// The file of the plan, where there is one.
    kept: RefCell<Option<Kept>>,
    kept_file: PathBuf,
}

/// The kept plan for these arguments, if its premises hold; with the text of the manifest.
pub(super) fn kept(common: &Common) -> Option<(String, Kept)> {
    let text = Manifest::text(&common.file).ok()?;
    let cache = likely_cache(common, &text)?;
    let hold = |premises: &Premises| premises.hold(&text, &common.file, &common.sets, &asked(common));
    let kept = Kept::open(&kept_file(&cache, common), &cache, &hold)?;
    Some((text, kept))
}

fn kept_file(cache: &Path, common: &Common) -> PathBuf {
    cache.join("memo").join(Kept::name(&absolute(&common.file), &common.sets)).with_extension("plan")
}

impl Project {
    pub fn open(common: &Common) -> Result<Self> {
        Self::open_with(common, kept(common))
    }

    /// The same, if the kept plan has been opened already.
    pub fn open_with(common: &Common, kept: Option<(String, Kept)>) -> Result<Self> {
        let text = match kept {
            None => Manifest::text(&common.file)?,
            Some((text, kept)) => match Self::of_kept(common, &text, kept) {
                Some(project) => return Ok(project),
                None => text,
            },
        };
        let manifest = Manifest::from_text(&common.file, &text, &common.sets)?;
        let cache_folder = cache_folder(common, Some(&manifest));
        let commands_alone = manifest.drafts.iter().all(|d| d.kind.0 == COMMAND);
        let workers = Workers::of(&manifest, commands_alone, &cache_folder)?;
        let grounds = grounds(common, &manifest, &cache_folder)?;
        let plan = build(&manifest, &workers.kinds, workers.described, &grounds)?;
        let premises = Premises::of(&manifest, &text, &common.sets, (asked(common), grounds), &plan);
        Ok(Self::of(common, (manifest, plan, premises), workers, cache_folder, None))
    }

    /// The project with the kept plan, if the workers have not changed since.
    fn of_kept(common: &Common, text: &str, mut kept: Kept) -> Option<Self> {
        let parts = kept.plan(&common.file, text, &common.sets)?;
        let (manifest, plan, _) = &parts;
        let cache_folder = cache_folder(common, Some(manifest));
        let workers = Workers::of(manifest, plan.is_commands_alone(), &cache_folder).ok()?;
        let same = cache_folder == kept.head().cache && plan.described == workers.described;
        same.then(|| Self::of(common, parts, workers, cache_folder, Some(kept)))
    }

    fn of(
        common: &Common,
        (manifest, plan, premises): (Manifest, Plan, Premises),
        workers: Workers,
        cache_folder: PathBuf,
        kept: Option<Kept>,
    ) -> Self {
        let out = common.out.as_deref().map_or_else(|| own_out(&manifest), absolute);
        let (kept_file, kept) = (kept_file(&cache_folder, common), RefCell::new(kept));
        Self { manifest, plan, workers, cache_folder, out, premises, kept, kept_file }
    }

    /// The state that the last run of this plan left.
    pub fn prior(&self, cache: &Cache) -> Prior {
        match &mut *self.kept.borrow_mut() {
            Some(kept) => kept.prior(cache, History::mark(&self.cache_folder)),
            None => Prior::none(self.plan.nodes.len()),
        }
    }

    /// Keeps the plan for the next run, if it is new. The cache must exist. If this fails, the next run only takes longer.
    pub fn keep(&self, shown: (&[PathBuf], Option<&PathBuf>)) {
        let mut kept = self.kept.borrow_mut();
        if kept.is_none() {
            let of = (&self.plan, &self.premises);
            let head = Head::of(&self.manifest, of, (&self.cache_folder, &self.out), shown);
            match Kept::create(&self.kept_file, head, &self.manifest, &self.plan) {
                Ok(new) => *kept = Some(new),
                Err(e) => tracing::debug!("the plan cannot be kept: {e}"),
            }
        }
    }

    /// Keeps the states in which a run left the nodes.
    pub fn save(&self, states: NodeStates) {
        let states = states.recorded_in(History::mark(&self.cache_folder));
        if let (Some(kept), Some(states)) = (&mut *self.kept.borrow_mut(), states)
            && let Err(e) = kept.save(&states)
        {
            tracing::debug!("the states of nodes cannot be kept: {e}");
        }
    }

    pub fn cache(&self) -> Result<Cache> {
        Cache::open(&self.cache_folder, &absolute(&self.manifest.path))
    }

    /// The index of a node that must exist. The name of a stage with one node means that node.
    pub fn node(&self, name: &str) -> Result<usize> {
        if let Some(node) = self.plan.find(name) {
            return Ok(node);
        }
        let found = self.plan.named(&[name.to_owned()])?;
        match found.as_slice() {
            [one] => Ok(*one),
            several => {
                let names: Vec<&str> =
                    several.iter().take(3).map(|i| self.plan.nodes[*i].name.as_str()).collect();
                let near = nearest(name, names.iter().copied()).unwrap_or_default();
                Err(Fault::usage(format!("`{name}` means {} nodes", several.len()))
                    .with_help(format!("name one: `{}` {near}", names.join("`, `")).trim().to_owned()))
            }
        }
    }

    /// What a run of these targets would do.
    pub fn forecast(&self, cache: &Cache, targets: &[String]) -> Result<Vec<Option<Forecast>>> {
        self.foresight(cache, targets)?.look(&mut |_| None)
    }

    /// The current state of what a run of these targets reads, for one or several forecasts.
    pub fn foresight<'a>(&'a self, cache: &'a Cache, targets: &[String]) -> Result<Foresight<'a>> {
        let targets = self.plan.named(targets)?;
        let needed = self.plan.needed(&targets);
        let files = Files::of(&self.plan, &needed, cache, &self.manifest, &Prior::default())?;
        // The run that follows need not hash these files again. A cache that may only be read stays
        // unchanged.
        if let Err(e) = cache.flush_memo() {
            tracing::debug!("the memo cannot be written: {e}");
        }
        Ok(Foresight { plan: &self.plan, cache, needed, files })
    }

    /// The address of the remote store: the one on the command line, or the manifest's.
    pub fn remote(&self, named: Option<&str>) -> Result<String> {
        let (text, base) = match (named, &self.manifest.settings.remote) {
            (Some(named), _) => (named, PathBuf::new()),
            (None, Some(text)) => (text.as_str(), self.manifest.root.clone()),
            (None, None) => {
                return Err(Fault::usage("no remote store is named").with_help(
                    "write `remote = \"s3://bucket/folder\"` into `[pipeline]`, or name one with --remote",
                ));
            }
        };
        if text.contains("://") {
            return Ok(text.trim_end_matches('/').to_owned());
        }
        Ok(plain(&base.join(text)).display().to_string())
    }
}

/// The output folder that a manifest names.
fn own_out(manifest: &Manifest) -> PathBuf {
    manifest.root.join(manifest.settings.out.as_deref().unwrap_or("out"))
}

/// The folders that the command line asks for.
pub(super) fn asked(common: &Common) -> Asked {
    Asked { out: common.out.as_deref().map(absolute), cache: common.cache.as_deref().map(absolute) }
}

/// The folders that the runner writes in.
fn grounds(common: &Common, manifest: &Manifest, cache: &Path) -> Result<Grounds> {
    let own = own_out(manifest);
    let out = common.out.as_deref().map_or_else(|| own.clone(), absolute);
    let stages = manifest.drafts.iter().map(|draft| draft.stage.clone()).collect();
    let grounds = Grounds::new(&manifest.root, &[out.clone(), own], cache, stages);
    match grounds.out_is_in_the_cache() {
        false => Ok(grounds),
        true => Err(Fault::usage(format!("the output folder {} lies in the cache", shown(&out)))
            .with_help("name another one with `out` in `[pipeline]` or --out")),
    }
}

/// The current state of everything that is read.
pub(super) struct Foresight<'a> {
    plan: &'a Plan,
    cache: &'a Cache,
    needed: Vec<bool>,
    files: Files,
}

impl Foresight<'_> {
    /// What a run would do; `elsewhere` gives the record of a result that can be fetched.
    pub fn look(&self, elsewhere: &mut dyn FnMut(&Key) -> Option<Record>) -> Result<Vec<Option<Forecast>>> {
        forecast(self.plan, &self.needed, self.cache, elsewhere, &self.files)
    }
}

/// The likely cache folder, from the text of a manifest without reading it all.
pub(super) fn likely_cache(common: &Common, text: &str) -> Option<PathBuf> {
    match (&common.cache, Manifest::peek_cache(text)) {
        (Some(cache), _) => std::path::absolute(cache).ok(),
        (None, named) => Some(folder(&common.file).join(named.as_deref().unwrap_or("cache"))),
    }
}

/// The cache folder: `--cache`, the manifest's, or `cache` beside the manifest.
pub(super) fn cache_folder(common: &Common, manifest: Option<&Manifest>) -> PathBuf {
    match (&common.cache, manifest) {
        (Some(cache), _) => absolute(cache),
        (None, Some(m)) => m.root.join(m.settings.cache.as_deref().unwrap_or("cache")),
        (None, None) => PathBuf::from("cache"),
    }
}
