//! The rules of CONTRIBUTING.md that a machine can check.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod docs;
mod house;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below some folders whose names end in `ending`, sorted.
fn files(folders: &[&str], ending: &str) -> Vec<PathBuf> {
    let walk = |folder: &str| walkdir::WalkDir::new(root().join(folder)).into_iter();
    let found = folders.iter().flat_map(|f| walk(f)).map(|entry| entry.unwrap().into_path());
    let mut found: Vec<PathBuf> = found.filter(|p| p.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    assert!(!found.is_empty(), "no {ending} below {folders:?}");
    found
}

#[test]
fn no_source_file_is_longer_than_seven_hundred_lines() {
    for file in files(&["src", "core", "stages", "remote", "xtask", "tests"], ".rs") {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 700, "{} has {lines} lines: split it by subject", file.display());
    }
}

/// What crates below the kinds may depend on; a kind may depend on all of them.
const BELOW: &[(&str, &[&str])] = &[
    ("stage", &[]),
    ("source", &[]),
    ("testing", &[]),
    ("store", &[]),
    ("products", &[]),
    ("metrics", &[]),
    ("faces", &[]),
    ("formats", &["faces"]),
    ("rows", &["stage", "faces"]),
    ("network", &["stage", "faces", "products"]),
    ("onnx", &["stage", "network"]),
];

/// The crates of this workspace that a manifest has under `[dependencies]`.
fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let table: toml::Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
    let all = table.get("dependencies").and_then(|d| d.as_table()).cloned().unwrap_or_default();
    all.keys().filter_map(|name| name.strip_prefix("lfs-").map(str::to_owned)).collect()
}

#[test]
fn crates_depend_on_what_lies_below_them_and_kinds_on_no_other_kind() {
    let mut kinds = 0;
    for manifest in files(&["stages"], "Cargo.toml") {
        let name = manifest.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let found = dependencies(&manifest);
        let below: BTreeSet<&str> = BELOW.iter().map(|(name, _)| *name).collect();
        if name == "worker" {
            continue;
        }
        let allowed = match BELOW.iter().find(|(of, _)| *of == name) {
            Some((_, allowed)) => allowed.iter().copied().collect(),
            None => {
                kinds += 1;
                below
            }
        };
        let wrong: Vec<&String> = found.iter().filter(|d| !allowed.contains(d.as_str())).collect();
        assert!(wrong.is_empty(), "stages/{name} may not depend on {wrong:?}");
    }
    assert!(kinds >= 14, "{kinds}");
    assert_eq!(dependencies(&root().join("core/Cargo.toml")), BTreeSet::new());
    assert_eq!(
        dependencies(&root().join("remote/Cargo.toml")),
        BTreeSet::from(["core", "store"].map(str::to_owned))
    );
    assert_eq!(
        dependencies(&root().join("Cargo.toml")),
        BTreeSet::from(["core", "stage"].map(str::to_owned))
    );
}

#[test]
fn the_runner_knows_nothing_of_faces_and_tensors() {
    for file in files(&["src"], ".rs") {
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
        for line in code {
            let line = line.to_lowercase();
            for word in [" tch::", "tensor", "embedding", "landmark"] {
                assert!(!line.contains(word), "{}: {line}", file.display());
            }
        }
    }
}
