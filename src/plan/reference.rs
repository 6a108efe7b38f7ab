//! Reading `stage`, `stage.output` and `stage[label=value].output`.

use std::collections::HashMap;

use super::Output;
use crate::manifest::{Draft, Place, Problem, nearest_or_all, node_name};

/// A reference, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    pub stage: &'a str,
    pub labels: Vec<(&'a str, &'a str)>,
    pub output: Option<&'a str>,
}

/// Takes a reference apart; `None` when it does not have the form of one.
pub(super) fn read(text: &str) -> Option<Reference<'_>> {
    let (head, output) = match text.rfind(']') {
        Some(end) => {
            let (head, tail) = text.split_at(end + 1);
            match tail.strip_prefix('.') {
                Some(output) => (head, Some(output)),
                None if tail.is_empty() => (head, None),
                None => return None,
            }
        }
        None => match text.split_once('.') {
            Some((head, output)) => (head, Some(output)),
            None => (text, None),
        },
    };
    let (stage, labels) = match head.split_once('[') {
        None => (head, vec![]),
        Some((stage, labels)) => {
            let inner = labels.strip_suffix(']')?;
            let labels: Option<Vec<_>> = inner.split(',').map(|l| l.trim().split_once('=')).collect();
            (stage, labels?)
        }
    };
    let word = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    (word(stage) && output.is_none_or(word)).then_some(Reference { stage, labels, output })
}

/// The drafts of each stage.
pub(super) type Stages<'a> = HashMap<&'a str, Vec<usize>>;

/// The nodes that a reference means.
pub(super) fn nodes(
    text: &str,
    place: &Place,
    stages: &Stages<'_>,
    drafts: &[Draft],
    wrong: &mut Vec<Problem>,
) -> Option<(Vec<usize>, Option<String>)> {
    let Some(reference) = read(text) else {
        wrong.push(
            Problem::new(format!("`{text}` is no reference to a stage"), place, "here").help(
                "write `stage`, `stage.output` or `stage[label=value].output`; for a file write `{ path = \"...\" }`",
            ),
        );
        return None;
    };
    let Some(all) = stages.get(reference.stage) else {
        let names = stages.keys().copied().collect::<std::collections::BTreeSet<_>>();
        let help = nearest_or_all(reference.stage, names.iter().copied(), "stages are");
        wrong.push(
            Problem::new(format!("there is no stage `{}`", reference.stage), place, "named here")
                .maybe_help(help),
        );
        return None;
    };
    let axes: Vec<&str> = drafts[all[0]].labels.iter().map(|(k, _)| k.as_str()).collect();
    for (key, _) in &reference.labels {
        if !axes.contains(key) {
            let help = if axes.is_empty() {
                Some(format!("`{}` has no matrix: leave the brackets away", reference.stage))
            } else {
                nearest_or_all(key, axes.iter().copied(), "its labels are")
            };
            let problem = Problem::new(
                format!("stage `{}` has no label `{key}`", reference.stage),
                place,
                "named here",
            );
            wrong.push(problem.maybe_help(help));
            return None;
        }
    }
    let fits = |i: &usize| {
        reference.labels.iter().all(|(k, v)| drafts[*i].labels.iter().any(|(dk, dv)| dk == k && dv == v))
    };
    let found: Vec<usize> = all.iter().copied().filter(fits).collect();
    if found.is_empty() {
        let asked: Vec<(String, String)> =
            reference.labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let asked = node_name(reference.stage, &asked);
        let names: Vec<String> = all.iter().map(|i| drafts[*i].name()).collect();
        let help = nearest_or_all(&asked, names.iter().map(String::as_str), "its nodes are");
        wrong.push(Problem::new(format!("there is no node `{asked}`"), place, "named here").maybe_help(help));
        return None;
    }
    Some((found, reference.output.map(str::to_owned)))
}

/// Which output of a node an input means.
pub(super) fn output(
    asked: Option<&str>,
    input: &str,
    stage: &str,
    outputs: &[Output],
    place: &Place,
    wrong: &mut Vec<Problem>,
) -> Option<usize> {
    let names = || outputs.iter().map(|o| o.name.as_str());
    match asked {
        Some(asked) => {
            let found = outputs.iter().position(|o| o.name == asked);
            if found.is_none() {
                let help = nearest_or_all(asked, names(), "its outputs are");
                wrong.push(
                    Problem::new(format!("stage `{stage}` has no output `{asked}`"), place, "named here")
                        .maybe_help(help),
                );
            }
            found
        }
        None if outputs.len() == 1 => Some(0),
        // `input.dataset = "align"` means `align.dataset` where there is one.
        None => {
            let found = outputs.iter().position(|o| o.name == input);
            if found.is_none() {
                let all: Vec<String> = names().map(|n| format!("`{stage}.{n}`")).collect();
                let problem = Problem::new(
                    format!("stage `{stage}` has several outputs"),
                    place,
                    "which one is meant?",
                );
                wrong.push(problem.help(format!("write {}", all.join(" or "))));
            }
            found
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let whole = read("train[method=softmax,seed=0].model").unwrap();
        assert_eq!(whole.stage, "train");
        assert_eq!(whole.labels, [("method", "softmax"), ("seed", "0")]);
        assert_eq!(whole.output, Some("model"));
        assert_eq!(read("a"), Some(Reference { stage: "a", labels: vec![], output: None }));
        assert_eq!(read("a.b").unwrap().output, Some("b"));
        // A label may hold a dot.
        assert_eq!(read("a[m=0.35]").unwrap().labels, [("m", "0.35")]);
        for bad in ["", "a[", "a[b]", "a[b=c]d", "a b", "a.b c", "../x", "a["] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
