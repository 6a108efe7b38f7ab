//! Checks of the whole table of kinds: a new kind is tested automatically.

#![allow(clippy::unwrap_used, clippy::panic)] // test helpers fail the test

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use lfs_stage::{Description, KindInfo, PROTOCOL, Shape, Stage};
use serde_json::{Map, Value, json};

/// Calls a function with the type of each kind.
macro_rules! for_each_kind {
    ($check:ident) => {
        $check::<lfs_synthesize::Synthesize>();
        $check::<lfs_fetch::Fetch>();
        $check::<lfs_acquire::Acquire>();
        $check::<lfs_describe::Describe>();
        $check::<lfs_clean::Clean>();
        $check::<lfs_noise::Noise>();
        $check::<lfs_overlap::Overlap>();
        $check::<lfs_detect::Detect>();
        $check::<lfs_align::Align>();
        $check::<lfs_sheet::Sheet>();
        $check::<lfs_train::Train>();
        $check::<lfs_embed::Embed>();
        $check::<lfs_embeddings::Embeddings>();
        $check::<lfs_evaluate::Evaluate>();
        $check::<lfs_export::Export>();
        $check::<lfs_publish::Publish>();
        $check::<lfs_tabulate::Tabulate>();
    };
}

fn describe() -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_lfs-stages")).arg("describe").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn kinds() -> Vec<KindInfo> {
    serde_json::from_str::<Description>(&describe()).unwrap().kinds
}

/// Every property of a schema and of its nested tables, with its path and its own schema.
fn properties(schema: &Value, path: &str, out: &mut Vec<(String, Value)>) {
    match schema {
        Value::Object(map) => {
            for (name, property) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let path = format!("{path}.{name}");
                out.push((path.clone(), property.clone()));
                properties(property, &path, out);
            }
            let inner = map.iter().filter(|(key, _)| !["properties", "default"].contains(&key.as_str()));
            inner.for_each(|(_, inner)| properties(inner, path, out));
        }
        Value::Array(list) => list.iter().for_each(|inner| properties(inner, path, out)),
        _ => {}
    }
}

/// The values that a schema allows, if it is a choice of texts.
fn values(schema: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut todo = vec![schema];
    while let Some(schema) = todo.pop() {
        let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        all.extend(listed.chain(schema.get("const")).filter_map(Value::as_str).map(str::to_owned));
        for word in ["oneOf", "anyOf"] {
            todo.extend(schema.get(word).and_then(Value::as_array).into_iter().flatten());
        }
    }
    all
}

/// A kind, its inputs and its outputs.
type Promise = (&'static str, &'static [(&'static str, Shape)], &'static [&'static str]);

#[test]
fn the_description_is_the_same_at_every_call() {
    let first = describe();
    assert_eq!(first, describe());
    let description: Description = serde_json::from_str(&first).unwrap();
    assert_eq!(description.protocol, PROTOCOL);
    assert_eq!(description.worker, concat!("lfs-stages ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn names_are_unique_and_kebab_case() {
    let kebab = |name: &str| {
        !name.is_empty()
            && !name.starts_with('-')
            && !name.ends_with('-')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let mut seen = BTreeSet::new();
    for kind in kinds() {
        assert!(kebab(&kind.name) && seen.insert(kind.name.clone()), "kind {}", kind.name);
        assert!(!kind.summary.is_empty() && !kind.summary.contains('\n'), "summary of {}", kind.name);
        let mut paths = BTreeSet::new();
        for output in &kind.outputs {
            assert!(kebab(&output.name) && !output.about.is_empty(), "{}.{}", kind.name, output.name);
            assert!(paths.insert(output.path.clone()), "{}.{}: its path is taken", kind.name, output.name);
        }
        let inputs: BTreeSet<_> = kind.inputs.iter().map(|i| i.name.clone()).collect();
        assert_eq!(inputs.len(), kind.inputs.len(), "inputs of {}", kind.name);
        for input in &kind.inputs {
            assert!(kebab(&input.name) && !input.about.is_empty(), "{}.{}", kind.name, input.name);
        }
        let mut all = Vec::new();
        properties(&kind.parameters, &kind.name, &mut all);
        for (path, _) in all {
            assert!(path.split('.').all(kebab), "parameter {path}");
        }
    }
}

#[test]
fn every_parameter_is_described() {
    for kind in kinds() {
        let mut all = Vec::new();
        properties(&kind.parameters, &kind.name, &mut all);
        for (path, property) in all {
            let about = property.get("description").and_then(Value::as_str).unwrap_or_default();
            assert!(about.trim().len() > 5, "{path} has no description");
        }
        assert_eq!(
            kind.parameters["additionalProperties"],
            json!(false),
            "{} takes unknown parameters",
            kind.name
        );
    }
}

/// The results of a kind depend on every crate on which it is built, according to the manifests of the crates.
#[test]
fn the_code_of_a_kind_is_that_of_its_crate_and_of_all_below_it() {
    let below = |name: &str| -> Vec<String> {
        let path = format!("{}/../{name}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let (_, after) = text.split_once("\n[dependencies]\n").unwrap();
        let lines = after.lines().take_while(|line| !line.starts_with('['));
        let ours = lines.filter_map(|line| line.strip_prefix("lfs-")?.split('.').next());
        // The contract is not part of keys: it moves bytes and computes nothing.
        ours.filter(|crate_| *crate_ != "stage").map(str::to_owned).collect()
    };
    for kind in kinds() {
        let mut wanted = BTreeSet::new();
        let mut todo = vec![kind.name.clone()];
        while let Some(name) = todo.pop() {
            todo.extend(below(&name));
            wanted.insert(name);
        }
        let files = kind
            .code
            .keys()
            .chain(kind.choices.values().flat_map(|c| c.values()).flat_map(|c| c.code.keys()));
        let files: Vec<&String> = files.collect();
        let found: BTreeSet<String> = files.iter().map(|f| f.split('/').next().unwrap().to_owned()).collect();
        assert_eq!(found, wanted, "code of {}", kind.name);
        let tests = files.iter().filter(|f| f.ends_with("/tests.rs") || f.contains("/tests/"));
        assert_eq!(tests.count(), 0, "tests are no code of {}", kind.name);
    }
}

/// The C library has variants of these functions for several processors, which round differently; `libm` has one.
#[test]
fn no_result_depends_on_the_functions_of_the_c_library() {
    let functions = [
        "exp", "exp2", "exp_m1", "ln", "ln_1p", "log10", "log2", "powf", "sin", "cos", "tan", "sin_cos",
        "asin", "acos", "atan", "atan2", "tanh", "sinh", "cosh", "cbrt", "hypot",
    ];
    let stages = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = BTreeSet::new();
    for kind in kinds() {
        files.extend(kind.code.keys().cloned());
        files.extend(kind.choices.values().flat_map(|c| c.values()).flat_map(|c| c.code.keys().cloned()));
    }
    let mut wrong = Vec::new();
    // This file calls libtorch's functions of these names for GPUs.
    for file in files.iter().filter(|f| f.ends_with(".rs") && *f != "network/src/functions.rs") {
        let (crate_, rest) = file.split_once('/').unwrap();
        let text = std::fs::read_to_string(stages.join(crate_).join(rest)).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let calls = functions
            .iter()
            .filter(|f| code.contains(&format!(".{f}(")) || code.contains(&format!("::{f})")));
        wrong.extend(calls.map(|f| format!("{file}: {f}")));
    }
    assert!(files.len() > 100, "{}", files.len());
    assert!(wrong.is_empty(), "use libm's functions: {wrong:?}");
}

#[test]
fn every_choice_names_a_parameter_its_value_and_real_source_files() {
    for kind in kinds() {
        let missing = |code: &BTreeMap<String, String>| {
            let files = code.iter().filter(|(_, digest)| digest.len() != 64);
            files.map(|(file, _)| file.clone()).collect::<Vec<_>>()
        };
        assert_eq!(missing(&kind.code), Vec::<String>::new(), "code of {}", kind.name);
        assert!(
            kind.code.keys().any(|f| f.starts_with(&format!("{}/src/", kind.name))),
            "code of {}",
            kind.name
        );
        for (parameter, choices) in &kind.choices {
            let allowed = values(&kind.parameters["properties"][parameter]);
            for (value, choice) in choices {
                // Code listed under an impossible value counts for no result.
                let known = allowed.contains(value) || value == "(none)";
                assert!(known, "{}: {parameter} = {value} is no value of it", kind.name);
                assert_eq!(
                    missing(&choice.code),
                    Vec::<String>::new(),
                    "{}: {parameter} = {value}",
                    kind.name
                );
                if let Some(other) = &choice.becomes {
                    assert!(choices.contains_key(other), "{}: {value} becomes {other}", kind.name);
                }
            }
        }
    }
}

/// The source files of the crate that a file uses by `use crate::..` and `use super::..`.
fn used(file: &str) -> Vec<String> {
    let stages = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(stages.join(file)).unwrap();
    let (root, module) = file.split_once("/src/").unwrap();
    let module = module.trim_end_matches(".rs").trim_end_matches("/mod");
    let above: Vec<&str> = module.split('/').collect();
    let above = &above[..above.len() - 1];
    let mut out = Vec::new();
    for line in text.split(";\n").map(|l| l.rsplit("\n\n").next().unwrap_or(l).trim_start()) {
        let Some(path) = line.strip_prefix("use ") else { continue };
        let (parts, rest): (Vec<&str>, &str) =
            match (path.strip_prefix("super::"), path.strip_prefix("crate::")) {
                (Some(rest), _) => (above.to_vec(), rest),
                (_, Some(rest)) => (Vec::new(), rest),
                _ => continue,
            };
        // `a::{b, c::D}` stands for `a::b` and `a::c::D`.
        let (head, tails) = rest.split_once('{').unwrap_or((rest, ""));
        let tails: Vec<&str> = tails.trim_end_matches('}').split(',').collect();
        for tail in tails {
            let all: Vec<String> = parts
                .iter()
                .copied()
                .chain(head.split("::"))
                .chain(tail.trim().split("::"))
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect();
            let files = (1..=all.len()).rev().flat_map(|n| {
                let path = format!("{root}/src/{}", all[..n].join("/"));
                [format!("{path}.rs"), format!("{path}/mod.rs")]
            });
            out.extend(files.into_iter().find(|file| stages.join(file).is_file()));
        }
    }
    out
}

#[test]
fn what_the_code_of_a_choice_uses_counts_too() {
    let mut seen = 0;
    for kind in kinds() {
        let none = |choices: &BTreeMap<String, lfs_stage::Choice>| {
            choices
                .get("(none)")
                .map(|choice| choice.code.keys().cloned().collect::<Vec<_>>())
                .unwrap_or_default()
        };
        // Declarations affect a result only through what they declare, which is counted itself.
        let declarations: Vec<String> = kind.choices.values().flat_map(none).collect();
        for (parameter, choices) in &kind.choices {
            for (value, choice) in choices.iter().filter(|(value, _)| *value != "(none)") {
                for file in choice.code.keys().filter(|file| file.contains("/src/") && file.ends_with(".rs"))
                {
                    for other in used(file) {
                        let counts = kind.code.contains_key(&other) || choice.code.contains_key(&other);
                        assert!(
                            counts || declarations.contains(&other),
                            "{} with {parameter} = {value}: {file} uses {other}, which does not count",
                            kind.name
                        );
                        seen += 1;
                    }
                }
            }
        }
    }
    assert!(seen > 40, "only {seen} uses were found");
}

#[test]
fn every_condition_names_another_parameter_and_its_values() {
    for kind in kinds() {
        // A kind may have no parameters.
        let Some(all) = kind.parameters["properties"].as_object() else { continue };
        for (name, property) in all {
            for (other, wanted) in property.get("x-when").and_then(Value::as_object).into_iter().flatten() {
                let Some(schema) = all.get(other) else {
                    panic!("{}.{name}: no parameter {other}", kind.name)
                };
                let allowed = values(schema);
                for value in wanted.as_array().unwrap() {
                    let known = value.as_str().is_none_or(|v| allowed.contains(v));
                    assert!(known && other != name, "{}.{name}: {other} = {value}", kind.name);
                }
            }
        }
    }
}

/// A value that fits a schema.
fn sample(schema: &Value) -> Value {
    if let Some(text) = values(schema).first() {
        return json!(text);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(false),
        Some("string") => json!("text"),
        Some("array") => json!([]),
        _ => json!({}),
    }
}

/// The defaults of a schema are those that deserialisation fills in, and serialised parameters can be read again.
fn defaults_agree<S: Stage>() {
    let info = kinds().into_iter().find(|k| k.name == S::KIND).unwrap();
    let all = info.parameters["properties"].as_object().cloned().unwrap_or_default();
    let required = info.parameters.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let given: Map<String, Value> =
        required.iter().filter_map(Value::as_str).map(|name| (name.to_owned(), sample(&all[name]))).collect();
    let read = |given: &Map<String, Value>| -> S::Params {
        serde_json::from_value(Value::Object(given.clone()))
            .unwrap_or_else(|e| panic!("{}: {e}: {given:?}", S::KIND))
    };
    let written = serde_json::to_value(read(&given)).unwrap();
    let mut complete = given.clone();
    for (name, property) in &all {
        if given.contains_key(name) {
            continue;
        }
        match property.get("default") {
            Some(default) => {
                let filled = written.get(name).unwrap_or(&Value::Null);
                assert!(
                    same(default, filled),
                    "{}.{name}: {default} in the schema, {filled} filled in",
                    S::KIND
                );
                complete.insert(name.clone(), default.clone());
            }
            None => assert!(
                written.get(name).is_none_or(Value::is_null),
                "{}.{name} has a default that the schema does not tell",
                S::KIND
            ),
        }
    }
    assert_eq!(serde_json::to_value(read(&complete)).unwrap(), written, "{}", S::KIND);
}

/// Compares numbers by value: a schema has 2 where the value is 2.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            b.iter().all(|(k, v)| a.get(k).map_or(v.is_null(), |a| same(a, v)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => {
            a == b
                || a.as_f64()
                    .zip(b.as_f64())
                    .is_some_and(|(a, b)| (a - b).abs() <= 1e-6 * a.abs().max(b.abs()))
        }
    }
}

#[test]
fn every_default_is_in_the_schema_and_can_be_read() {
    for_each_kind!(defaults_agree);
}

/// Unknown parameters are refused, so that a misspelt one is not ignored.
fn refuses_unknown<S: Stage>() {
    let read = serde_json::from_value::<S::Params>(json!({ "no-such-parameter": 1 }));
    assert!(read.is_err(), "{} takes an unknown parameter", S::KIND);
}

#[test]
fn unknown_parameters_are_refused() {
    for_each_kind!(refuses_unknown);
}

#[test]
fn inputs_and_outputs_are_those_that_pipelines_rely_on() {
    let wanted: [Promise; 17] = [
        (
            "synthesize",
            &[],
            &[
                "train",
                "lfw",
                "sllfw",
                "calfw",
                "cplfw",
                "agedb",
                "cfp",
                "rfw",
                "megaface",
                "trillion-pairs",
                "xqlfw",
                "ijb-b",
                "ijb-c",
                "tinyface",
                "truth",
            ],
        ),
        ("fetch", &[], &["files", "report"]),
        (
            "acquire",
            &[("source", Shape::One), ("landmarks", Shape::Optional)],
            &["dataset", "lists", "report"],
        ),
        ("describe", &[("source", Shape::One)], &["description"]),
        (
            "clean",
            &[
                ("dataset", Shape::One),
                ("embeddings", Shape::Optional),
                ("decisions", Shape::Optional),
                ("truth", Shape::Optional),
            ],
            &["dataset", "report"],
        ),
        ("noise", &[("dataset", Shape::One), ("embeddings", Shape::Optional)], &["dataset", "truth"]),
        (
            "overlap",
            &[
                ("dataset", Shape::One),
                ("tests", Shape::Several),
                ("embeddings", Shape::Optional),
                ("test-embeddings", Shape::Any),
                ("names", Shape::Any),
                ("lists", Shape::Any),
                ("decisions", Shape::Optional),
            ],
            &["dataset", "matches", "tests", "moved"],
        ),
        ("detect", &[("dataset", Shape::One), ("model", Shape::One)], &["dataset", "report"]),
        ("align", &[("dataset", Shape::One)], &["dataset", "report"]),
        (
            "sheet",
            &[
                ("dataset", Shape::One),
                ("source", Shape::Optional),
                ("report", Shape::Optional),
                ("matches", Shape::Optional),
                ("tests", Shape::Any),
            ],
            &["page"],
        ),
        (
            "train",
            &[("dataset", Shape::One), ("validation", Shape::Optional), ("start", Shape::Optional)],
            &["model", "log"],
        ),
        ("embed", &[("model", Shape::One), ("dataset", Shape::One)], &["embeddings"]),
        (
            "embeddings",
            &[("source", Shape::One), ("names", Shape::Optional), ("dataset", Shape::Optional)],
            &["embeddings"],
        ),
        (
            "evaluate",
            &[
                ("embeddings", Shape::One),
                ("dataset", Shape::Optional),
                ("names", Shape::Optional),
                ("lists", Shape::One),
            ],
            &["metrics"],
        ),
        ("export", &[("model", Shape::One)], &["exported"]),
        ("publish", &[("dataset", Shape::One)], &["published"]),
        (
            "tabulate",
            &[("results", Shape::Several), ("certificates", Shape::Any)],
            &["table", "markdown", "csv", "latex", "html"],
        ),
    ];
    let kinds = kinds();
    assert_eq!(kinds.iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), wanted.map(|w| w.0));
    for (kind, (name, inputs, outputs)) in kinds.iter().zip(wanted) {
        let has: Vec<_> = kind.inputs.iter().map(|i| (i.name.as_str(), i.shape)).collect();
        assert_eq!(has, inputs, "inputs of {name}");
        let has: Vec<_> = kind.outputs.iter().map(|o| o.name.as_str()).collect();
        assert_eq!(has, outputs, "outputs of {name}");
    }
}

#[test]
fn a_job_of_an_unknown_kind_fails_and_the_worker_lives_on() {
    use std::io::{BufRead, BufReader, Write};
    let mut child = Command::new(env!("CARGO_BIN_EXE_lfs-stages"))
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let job = json!({
        "do": "run", "node": "x", "kind": "no-such-kind", "parameters": {},
        "inputs": {}, "outputs": {}, "scratch": ".", "threads": 1,
    });
    for _ in 0..2 {
        writeln!(input, "{job}").unwrap();
        let reply: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(reply["event"], "failed");
        assert!(reply["message"].as_str().unwrap().contains("no-such-kind"), "{reply}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn without_arguments_it_names_the_command_of_the_runner() {
    let out = Command::new(env!("CARGO_BIN_EXE_lfs-stages")).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8(out.stderr).unwrap().contains("lfs-pipe run"));
}
