//! Expanding `matrix = { method = [...], seed = [...], include = [...], exclude = [...] }`.

use std::collections::BTreeMap;

use super::value::{Data, Table, Value};
use crate::paths::LONGEST_NAME;
use crate::problem::{Place, Problem, nearest_or_all};

/// One combination.
#[derive(Debug, Clone, Default)]
pub(super) struct Combo {
    /// The labels, in the order of the axes.
    pub labels: Vec<(String, String)>,
    /// All that `${matrix.x}` can name: the labels, and what `include` added.
    pub values: BTreeMap<String, Value>,
}

/// More nodes than this from one stage is taken for a mistake.
const MOST: usize = 1_000_000;

pub(super) fn expand(matrix: &Value, wrong: &mut Vec<Problem>) -> Vec<Combo> {
    let Data::Table(table) = &matrix.data else {
        let label = format!("this is {}", matrix.type_name());
        wrong.push(
            Problem::new("`matrix` must be a table of lists", &matrix.place, label)
                .help("write `matrix = { method = [\"softmax\", \"am-softmax\"] }`"),
        );
        return vec![];
    };
    let mut axes: Vec<(&str, &[Value])> = Vec::new();
    let (mut include, mut exclude): (Vec<&Value>, Vec<&Value>) = (vec![], vec![]);
    for entry in &table.entries {
        let Data::List(list) = &entry.value.data else {
            let problem = Problem::new(
                format!("the axis `{}` must be a list", entry.key),
                &entry.value.place,
                format!("this is {}", entry.value.type_name()),
            );
            let plain = entry.value.plain().unwrap_or_default();
            wrong.push(problem.help(format!("write `{} = [{plain}]` for a single value", entry.key)));
            continue;
        };
        match entry.key.as_str() {
            "include" => include = list.iter().collect(),
            "exclude" => exclude = list.iter().collect(),
            key => {
                check_axis(key, &entry.place, wrong);
                axis(key, list, &entry.value, wrong);
                axes.push((key, list));
            }
        }
    }
    let size: usize = axes.iter().map(|(_, l)| l.len()).fold(1, usize::saturating_mul);
    if size > MOST {
        wrong.push(Problem::new(format!("this matrix has {size} combinations"), &matrix.place, "here"));
        return vec![];
    }
    let mut combos = vec![Combo::default()];
    for (key, list) in &axes {
        combos = combos
            .into_iter()
            .flat_map(|combo| {
                list.iter().map(move |value| {
                    let mut combo = combo.clone();
                    combo.labels.push(((*key).to_owned(), value.plain().unwrap_or_default()));
                    combo.values.insert((*key).to_owned(), value.clone());
                    combo
                })
            })
            .collect();
    }
    if axes.is_empty() {
        combos.clear();
    }
    let names: Vec<&str> = axes.iter().map(|(key, _)| *key).collect();
    for rule in exclude {
        let Some(rule) = rule_table(rule, "exclude", wrong) else { continue };
        for entry in &rule.entries {
            if !names.contains(&entry.key.as_str()) {
                let problem = Problem::new(
                    format!("`exclude` names `{}`, which is no axis", entry.key),
                    &entry.place,
                    "here",
                );
                wrong.push(problem.maybe_help(nearest_or_all(
                    &entry.key,
                    names.iter().copied(),
                    "the axes are",
                )));
            }
        }
        combos.retain(|combo| !matches(combo, rule, &names));
    }
    for rule in include {
        if let Some(table) = rule_table(rule, "include", wrong) {
            add(&mut combos, table, &names, rule, wrong);
        }
    }
    if combos.is_empty() && wrong.is_empty() {
        wrong.push(Problem::new("this matrix has no combination", &matrix.place, "here"));
    }
    combos
}

fn axis(key: &str, list: &[Value], at: &Value, wrong: &mut Vec<Problem>) {
    if list.is_empty() {
        wrong.push(Problem::new(format!("the axis `{key}` is empty"), &at.place, "here"));
    }
    let mut seen: Vec<String> = Vec::new();
    for value in list {
        let Some(plain) = value.plain() else {
            let problem = Problem::new(
                format!("a value of the axis `{key}` is {}", value.type_name()),
                &value.place,
                "here",
            );
            wrong.push(problem.help("values are texts, numbers, or true and false"));
            continue;
        };
        check_label(key, &plain, &value.place, wrong);
        if seen.contains(&plain) {
            wrong.push(Problem::new(
                format!("the axis `{key}` has `{plain}` twice"),
                &value.place,
                "again here",
            ));
        }
        seen.push(plain);
    }
}

/// A label is a part of node names: `train[method=softmax]`.
fn check_label(key: &str, plain: &str, at: &Place, wrong: &mut Vec<Problem>) {
    if plain.is_empty() || plain.contains(['[', ']', ',', '=']) || plain.contains(char::is_control) {
        let problem =
            Problem::new(format!("`{}` cannot be a label of `{key}`", plain.escape_debug()), at, "here");
        wrong.push(problem.help("a label is not empty and has none of `[ ] , =`, and no line end"));
    }
    // `key=label` is a part of the name of the node's folder.
    if key.len() + 1 + plain.len() > LONGEST_NAME {
        let said = format!("a label of `{key}` has {} bytes: too many for the name of a folder", plain.len());
        wrong.push(
            Problem::new(said, at, "here")
                .help("give it a short label, and the long value beside it with `matrix.include`"),
        );
    }
}

/// An axis is a part of node names, too.
fn check_axis(key: &str, at: &Place, wrong: &mut Vec<Problem>) {
    if key.is_empty() || !key.chars().all(|c| c.is_alphanumeric() || "-_".contains(c)) {
        let problem = Problem::new(format!("`{key}` cannot be the name of an axis"), at, "here");
        wrong.push(problem.help("use letters, digits, `-` and `_`"));
    }
}

fn rule_table<'a>(rule: &'a Value, name: &str, wrong: &mut Vec<Problem>) -> Option<&'a Table> {
    match &rule.data {
        Data::Table(table) => Some(table),
        _ => {
            let label = format!("this is {}", rule.type_name());
            wrong.push(Problem::new(format!("each entry of `{name}` must be a table"), &rule.place, label));
            None
        }
    }
}

/// Whether every axis that the rule names has the rule's value.
fn matches(combo: &Combo, rule: &Table, axes: &[&str]) -> bool {
    rule.entries.iter().filter(|e| axes.contains(&e.key.as_str())).all(|e| {
        let label = combo.labels.iter().find(|(k, _)| *k == e.key).map(|(_, v)| v.as_str());
        label.is_some() && label.map(str::to_owned) == e.value.plain()
    })
}

/// An `include` entry adds its further keys to the combinations that it matches. If it matches none and names every axis, it is a
/// combination of its own. Without axes every entry is a combination, and all its keys are labels.
fn add(combos: &mut Vec<Combo>, rule: &Table, axes: &[&str], at: &Value, wrong: &mut Vec<Problem>) {
    let is_label = |key: &str| axes.is_empty() || axes.contains(&key);
    let extra: Vec<_> = rule.entries.iter().filter(|e| !is_label(&e.key)).collect();
    let mut hit = false;
    for combo in combos.iter_mut().filter(|c| !axes.is_empty() && matches(c, rule, axes)) {
        hit = true;
        combo.values.extend(extra.iter().map(|e| (e.key.clone(), e.value.clone())));
    }
    if hit && !extra.is_empty() {
        return;
    }
    let missing: Vec<&str> = axes.iter().copied().filter(|a| rule.get(a).is_none()).collect();
    if !missing.is_empty() {
        let list = missing.join("`, `");
        wrong.push(
            Problem::new("this `include` matches no combination", &at.place, "here")
                .help(format!("to add a combination, give it `{list}` too")),
        );
        return;
    }
    let mut labels: Vec<(String, String)> = Vec::new();
    for entry in rule.entries.iter().filter(|e| is_label(&e.key)) {
        let plain = entry.value.plain().unwrap_or_default();
        check_axis(&entry.key, &entry.place, wrong);
        check_label(&entry.key, &plain, &entry.value.place, wrong);
        labels.push((entry.key.clone(), plain));
    }
    // The same order of labels as in every other node.
    labels.sort_by_key(|(k, _)| axes.iter().position(|a| a == k).unwrap_or(usize::MAX));
    if combos.iter().any(|c| c.labels == labels) {
        return;
    }
    let values = rule.entries.iter().map(|e| (e.key.clone(), e.value.clone())).collect();
    combos.push(Combo { labels, values });
}
