//! The paper's names and orders.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use lfs_faces::TestSet;

use crate::input::Found;

/// Methods: the name in a manifest and the paper's name.
const METHODS: [(&str, &str); 8] = [
    ("softmax", "Softmax"),
    ("a-softmax", "A-Softmax"),
    ("v-softmax", "V-Softmax"),
    ("arc-softmax", "Arc-Softmax"),
    ("am-softmax", "AM-Softmax"),
    ("am-lfs", "AM-LFS"),
    ("random-softmax", "Random-Softmax"),
    ("search-softmax", "Search-Softmax"),
];

/// Labels that never make a row: they select the column, or are averaged over.
const NOT_ROWS: [&str; 5] = ["set", "seed", "world", "split", "definition"];

/// The sort key of a column: by set, frontal-profile first, then in the order of its file.
pub fn column(set: &str, name: &str, place: usize) -> (usize, String, bool, usize) {
    let at = TestSet::ALL.iter().position(|s| s.name() == set).unwrap_or(TestSet::ALL.len());
    (at, set.to_owned(), name.starts_with("CFP-FF"), place)
}

/// The labels that make a row: `method`, and all others except those that belong to the columns, follow from
/// the test set, or are the same everywhere.
pub fn row_labels(found: &[Found]) -> Vec<String> {
    let all: BTreeSet<&str> = found.iter().flat_map(|f| f.labels.keys()).map(String::as_str).collect();
    let makes_rows = |label: &str| {
        if label == "method" {
            return true;
        }
        let mut by_set: BTreeMap<&str, BTreeSet<Option<&String>>> = BTreeMap::new();
        for f in found {
            by_set.entry(&f.metrics.set).or_default().insert(f.labels.get(label));
        }
        !NOT_ROWS.contains(&label) && by_set.values().any(|values| values.len() > 1)
    };
    all.into_iter().filter(|l| makes_rows(l)).map(str::to_owned).collect()
}

/// The name of a row: the paper's name of the method, then the other labels.
pub fn row_name(labels: &BTreeMap<String, String>) -> String {
    let mut parts = Vec::new();
    if let Some(method) = labels.get("method") {
        let known = METHODS.iter().find(|m| m.0 == method);
        parts.push(known.map_or_else(|| method.clone(), |m| m.1.to_owned()));
    }
    parts.extend(labels.iter().filter(|l| l.0 != "method").map(|(k, v)| format!("{k} = {v}")));
    if parts.is_empty() { "result".to_owned() } else { parts.join(", ") }
}

/// The order of rows: methods as in the paper, others after them by name; numbers by absolute value.
pub fn rows(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Ordering {
    let method = |labels: &BTreeMap<String, String>| {
        let name = labels.get("method").cloned().unwrap_or_default();
        (METHODS.iter().position(|m| m.0 == name).unwrap_or(METHODS.len()), name)
    };
    // Numbers come before text, so that this is an order whatever the labels are.
    let key = |text: &String| match text.parse::<f64>() {
        Ok(number) => (0, number.abs(), text.clone()),
        Err(_) => (1, 0.0, text.clone()),
    };
    let compare = |x: &String, y: &String| {
        let (x, y) = (key(x), key(y));
        x.0.cmp(&y.0).then(x.1.total_cmp(&y.1)).then_with(|| x.2.cmp(&y.2))
    };
    let others = || a.iter().zip(b).map(|((_, x), (_, y))| compare(x, y));
    method(a).cmp(&method(b)).then_with(|| others().find(|o| o.is_ne()).unwrap_or(Ordering::Equal))
}
