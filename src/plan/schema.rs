//! Checks a stage's parameters against the JSON Schema of its kind.
//!
//! Only the part of JSON Schema that parameter structs need is supported: types, enums, bounds, defaults, lists,
//! tables, alternatives, and `x-when`.

use serde_json::{Map, Value as Json};

use crate::manifest::{Data, Place, Problem, Table, Value, nearest_or_all};

/// The parameters of a stage: checked, defaults filled in, those that do not count left out.
pub(super) fn resolve(
    schema: &Json,
    given: &Table,
    stage: &Place,
    kind: &str,
    wrong: &mut Vec<Problem>,
) -> Json {
    object(schema, given, stage, &format!("kind `{kind}`"), wrong)
}

fn object(schema: &Json, given: &Table, at: &Place, owner: &str, wrong: &mut Vec<Problem>) -> Json {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&empty);
    let mut out = Map::new();
    for entry in &given.entries {
        match (properties.get(&entry.key), schema.get("additionalProperties")) {
            (Some(schema), _) | (None, Some(schema @ Json::Object(_))) => {
                if let Some(value) = check(schema, &entry.value, &entry.key, wrong) {
                    out.insert(entry.key.clone(), value);
                }
            }
            (None, _) => {
                let help = nearest_or_all(
                    &entry.key,
                    properties.keys().map(String::as_str),
                    &format!("{owner} has"),
                )
                .unwrap_or_else(|| format!("{owner} has no parameters"));
                let problem = Problem::new(
                    format!("{owner} has no parameter `{}`", entry.key),
                    &entry.place,
                    "not known here",
                );
                wrong.push(problem.help(help));
            }
        }
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    for (name, property) in properties {
        if given.get(name).is_some() {
            continue;
        }
        if let Some(default) = property.get("default") {
            out.insert(name.clone(), complete(property, default));
        } else if required.contains(&name.as_str()) {
            let about = property.get("description").and_then(Json::as_str).unwrap_or_default();
            let problem =
                Problem::new(format!("the parameter `{name}` is missing"), at, format!("{owner} needs it"));
            wrong.push(problem.help(format!("add `{name} = ...`: {}", summary(about))));
        }
    }
    out.retain(|name, _| true_or_counts(properties.get(name)));
    let counts: Vec<String> =
        out.keys().filter(|name| counts(properties.get(*name), &out)).cloned().collect();
    out.retain(|name, _| counts.contains(name));
    Json::Object(out)
}

/// A property that is not in the schema was checked against `additionalProperties`.
fn true_or_counts(property: Option<&Json>) -> bool {
    property.is_none_or(|p| !p.is_boolean() || p == &Json::Bool(true))
}

/// Whether a property's `x-when` holds.
fn counts(property: Option<&Json>, all: &Map<String, Json>) -> bool {
    let Some(when) = property.and_then(|p| p.get("x-when")).and_then(Json::as_object) else { return true };
    when.iter().all(|(other, values)| {
        let values = values.as_array().map_or(&[][..], Vec::as_slice);
        all.get(other).is_some_and(|value| values.contains(value))
    })
}

/// A default from the schema, with the defaults of what lies below it.
fn complete(schema: &Json, default: &Json) -> Json {
    match (schema.get("properties").and_then(Json::as_object), default) {
        (Some(properties), Json::Object(given)) => {
            let mut out = Map::new();
            for (name, property) in properties {
                if let Some(value) = given.get(name).or_else(|| property.get("default")) {
                    out.insert(name.clone(), complete(property, value));
                }
            }
            let keep: Vec<String> =
                out.keys().filter(|n| counts(properties.get(*n), &out)).cloned().collect();
            out.retain(|name, _| keep.contains(name));
            Json::Object(out)
        }
        _ if is_type(schema, "number") && !is_type(schema, "integer") => {
            default.as_f64().map_or_else(|| default.clone(), Json::from)
        }
        _ => default.clone(),
    }
}

/// Checks one value against its schema; `None` if a problem was reported.
fn check(schema: &Json, value: &Value, name: &str, wrong: &mut Vec<Problem>) -> Option<Json> {
    if let Some(all) = schema.get("enum").and_then(Json::as_array) {
        return one_of(&all.iter().collect::<Vec<_>>(), value, name, wrong);
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(all) = schema.get(word).and_then(Json::as_array) {
            return alternatives(all, value, name, wrong);
        }
    }
    match &value.data {
        Data::Bool(b) if is_type(schema, "boolean") => Some((*b).into()),
        Data::Int(i) if is_type(schema, "integer") => {
            bounds(schema, value, *i as f64, name, wrong).then(|| (*i).into())
        }
        Data::Int(i) if is_type(schema, "number") => {
            bounds(schema, value, *i as f64, name, wrong).then(|| (*i as f64).into())
        }
        Data::Float(f) if is_type(schema, "number") => {
            bounds(schema, value, *f, name, wrong).then(|| (*f).into())
        }
        Data::Text(t) if is_type(schema, "string") => Some(t.as_str().into()),
        Data::List(list) if is_type(schema, "array") => items(schema, list, value, name, wrong),
        Data::Table(table) if is_type(schema, "object") => {
            Some(object(schema, table, &value.place, &format!("`{name}`"), wrong))
        }
        _ => {
            let problem = Problem::new(
                format!("`{name}` must be {}", wanted(schema)),
                &value.place,
                format!("this is {}", value.type_name()),
            );
            let quoted =
                is_type(schema, "string").then(|| value.plain().map(|p| format!("write `{name} = \"{p}\"`")));
            let bare = match &value.data {
                Data::Text(t)
                    if t.parse::<f64>().is_ok()
                        && (is_type(schema, "number") || is_type(schema, "integer")) =>
                {
                    Some(format!("write `{name} = {t}`, without quotes"))
                }
                _ => None,
            };
            wrong.push(problem.maybe_help(bare.or(quoted.flatten())));
            None
        }
    }
}

fn items(schema: &Json, list: &[Value], at: &Value, name: &str, wrong: &mut Vec<Problem>) -> Option<Json> {
    let bound = |key: &str| schema.get(key).and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok());
    let (least, most) = (bound("minItems"), bound("maxItems"));
    if least.is_some_and(|n| list.len() < n) || most.is_some_and(|n| list.len() > n) {
        let want = match (least, most) {
            (Some(a), Some(b)) if a == b => format!("{a}"),
            (Some(a), None) => format!("at least {a}"),
            (None, Some(b)) => format!("at most {b}"),
            _ => format!("{} to {}", least.unwrap_or(0), most.unwrap_or(0)),
        };
        wrong.push(Problem::new(
            format!("`{name}` wants {want} values"),
            &at.place,
            format!("here are {}", list.len()),
        ));
        return None;
    }
    let any = Json::Bool(true);
    let each = schema.get("items").unwrap_or(&any);
    let out: Vec<Json> = list
        .iter()
        .filter_map(|v| if each.is_boolean() { Some(v.json()) } else { check(each, v, name, wrong) })
        .collect();
    (out.len() == list.len()).then_some(Json::Array(out))
}

fn one_of(all: &[&Json], value: &Value, name: &str, wrong: &mut Vec<Problem>) -> Option<Json> {
    let json = value.json();
    if all.contains(&&json) {
        return Some(json);
    }
    let names: Vec<&str> = all.iter().filter_map(|v| v.as_str()).collect();
    let shown = value.plain().map_or_else(|| value.type_name().to_owned(), |p| format!("`{p}`"));
    let problem =
        Problem::new(format!("{shown} is no value of `{name}`"), &value.place, "not one of its values");
    let help = nearest_or_all(
        &value.plain().unwrap_or_default(),
        names.iter().copied(),
        &format!("`{name}` is one of"),
    );
    wrong.push(problem.maybe_help(help));
    None
}

fn alternatives(all: &[Json], value: &Value, name: &str, wrong: &mut Vec<Problem>) -> Option<Json> {
    let constants: Vec<&Json> = all
        .iter()
        .flat_map(|s| match (s.get("const"), s.get("enum").and_then(Json::as_array)) {
            (Some(c), _) => vec![c],
            (None, Some(list)) => list.iter().collect(),
            _ => vec![],
        })
        .collect();
    let plain = all.iter().all(|s| s.get("const").is_some() || s.get("enum").is_some() || is_type(s, "null"));
    if plain && !constants.is_empty() {
        return one_of(&constants, value, name, wrong);
    }
    let mut first = None;
    for schema in all.iter().filter(|s| !is_type(s, "null")) {
        let mut tried = Vec::new();
        let found = match schema.get("const") {
            Some(c) => (*c == value.json()).then(|| c.clone()),
            None => check(schema, value, name, &mut tried),
        };
        match found {
            Some(json) if tried.is_empty() => return Some(json),
            _ => first = first.or(Some(tried)),
        }
    }
    let said = first.unwrap_or_default();
    if said.is_empty() {
        wrong.push(Problem::new(format!("this is no value of `{name}`"), &value.place, "here"));
    }
    wrong.extend(said);
    None
}

fn bounds(schema: &Json, value: &Value, number: f64, name: &str, wrong: &mut Vec<Problem>) -> bool {
    let get = |key: &str| schema.get(key).and_then(Json::as_f64);
    let below = get("minimum").filter(|m| number < *m).map(|m| format!("at least {m}"));
    let not_above = get("exclusiveMinimum").filter(|m| number <= *m).map(|m| format!("above {m}"));
    let above = get("maximum").filter(|m| number > *m).map(|m| format!("at most {m}"));
    let not_below = get("exclusiveMaximum").filter(|m| number >= *m).map(|m| format!("below {m}"));
    let Some(want) = below.or(not_above).or(above).or(not_below) else { return true };
    let problem = Problem::new(format!("`{name}` must be {want}"), &value.place, format!("this is {number}"));
    let about = schema.get("description").and_then(Json::as_str).map(|d| format!("{name}: {}", summary(d)));
    wrong.push(problem.maybe_help(about));
    false
}

fn is_type(schema: &Json, name: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(t)) => t == name,
        Some(Json::Array(all)) => all.iter().any(|t| t == name),
        // Without a type any value is allowed, as in JSON Schema.
        _ => schema.get("const").is_none() && schema.get("enum").is_none(),
    }
}

fn wanted(schema: &Json) -> String {
    let names = [
        ("boolean", "true or false"),
        ("integer", "a whole number"),
        ("number", "a number"),
        ("string", "a text"),
        ("array", "a list"),
        ("object", "a table"),
    ];
    let all: Vec<&str> = names.iter().filter(|(t, _)| is_type(schema, t)).map(|(_, n)| *n).collect();
    all.join(" or ")
}

/// The first paragraph, on one line.
fn summary(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// The parameters of a kind as rows of name, what it takes, default, and description.
pub fn describe_parameters(schema: &Json) -> Vec<[String; 4]> {
    let mut rows = Vec::new();
    describe(schema, "", &mut rows);
    rows
}

fn describe(schema: &Json, prefix: &str, rows: &mut Vec<[String; 4]>) {
    for (name, property) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
        let full = format!("{prefix}{name}");
        let about = property.get("description").and_then(Json::as_str).unwrap_or_default().replace('\n', " ");
        let when = property.get("x-when").and_then(Json::as_object).map(|when| {
            let all: Vec<String> = when
                .iter()
                .map(|(k, v)| {
                    let values: Vec<&str> =
                        v.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
                    format!("{k} = {}", values.join(" | "))
                })
                .collect();
            format!(" (counts with {})", all.join(", "))
        });
        let about = about + &when.unwrap_or_default();
        if property.get("properties").is_some() || property.get("type").is_some_and(|t| t == "object") {
            rows.push([full.clone(), "table".to_owned(), String::new(), about]);
            describe(property, &format!("{full}."), rows);
            continue;
        }
        let required = schema.get("required").and_then(Json::as_array);
        let required = required.is_some_and(|all| all.iter().any(|n| n == name));
        let default = match property.get("default") {
            Some(default) => default.to_string(),
            None if required => "required".to_owned(),
            None => "optional".to_owned(),
        };
        let constants = |key: &str| -> Vec<String> {
            let list = property.get(key).and_then(Json::as_array).into_iter().flatten();
            list.filter_map(|s| s.get("const").unwrap_or(s).as_str().map(str::to_owned)).collect()
        };
        let values = [constants("enum"), constants("oneOf"), constants("anyOf")].concat();
        let mut takes = if values.is_empty() { wanted(property) } else { values.join(" | ") };
        let bound = |key: &str| property.get(key).and_then(Json::as_f64);
        match (bound("minimum").or(bound("exclusiveMinimum")), bound("maximum").or(bound("exclusiveMaximum")))
        {
            (Some(a), Some(b)) => takes += &format!(", {a} to {b}"),
            (Some(a), None) => takes += &format!(", from {a}"),
            (None, Some(b)) => takes += &format!(", up to {b}"),
            (None, None) => {}
        }
        rows.push([full, takes, default, about]);
    }
}
