//! Filling in `${vars.x}`, `${env.X}` and `${matrix.x}`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::value::{Data, Entry, Table, Value};
use crate::problem::{Problem, nearest_or_all};

/// The variables of a manifest, those that refer to others filled in.
pub(super) struct Vars {
    filled: BTreeMap<String, Value>,
    environment: Environment,
}

/// What was looked up in the environment, and what was found.
#[derive(Default)]
struct Environment(RefCell<BTreeMap<String, Option<String>>>);

impl Vars {
    pub fn new(vars: &Table, wrong: &mut Vec<Problem>) -> Self {
        let environment = Environment::default();
        let filling = Filling {
            raw: vars,
            open: RefCell::default(),
            done: RefCell::default(),
            environment: &environment,
        };
        for entry in &vars.entries {
            filling.var(&entry.key, wrong);
        }
        Self { filled: filling.done.into_inner(), environment }
    }

    /// The scope outside of any matrix.
    pub fn scope(&self) -> Scope<'_> {
        Scope { vars: self, matrix: None }
    }

    /// The scope inside one node of a matrix.
    pub fn with_matrix<'a>(&'a self, values: &'a BTreeMap<String, Value>) -> Scope<'a> {
        Scope { vars: self, matrix: Some(values) }
    }

    /// The variables of the environment that were looked up, with what was found.
    pub fn into_environment(self) -> BTreeMap<String, Option<String>> {
        self.environment.0.into_inner()
    }
}

/// What can be referred to.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    vars: &'a Vars,
    matrix: Option<&'a BTreeMap<String, Value>>,
}

impl Scope<'_> {
    /// Fills in every text below a value. With `shell`, `${NAME}` without a dot is left to the shell.
    pub fn fill(&self, value: &Value, shell: bool, wrong: &mut Vec<Problem>) -> Value {
        fill(value, shell, wrong, &mut |space, name, at, wrong| self.find(space, name, at, wrong))
    }

    fn find(&self, space: &str, name: &str, at: &Value, wrong: &mut Vec<Problem>) -> Option<Value> {
        let (table, what) = match space {
            "vars" => (Some(&self.vars.filled), "variables are"),
            "matrix" => (self.matrix, "the matrix has"),
            _ => return self.vars.environment.find(name, at, wrong),
        };
        let Some(table) = table else {
            wrong.push(
                Problem::new(
                    format!("`${{matrix.{name}}}` is used in a stage without a matrix"),
                    &at.place,
                    "here",
                )
                .help(format!("add `matrix = {{ {name} = [...] }}` to the stage")),
            );
            return None;
        };
        let found = table.get(name).cloned();
        if found.is_none() {
            let help = nearest_or_all(name, table.keys().map(String::as_str), what).unwrap_or_else(|| {
                format!(
                    "add `{name} = ...` under `[vars]`, or give it on the command line: `--set {name}=VALUE`"
                )
            });
            wrong.push(
                Problem::new(format!("there is no `{space}.{name}`"), &at.place, "used here").help(help),
            );
        }
        found
    }
}

/// Variables while they are being filled in.
struct Filling<'a> {
    raw: &'a Table,
    open: RefCell<Vec<String>>,
    done: RefCell<BTreeMap<String, Value>>,
    environment: &'a Environment,
}

impl Filling<'_> {
    fn var(&self, name: &str, wrong: &mut Vec<Problem>) -> Option<Value> {
        if let Some(done) = self.done.borrow().get(name) {
            return Some(done.clone());
        }
        let raw = self.raw.get(name)?;
        if self.open.borrow().iter().any(|n| n == name) {
            let ring = self.open.borrow().join("` -> `");
            wrong.push(Problem::new(
                format!("variables refer to each other in a ring: `{ring}` -> `{name}`"),
                &raw.place,
                "here",
            ));
            return None;
        }
        self.open.borrow_mut().push(name.to_owned());
        let value = fill(raw, false, wrong, &mut |space, inner, at, wrong| match space {
            "vars" => {
                let found = self.var(inner, wrong);
                if found.is_none() && self.raw.get(inner).is_none() {
                    let others: Vec<&str> = self.raw.keys().filter(|k| *k != name).collect();
                    let help = nearest_or_all(inner, others, "variables are");
                    wrong.push(
                        Problem::new(format!("there is no `vars.{inner}`"), &at.place, "used here")
                            .maybe_help(help),
                    );
                }
                found
            }
            "env" => self.environment.find(inner, at, wrong),
            _ => {
                wrong.push(Problem::new("a variable cannot use the matrix", &at.place, "used here"));
                None
            }
        });
        self.open.borrow_mut().pop();
        self.done.borrow_mut().insert(name.to_owned(), value.clone());
        Some(value)
    }
}

impl Environment {
    /// `NAME` or `NAME:-default`.
    fn find(&self, name: &str, at: &Value, wrong: &mut Vec<Problem>) -> Option<Value> {
        let (name, default) = match name.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        let found = std::env::var(name).ok();
        self.0.borrow_mut().insert(name.to_owned(), found.clone());
        let text = found.or_else(|| default.map(str::to_owned));
        if text.is_none() {
            wrong.push(
                Problem::new(format!("the environment variable `{name}` is not set"), &at.place, "used here")
                    .help(format!("set it, or give a default: `${{env.{name}:-value}}`")),
            );
        }
        text.map(|text| Value { place: at.place.clone(), data: Data::Text(text) })
    }
}

type Find<'a> = dyn FnMut(&str, &str, &Value, &mut Vec<Problem>) -> Option<Value> + 'a;

fn fill(value: &Value, shell: bool, wrong: &mut Vec<Problem>, find: &mut Find<'_>) -> Value {
    let data = match &value.data {
        // A text that is a single reference gets the place of the value that it refers to: a mistake in it must be corrected there.
        Data::Text(text) if text.contains("${") => {
            return fill_text(text, value, shell, wrong, find).unwrap_or_else(|| value.clone());
        }
        Data::List(list) => Data::List(list.iter().map(|v| fill(v, shell, wrong, find)).collect()),
        Data::Table(table) => Data::Table(Table {
            entries: table
                .entries
                .iter()
                .map(|e| Entry {
                    key: e.key.clone(),
                    place: e.place.clone(),
                    value: fill(&e.value, shell, wrong, find),
                })
                .collect(),
        }),
        other => other.clone(),
    };
    Value { place: value.place.clone(), data }
}

fn fill_text(
    text: &str,
    at: &Value,
    shell: bool,
    wrong: &mut Vec<Problem>,
    find: &mut Find<'_>,
) -> Option<Value> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            // `$${` is an escaped `${`.
            out.push_str(&rest[..start - 1]);
            out.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        let Some(length) = rest[start..].find('}') else {
            wrong.push(
                Problem::new("`${` without `}`", &at.place, "in this text")
                    .help("write `$${` for a plain `${`"),
            );
            return None;
        };
        let inner = &rest[start + 2..start + length];
        let (space, name) = inner.split_once('.').unwrap_or(("", inner));
        if !["vars", "env", "matrix"].contains(&space) {
            if shell && !inner.contains('.') {
                out.push_str(&rest[..start + length + 1]);
                rest = &rest[start + length + 1..];
                continue;
            }
            wrong.push(
                Problem::new(format!("`${{{inner}}}` cannot be filled in"), &at.place, "in this text")
                    .help("there are `${vars.NAME}`, `${env.NAME}` and `${matrix.NAME}`; write `$${` for a plain `${`"),
            );
            return None;
        }
        let value = find(space, name, at, wrong)?;
        // A text that is nothing but one reference keeps the type of what it refers to.
        if start == 0 && length + 1 == text.len() {
            return Some(value);
        }
        let Some(plain) = value.plain() else {
            wrong.push(Problem::new(
                format!("`${{{inner}}}` is {}, which cannot be part of a text", value.type_name()),
                &at.place,
                "in this text",
            ));
            return None;
        };
        out.push_str(&rest[..start]);
        out.push_str(&plain);
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    Some(Value { place: at.place.clone(), data: Data::Text(out) })
}
