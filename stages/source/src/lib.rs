//! Embeds a crate's sources in the crate.
//!
//! A result depends on the code that computed it. Each crate with such code calls [`emit`] from its build script;
//! `include!(concat!(env!("OUT_DIR"), "/source.rs"))` then defines `pub const SOURCE: &[(&str, &[u8])]`. The table has a row
//! `("align/src/warp.rs", <bytes>)` for every source file except tests, a row for the build script, and a row
//! `("align/dependencies", <text>)` with the exact versions of all third-party crates below it.
//!
//! The table holds the bytes that the compiler itself reads, in the call that compiles the code. A digest taken by the build script
//! would be taken earlier: an edit in between would give new code the old key.

#![allow(clippy::expect_used, clippy::panic)] // a build script can only report errors by panicking

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Writes `source.rs` into `OUT_DIR`. Call it from a build script.
pub fn emit() {
    let root = PathBuf::from(var("CARGO_MANIFEST_DIR"));
    let folder = root.file_name().expect("a crate has a folder").to_string_lossy().into_owned();
    let mut files = Vec::new();
    for part in ["src", "shim", "assets"] {
        let dir = root.join(part);
        if dir.is_dir() {
            println!("cargo:rerun-if-changed={}", dir.display());
            walk(&dir, &mut files);
        }
    }
    // The build script determines how the rest is compiled.
    let script = root.join("build.rs");
    if script.is_file() {
        println!("cargo:rerun-if-changed={}", script.display());
        files.push(script);
    }
    files.sort();
    let mut rows = String::new();
    for file in files {
        let name = file.strip_prefix(&root).expect("below the crate").to_string_lossy().replace('\\', "/");
        rows += &format!("    ({:?}, include_bytes!({file:?})),\n", format!("{folder}/{name}"));
    }
    rows += &format!("    ({:?}, {:?}.as_bytes()),\n", format!("{folder}/dependencies"), dependencies(&root));
    let out = Path::new(&var("OUT_DIR")).join("source.rs");
    fs::write(out, format!("pub const SOURCE: &[(&str, &[u8])] = &[\n{rows}];\n"))
        .expect("OUT_DIR can be written");
}

/// Lets binaries and tests of a crate that depends on `torch-sys` find libtorch without an environment variable: adds a RUNPATH, so
/// that `LD_LIBRARY_PATH` still takes precedence on another machine.
pub fn link_libtorch() {
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags,-rpath,{lib}");
    }
}

fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set in a build script"))
}

fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a source folder can be listed") {
        let path = entry.expect("a source folder can be listed").path();
        let name = path.file_name().unwrap_or_default();
        if name == "tests" || name == "tests.rs" {
            continue; // tests do not affect results
        }
        if path.is_dir() {
            walk(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// A line `name version checksum` for every third-party crate below this one, from `Cargo.lock`. Workspace crates are skipped: each
/// has a source table of its own.
fn dependencies(root: &Path) -> String {
    let manifest: toml::Table = read(&root.join("Cargo.toml"));
    let Some(lock) = root.ancestors().map(|d| d.join("Cargo.lock")).find(|p| p.is_file()) else {
        panic!("no Cargo.lock above {}: run `cargo generate-lockfile`", root.display());
    };
    println!("cargo:rerun-if-changed={}", lock.display());
    println!("cargo:rerun-if-changed={}", root.join("Cargo.toml").display());
    let lock: toml::Table = read(&lock);
    let mut packages: BTreeMap<String, Vec<&toml::Table>> = BTreeMap::new();
    for package in lock["package"].as_array().into_iter().flatten().filter_map(|p| p.as_table()) {
        packages.entry(text(package, "name")).or_default().push(package);
    }
    // Development and build dependencies do not affect results.
    let mut todo: Vec<String> = manifest
        .get("dependencies")
        .and_then(|d| d.as_table())
        .into_iter()
        .flat_map(|d| d.keys().cloned())
        .collect();
    let mut seen = BTreeSet::new();
    let mut rows = BTreeSet::new();
    while let Some(wanted) = todo.pop() {
        if !seen.insert(wanted.clone()) {
            continue;
        }
        let mut words = wanted.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        for package in packages.get(name).into_iter().flatten() {
            if version.is_some_and(|v| v != text(package, "version")) || !package.contains_key("source") {
                continue;
            }
            rows.insert(format!("{name} {} {}", text(package, "version"), text(package, "checksum")));
            let below = package.get("dependencies").and_then(|d| d.as_array()).into_iter().flatten();
            todo.extend(below.filter_map(|d| d.as_str().map(str::to_owned)));
        }
    }
    rows.into_iter().collect::<Vec<_>>().join("\n")
}

fn read(path: &Path) -> toml::Table {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn text(table: &toml::Table, key: &str) -> String {
    table.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
}
