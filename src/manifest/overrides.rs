//! `--set a.b=c`.
//!
//! A name without a dot is a variable (`--set data=/photos` sets `vars.data`); `vars.x`, `pipeline.x` and
//! `stage.x.y` are taken as written; any other `x.y` is the parameter `y` of the stage `x`.

use super::value::{Data, Entry, Table, Value, parse};
use crate::problem::{Place, Problem, Sources};

/// Puts the values in place; `text` is the manifest's.
pub(super) fn apply(
    root: &mut Table,
    text: &str,
    sets: &[String],
    sources: &mut Sources,
    wrong: &mut Vec<Problem>,
) {
    let uses = |name: &str| {
        let used = format!("${{vars.{name}}}");
        text.contains(&used) || sets.iter().any(|s| s.contains(&used))
    };
    for set in sets {
        let text = format!("--set {set}");
        let source = sources.add("command line", text.clone());
        let whole = Place { source, range: 6..text.len() };
        let Some((path, value)) = set.split_once('=') else {
            wrong.push(Problem::new("`--set` wants NAME=VALUE", &whole, "no `=` here"));
            continue;
        };
        let path = path.trim();
        let mut parts: Vec<&str> = path.split('.').map(str::trim).collect();
        if parts.iter().any(|p| p.is_empty()) {
            wrong.push(Problem::new("`--set` wants NAME=VALUE", &whole, "a part of the name is empty"));
            continue;
        }
        match (parts.len(), parts[0]) {
            (1, _) => parts.insert(0, "vars"),
            (_, "vars" | "pipeline" | "stage" | "workers") => {}
            _ => parts.insert(0, "stage"),
        }
        if parts[0] == "stage" && parts.len() == 2 {
            wrong.push(
                Problem::new("`--set` cannot replace a whole stage", &whole, "names a stage")
                    .help(format!("name one of its keys: `--set {}.KEY=VALUE`", parts[1])),
            );
            continue;
        }
        // Only an existing stage can be set: a typing error in its name must not make a new stage.
        if parts[0] == "stage" && !names(root, "stage").contains(&parts[1]) {
            let help = crate::problem::nearest_or_all(parts[1], names(root, "stage"), "stages are");
            wrong.push(
                Problem::new(format!("there is no stage `{}`", parts[1]), &whole, "named here")
                    .maybe_help(help),
            );
            continue;
        }
        // A variable that nothing declares and nothing uses is a typing error, too.
        if parts[0] == "vars" && !names(root, "vars").contains(&parts[1]) && !uses(parts[1]) {
            let help = crate::problem::nearest_or_all(parts[1], names(root, "vars"), "variables are");
            wrong.push(
                Problem::new(format!("there is no variable `{}`", parts[1]), &whole, "named here")
                    .maybe_help(help),
            );
            continue;
        }
        let value = Value { place: whole.clone(), data: read(value.trim(), source) };
        put(root, &parts, value, &whole, wrong);
    }
}

/// The keys of `[vars]` or `[stage]`.
fn names<'a>(root: &'a Table, table: &str) -> Vec<&'a str> {
    match root.get(table).map(|value| &value.data) {
        Some(Data::Table(table)) => table.keys().collect(),
        _ => vec![],
    }
}

/// A TOML value if it is one, else the text itself.
fn read(text: &str, source: usize) -> Data {
    let as_text = || Data::Text(text.to_owned());
    match parse(&format!("value = {text}"), source) {
        Ok(mut table) if table.entries.len() == 1 => {
            table.take("value").map_or_else(as_text, |e| e.value.data)
        }
        _ => as_text(),
    }
}

fn put(table: &mut Table, parts: &[&str], value: Value, place: &Place, wrong: &mut Vec<Problem>) {
    let Some((first, rest)) = parts.split_first() else { return };
    let index = match table.entries.iter().position(|e| e.key == *first) {
        Some(index) => index,
        None => {
            let empty = Value { place: place.clone(), data: Data::Table(Table::default()) };
            table.entries.push(Entry { key: (*first).to_owned(), place: place.clone(), value: empty });
            table.entries.len() - 1
        }
    };
    let entry = &mut table.entries[index];
    if rest.is_empty() {
        entry.value = value;
        return;
    }
    match &mut entry.value.data {
        Data::Table(inner) => put(inner, rest, value, place, wrong),
        _ => {
            let label = format!("`{first}` is {}", entry.value.type_name());
            wrong.push(Problem::new(format!("`{first}` has nothing below it to set"), place, label));
        }
    }
}
