//! A manifest with all that belongs to it: what every command begins with.

use std::path::{Path, PathBuf};

use super::args::Common;
use crate::cache::{Cache, Record};
use crate::digest::Digest;
use crate::engine::{Before, Files, Forecast, Standing, forecast};
use crate::fault::{Fault, Result};
use crate::fingerprint::Key;
use crate::history::History;
use crate::manifest::{Manifest, folder, nearest, shown};
use crate::paths::{absolute, plain};
use crate::plan::{Asked, COMMAND, Grounds, Kept, Plan, Premises, build};
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
    /// The file that says where nodes stood.
    standing: PathBuf,
    /// The file with the plan.
    kept: PathBuf,
    /// The list of the plan's files.
    pub rest: PathBuf,
    /// What the plan was made from.
    pub premises: Premises,
    /// The plan was made just now.
    new: bool,
}

pub(super) fn kept_file(cache: &Path, common: &Common, what: &str) -> PathBuf {
    let manifest = absolute(&common.file);
    cache.join("memo").join(Kept::name(&manifest, &common.sets)).with_extension(what)
}

impl Project {
    pub fn open(common: &Common) -> Result<Self> {
        Self::open_with(common, None)
    }

    /// The same for a text of the manifest with which these premises of a plan are known to hold.
    pub fn open_with(common: &Common, held: Option<(String, Premises)>) -> Result<Self> {
        let (text, held) = match held {
            Some((text, held)) => (text, Some(held)),
            None => (Manifest::text(&common.file)?, None),
        };
        if let Some(kept) = Self::kept(common, &text, held.as_ref()) {
            return Ok(kept);
        }
        let manifest = Manifest::from_text(&common.file, &text, &common.sets)?;
        let cache_folder = cache_folder(common, Some(&manifest));
        let commands_alone = manifest.drafts.iter().all(|d| d.kind.0 == COMMAND);
        let workers = Workers::of(&manifest, commands_alone, &cache_folder)?;
        let grounds = grounds(common, &manifest, &cache_folder)?;
        let mut plan = build(&manifest, &workers.kinds, workers.described, &grounds)?;
        let premises = Premises::of(&manifest, &text, &common.sets, (asked(common), grounds), &plan);
        plan.identity = premises.identity(&plan.described);
        Ok(Self { new: true, ..Self::of(common, manifest, (plan, premises), workers, cache_folder) })
    }

    /// The project with the plan of the last time, if nothing that it was made from has changed.
    fn kept(common: &Common, text: &str, held: Option<&Premises>) -> Option<Self> {
        let cache = likely_cache(common, text)?;
        let file = kept_file(&cache, common, "plan");
        let kept = Kept::read(&file, text, &common.file, &common.sets, &asked(common), held)?;
        let (manifest, plan, premises) = kept.into_parts(&common.file, text, &common.sets);
        let cache_folder = cache_folder(common, Some(&manifest));
        let workers = Workers::of(&manifest, plan.is_commands_alone(), &cache_folder).ok()?;
        let same = cache_folder == cache && plan.described == workers.described;
        same.then(|| Self::of(common, manifest, (plan, premises), workers, cache_folder))
    }

    fn of(
        common: &Common,
        manifest: Manifest,
        (plan, premises): (Plan, Premises),
        workers: Workers,
        cache_folder: PathBuf,
    ) -> Self {
        let out = common.out.as_deref().map_or_else(|| own_out(&manifest), absolute);
        Self {
            standing: kept_file(&cache_folder, common, "standing"),
            kept: kept_file(&cache_folder, common, "plan"),
            rest: kept_file(&cache_folder, common, "rest"),
            premises,
            new: false,
            manifest,
            plan,
            workers,
            cache_folder,
            out,
        }
    }

    /// Of all that the plan was made from.
    pub fn identity(&self) -> Digest {
        self.plan.identity
    }

    /// Where nodes stood when the last run of this plan ended.
    pub fn standing(&self, cache: &Cache) -> Option<Standing> {
        let database = History::mark(&self.cache_folder);
        Standing::read(&self.standing, self.plan.identity, &self.out, cache, database)
    }

    /// Remembers where nodes stand.
    pub fn stand(&self, standing: &Standing) {
        if let Err(e) = standing.write(&self.standing) {
            tracing::debug!("the incremental state cannot be written: {e}");
        }
    }

    /// Keeps the plan for the next time, unless it was kept already. The cache must be there.
    pub fn keep(&self) {
        if !self.new {
            return;
        }
        let kept = Kept::write(&self.kept, &self.manifest, &self.premises, &self.plan);
        // Without it the next run takes longer, and nothing else.
        if let Err(e) = kept {
            tracing::debug!("the plan cannot be kept: {e}");
        }
    }

    pub fn cache(&self) -> Result<Cache> {
        Cache::open(&self.cache_folder, &absolute(&self.manifest.path))
    }

    /// The index of a node that must exist. A stage with one node is as good as the node.
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

    /// What a run of these targets reads: for looking ahead, perhaps several times.
    pub fn foresight<'a>(&'a self, cache: &'a Cache, targets: &[String]) -> Result<Foresight<'a>> {
        let targets = self.plan.named(targets)?;
        let needed = self.plan.needed(&targets);
        let files = Files::of(&self.plan, &needed, cache, &self.manifest, &|_| Before::Unknown)?;
        // What was hashed now need not be hashed by the run that follows. A cache that may only be read stays
        // as it is.
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

/// All that is read, as it is now.
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

/// The cache folder, as far as it can be told from the text of a manifest without reading it all.
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
