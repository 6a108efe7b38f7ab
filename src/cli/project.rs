//! A manifest with all that belongs to it: what every command begins with.

use std::path::PathBuf;

use super::args::Common;
use crate::cache::Cache;
use crate::engine::{Files, Forecast, forecast};
use crate::fault::{Fault, Result};
use crate::manifest::{Manifest, nearest};
use crate::plan::{Plan, build};
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
}

impl Project {
    pub fn open(common: &Common) -> Result<Self> {
        let manifest = Manifest::load(&common.file, &common.sets)?;
        let cache_folder = cache_folder(common, Some(&manifest));
        let out = match &common.out {
            Some(out) => std::path::absolute(out).unwrap_or_else(|_| out.clone()),
            None => manifest.root.join(manifest.settings.out.as_deref().unwrap_or("out")),
        };
        let workers = Workers::of(&manifest, &cache_folder)?;
        let plan = build(&manifest, &workers.kinds)?;
        Ok(Self { manifest, plan, workers, cache_folder, out })
    }

    pub fn cache(&self) -> Result<Cache> {
        let path = std::path::absolute(&self.manifest.path).unwrap_or_else(|_| self.manifest.path.clone());
        Cache::open(&self.cache_folder, &path)
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
        let targets = self.plan.named(targets)?;
        let needed = self.plan.needed(&targets);
        let files = Files::of(&self.plan, &needed, cache, &self.manifest)?;
        let out = forecast(&self.plan, &needed, cache, &files)?;
        // What was hashed now need not be hashed by the run that follows. A cache that may only be read stays
        // as it is.
        if let Err(e) = cache.flush_memo() {
            tracing::debug!("the memo cannot be written: {e}");
        }
        Ok(out)
    }
}

/// The cache folder: `--cache`, the manifest's, or `cache` beside the manifest.
pub(super) fn cache_folder(common: &Common, manifest: Option<&Manifest>) -> PathBuf {
    match (&common.cache, manifest) {
        (Some(cache), _) => std::path::absolute(cache).unwrap_or_else(|_| cache.clone()),
        (None, Some(m)) => m.root.join(m.settings.cache.as_deref().unwrap_or("cache")),
        (None, None) => PathBuf::from("cache"),
    }
}
