//! `pipelines/hub.toml` with a hub on this machine: a training set and test sets fetched by commit, and the table.

#![allow(clippy::unwrap_used, clippy::panic)] // test helpers fail the test

mod made;
#[path = "../../fetch/src/tests/server/mod.rs"]
mod server;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use made::{Dialect, PERSONS, test_set, training_set};
use serde_json::{Value, json};
use server::{Repo, Server};

#[test]
fn a_data_set_of_the_hub_gives_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    std::fs::create_dir(&made).unwrap();
    training_set(&made, Dialect::HeaderLast, PERSONS, 32, false);
    test_set(&made.join("agedb_30.bin"), 40, 32, false);
    test_set(&made.join("calfw.bin"), 30, 32, false);
    let read = |name: &str| std::fs::read(made.join(name)).unwrap();
    let files: Vec<(&str, Vec<u8>)> =
        ["train.rec", "train.idx", "property", "agedb_30.bin", "calfw.bin"].map(|n| (n, read(n))).into();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (*n, b.as_slice())).collect();
    let mut repo = Repo::new("datasets/lab/faces", &files);
    repo.card = json!({ "license": "cc-by-nc-4.0" });
    let from = format!("hf://datasets/lab/faces@{}", repo.commit);
    let server = Server::start(vec![repo]);
    let (here, hub) = (dir.path(), server.endpoint());
    // Without the licence nothing is fetched, and the error names it.
    let out = run(here, &from, &hub, &["--set", "licence=none"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("cc-by-nc-4.0"), "{said}");
    let out = run(here, &from, &hub, &[]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let table: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("out/table/table.json")).unwrap()).unwrap();
    let columns: Vec<&str> =
        table["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(columns, ["CALFW", "AgeDB"]);
    assert_eq!(table["rows"].as_array().unwrap().len(), 2);
    // A second run makes no request.
    drop(server);
    let out = run(here, &from, "http://127.0.0.1:9", &[]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("0 executed"), "{said}");
}

/// Runs the pipeline on a repository of the hub.
fn run(here: &Path, from: &str, hub: &str, more: &[&str]) -> Output {
    let worker = Path::new(env!("CARGO_BIN_EXE_lfs-stages"));
    let runner = worker.with_file_name("lfs-pipe");
    assert!(runner.is_file(), "{} is not there: build the workspace", runner.display());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/hub.toml");
    let mut command = Command::new(runner);
    command.arg("run").arg("-f").arg(manifest);
    for set in [
        &format!("train={from}"),
        &format!("tests={from}"),
        "licence=cc-by-nc-4.0",
        "methods=[\"softmax\", \"am-softmax\"]",
        "epochs=2",
        "milestones=[1]",
        "batch=32",
        "train.device=cpu",
        "train.resnet-small.widths=[8, 16]",
        "train.pairs=60",
    ] {
        command.args(["--set", set]);
    }
    command.args(more).stdin(Stdio::null()).current_dir(here);
    command.env("LFS_CACHE", here.join("cache")).env_remove("LFS_WORKER");
    command.env("HF_ENDPOINT", hub).env("HF_HOME", here.join("hf"));
    command.env("HOME", here.join("home")).env_remove("XDG_CACHE_HOME");
    command.env_remove("HF_TOKEN").env_remove("HF_HUB_OFFLINE").env_remove("HF_HUB_CACHE");
    command.arg("--out").arg(here.join("out")).output().unwrap()
}
