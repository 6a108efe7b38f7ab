//! The folders in which the runner itself writes, and which files of a user may lie there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Node, Output};
use crate::cache::{PARTS, PLACING};
use crate::paths::{overlap, plain};

/// The folders that the runner writes in, in a form in which they can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grounds {
    /// The folder of the manifest.
    root: PathBuf,
    /// The output folder; and the one that the manifest names, if the command line names another.
    outs: Vec<PathBuf>,
    /// The cache folder.
    cache: PathBuf,
    /// The same folders, as named: a link may be put in their place later.
    named: (PathBuf, Vec<PathBuf>, PathBuf),
    /// If the project itself lies in an output folder: the stages, each of which has a folder there.
    stages: BTreeSet<String>,
}

/// What a path of the user's is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Is {
    /// The user's.
    Own,
    /// An output of a node.
    Output {
        /// The node's index.
        node: usize,
        /// The output's.
        output: usize,
    },
    /// It lies in a place of the runner: in which, and what to do.
    Inside(&'static str, String),
    /// It is a folder that contains a place of the runner: which, and what to do.
    Around(&'static str, String),
}

impl Grounds {
    /// The folders of a project: that of its manifest, the output folders and the cache folder.
    pub fn new(root: &Path, outs: &[PathBuf], cache: &Path, stages: BTreeSet<String>) -> Self {
        let named = outs.to_vec();
        let mut outs: Vec<PathBuf> = outs.iter().map(|out| plain(out)).collect();
        outs.dedup();
        let named = (root.to_owned(), named, cache.to_owned());
        let mut grounds = Self { root: plain(root), outs, cache: plain(cache), named, stages };
        if !grounds.outs.iter().any(|out| grounds.holds_the_project(out)) {
            grounds.stages.clear();
        }
        grounds
    }

    /// The same folders, resolved again.
    pub fn again(&self) -> Self {
        let (root, outs, cache) = &self.named;
        Self::new(root, outs, cache, self.stages.clone())
    }

    /// Folders that patterns do not search.
    pub fn left_out(&self) -> Vec<PathBuf> {
        let mut all = self.cache_parts();
        for out in &self.outs {
            match self.holds_the_project(out) {
                true => all.extend(self.stages.iter().map(|stage| out.join(stage))),
                false => all.push(out.clone()),
            }
        }
        all
    }

    /// Whether the project itself lies in an output folder: then only the folders of stages are the runner's.
    fn holds_the_project(&self, out: &Path) -> bool {
        self.root.starts_with(out)
    }

    /// Whether the folder of a stage and the cache overlap.
    pub(super) fn cache_is_in_the_way_of(&self, stage: &str) -> bool {
        let parts = self.cache_parts();
        self.outs.iter().any(|out| parts.iter().any(|part| overlap(&out.join(stage), part)))
    }

    /// Whether the output folder lies in the cache, or is it.
    pub fn out_is_in_the_cache(&self) -> bool {
        self.out() == self.cache || self.cache_parts().iter().any(|part| self.out().starts_with(part))
    }

    /// What belongs to the cache: its whole folder; or, if the project itself lies in it, the parts of a cache.
    fn cache_parts(&self) -> Vec<PathBuf> {
        match self.root.starts_with(&self.cache) {
            true => PARTS.iter().map(|part| self.cache.join(part)).collect(),
            false => vec![self.cache.clone()],
        }
    }

    /// The output folder.
    pub(super) fn out(&self) -> &Path {
        self.outs.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// What an input path is. `placed` finds an output by its path below the output folder.
    pub(super) fn judge(
        &self,
        path: &Path,
        input: &str,
        nodes: &[Node],
        placed: &dyn Fn(&Path) -> Option<(usize, usize)>,
    ) -> Is {
        let path = plain(path);
        let elsewhere = |what: &str| {
            format!("name a folder beside it, or put {what} elsewhere: `{what}` in `[pipeline]`, or --{what}")
        };
        for out in &self.outs {
            if out.starts_with(&path) && (path != *out || self.holds_the_project(out)) {
                return Is::Around("the output folder", elsewhere("out"));
            }
            let Ok(below) = path.strip_prefix(out) else { continue };
            if let Some((node, output)) = placed(below) {
                return Is::Output { node, output };
            }
            let first = below.iter().next().and_then(|n| n.to_str());
            let is_ours = |name: &str| name == PLACING || self.stages.contains(name);
            if !self.holds_the_project(out) || first.is_some_and(is_ours) {
                let help = reference(below, input, nodes).unwrap_or_else(|| elsewhere("out"));
                return Is::Inside("the output folder, and is no output of a stage", help);
            }
        }
        if self.cache.starts_with(&path) {
            return Is::Around("the cache", elsewhere("cache"));
        }
        if self.cache_parts().iter().any(|part| path.starts_with(part)) {
            return Is::Inside("the cache", "name the output of a stage, or a file of yours".to_owned());
        }
        Is::Own
    }
}

/// How to name what lies at a path below the output folder, or the outputs that lie near.
fn reference(below: &Path, input: &str, nodes: &[Node]) -> Option<String> {
    let near = |node: &Node, output: &Output| overlap(&node.folder().join(&output.path), below);
    let all = nodes.iter().flat_map(|node| node.outputs.iter().map(move |output| (node, output)));
    let (node, output) =
        all.filter(|(node, output)| near(node, output)).min_by_key(|(n, _)| n.labels.len())?;
    let name = format!("input.{input} = \"{}.{}\"", node.name, output.name);
    let place = node.folder().join(&output.path);
    Some(match below.strip_prefix(&place) {
        Ok(rest) => format!("write `{name}`, and take `{}` in it", rest.display()),
        Err(_) => format!("write `{name}`, or a list of such references"),
    })
}
