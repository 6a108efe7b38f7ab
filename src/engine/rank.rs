//! The order of nodes that wait.

use std::collections::HashMap;

use crate::cache::Cache;
use crate::plan::Plan;

/// A node by its rank: the longest way to the end first, then the order of the file.
pub(super) struct Ranked(pub f64, pub usize);

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Ranked {}
impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(other.1.cmp(&self.1))
    }
}

/// The longest time from each node to the end, by what nodes took last. What is not known is looked up by name.
pub(super) fn ranks(plan: &Plan, took: &[Option<f64>], cache: &Cache) -> Vec<f64> {
    let mut named: HashMap<String, f64> = HashMap::new();
    if took.iter().any(Option::is_none) {
        let keys = cache.node_keys();
        for record in keys.iter().take(4 * plan.nodes.len()).filter_map(|k| cache.record(k)) {
            named.entry(record.made.node).or_insert(record.made.seconds);
        }
    }
    let mut ranks = vec![0.0; plan.nodes.len()];
    for i in plan.order.iter().rev() {
        let after = plan.readers(*i).map(|r| ranks[r]).fold(0.0, f64::max);
        let seconds = took[*i].or_else(|| named.get(&plan.nodes[*i].name).copied()).unwrap_or(1.0);
        ranks[*i] = after + seconds.max(0.001);
    }
    ranks
}
