//! Which nodes a command line means.

use petgraph::visit::{Dfs, Reversed};

use super::Plan;
use super::reference;
use crate::fault::{Fault, Result};
use crate::manifest::nearest_or_all;

impl Plan {
    /// The nodes that these targets name: a stage, a node, or a stage with some of its labels.
    ///
    /// # Errors
    /// When a target names nothing.
    pub fn named(&self, targets: &[String]) -> Result<Vec<usize>> {
        let mut out = Vec::new();
        for target in targets {
            let found = match self.find(target) {
                Some(node) => vec![node],
                None => self.loosely(target),
            };
            if found.is_empty() {
                let mut names: Vec<&str> =
                    self.nodes.iter().flat_map(|n| [n.stage.as_str(), n.name.as_str()]).collect();
                names.sort_unstable();
                names.dedup();
                let fault = Fault::usage(format!("there is no stage or node `{target}`"));
                return Err(match nearest_or_all(target, names, "there are") {
                    Some(help) => fault.with_help(help),
                    None => fault,
                });
            }
            out.extend(found);
        }
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }

    fn loosely(&self, target: &str) -> Vec<usize> {
        let Some(reference) = reference::read(target) else { return vec![] };
        let fits = |i: &usize| {
            let node = &self.nodes[*i];
            node.stage == reference.stage
                && reference.labels.iter().all(|(k, v)| node.labels.iter().any(|(nk, nv)| nk == k && nv == v))
        };
        if reference.output.is_some() {
            return vec![];
        }
        (0..self.nodes.len()).filter(fits).collect()
    }

    /// For each node, whether it is one of these or read, directly or not, by one of them. All, when no target
    /// is given.
    pub fn needed(&self, targets: &[usize]) -> Vec<bool> {
        let mut needed = vec![targets.is_empty(); self.nodes.len()];
        let reversed = Reversed(&self.graph);
        for target in targets {
            let mut dfs = Dfs::new(reversed, petgraph::graph::NodeIndex::new(*target));
            while let Some(i) = dfs.next(reversed) {
                needed[i.index()] = true;
            }
        }
        needed
    }
}
