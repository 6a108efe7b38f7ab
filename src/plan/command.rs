//! The keys of `kind = "command"`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Output, Work, places};
use crate::manifest::{Data, Draft, Problem, Table, Value, nearest_or_all};

/// Keys that every stage may have, besides `kind` and `matrix`.
const COMMON: [&str; 4] = ["input", "resources", "timeout", "retries"];
const KEYS: [&str; 4] = ["run", "output", "env", "strict"];

/// Reads what is left of a command stage's table.
pub(super) fn read(
    draft: &Draft,
    table: &Table,
    root: &Path,
    wrong: &mut Vec<Problem>,
) -> (Work, Vec<Output>) {
    let mut run = None;
    let mut env = BTreeMap::new();
    let mut outputs = Vec::new();
    let mut strict = None;
    for entry in &table.entries {
        match entry.key.as_str() {
            "run" => run = text(&entry.value, "run", wrong),
            "env" => env = environment(&entry.value, wrong),
            "output" => outputs = read_outputs(&entry.value, wrong),
            "strict" => strict = read_strict(&entry.value, root, wrong),
            key => {
                let all = KEYS.into_iter().chain(COMMON);
                let problem = Problem::new(
                    format!("kind `command` has no key `{key}`"),
                    &entry.place,
                    "not known here",
                );
                wrong.push(problem.maybe_help(nearest_or_all(key, all, "a command has")));
            }
        }
    }
    if run.is_none() && table.get("run").is_none() {
        let problem =
            Problem::new(format!("stage `{}` has nothing to run", draft.stage), &draft.place, "here");
        wrong.push(problem.help("add `run = \"wc -l < $IN_text > $OUT_count\"`"));
    }
    if outputs.is_empty() && table.get("output").is_none() {
        let problem = Problem::new(format!("stage `{}` has no output", draft.stage), &draft.place, "here");
        wrong.push(
            problem.help("add `output.NAME = \"FILE\"`: what the command writes, and later stages read"),
        );
    }
    (Work::Command { run: run.unwrap_or_default(), env, strict }, outputs)
}

/// `true`, `false`, or a list of further paths that it may read.
fn read_strict(value: &Value, root: &Path, wrong: &mut Vec<Problem>) -> Option<Vec<PathBuf>> {
    let list = match &value.data {
        Data::Bool(strict) => return strict.then(Vec::new),
        Data::List(list) => list.iter().map(|v| v.as_text().map(|t| root.join(t))).collect(),
        _ => None,
    };
    if list.is_none() {
        let label = format!("this is {}", value.type_name());
        let problem = Problem::new("`strict` must be true, false, or a list of paths", &value.place, label);
        wrong.push(
            problem.help("write `strict = true`, or `strict = [\"/opt/tool\"]` for what it may read beside"),
        );
    }
    list
}

fn read_outputs(value: &Value, wrong: &mut Vec<Problem>) -> Vec<Output> {
    let mut out: Vec<Output> = Vec::new();
    for (name, path) in texts(value, "output", wrong) {
        let place = match &value.data {
            Data::Table(t) => t.get(&name).map_or(&value.place, |v| &v.place),
            _ => &value.place,
        };
        if !variable(&name) {
            let problem = Problem::new(format!("`{name}` cannot be an output's name"), place, "here");
            wrong
                .push(problem.help(
                    "use letters, digits and `_`, 200 at the most: the command sees it as `$OUT_name`",
                ));
            continue;
        }
        if let Some((what, help)) = places::add(&mut out, &name, &path) {
            wrong.push(Problem::new(what, place, "here").help(help));
        }
    }
    out
}

/// File names are made from them.
const LONGEST_VARIABLE_NAME: usize = 200;

/// Whether a name can be part of a shell variable.
pub(super) fn variable(name: &str) -> bool {
    name.len() <= LONGEST_VARIABLE_NAME
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn text(value: &Value, name: &str, wrong: &mut Vec<Problem>) -> Option<String> {
    let text = value.as_text().map(str::to_owned);
    if text.is_none() {
        wrong.push(Problem::new(
            format!("`{name}` must be a text"),
            &value.place,
            format!("this is {}", value.type_name()),
        ));
    }
    text
}

/// The longest name and value that one variable may have (MAX_ARG_STRLEN, with some room), in bytes.
const LONGEST_VALUE: usize = 120 << 10;

fn environment(value: &Value, wrong: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let all = texts(value, "env", wrong);
    for (name, text) in &all {
        let place = match &value.data {
            Data::Table(t) => t.get(name).map_or(&value.place, |v| &v.place),
            _ => &value.place,
        };
        if name.is_empty() || name.contains('=') {
            let problem = Problem::new(format!("`{name}` cannot be a variable's name"), place, "here");
            wrong.push(problem.help("a name is not empty and has no `=` in it"));
        }
        if text.len() + name.len() > LONGEST_VALUE {
            let said =
                format!("the variable `{name}` has {} bytes, of {LONGEST_VALUE} at the most", text.len());
            let problem = Problem::new(said, place, "here");
            wrong.push(problem.help("put it into a file, and make that an input"));
        }
    }
    all
}

fn texts(value: &Value, name: &str, wrong: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let Data::Table(table) = &value.data else {
        let problem = Problem::new(
            format!("`{name}` must be a table"),
            &value.place,
            format!("this is {}", value.type_name()),
        );
        wrong.push(problem.help(format!("write `{name}.NAME = \"...\"`")));
        return BTreeMap::new();
    };
    let mut out = BTreeMap::new();
    for entry in &table.entries {
        match entry.value.plain() {
            Some(text) => {
                out.insert(entry.key.clone(), text);
            }
            None => {
                let label = format!("this is {}", entry.value.type_name());
                wrong.push(Problem::new(
                    format!("`{name}.{}` must be a text", entry.key),
                    &entry.value.place,
                    label,
                ));
            }
        }
    }
    out
}
