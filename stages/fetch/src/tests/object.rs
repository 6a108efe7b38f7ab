//! Objects of a store: an S3 server on this machine that checks signatures.

use serde_json::{Value, json};

use super::server::{bytes, sha256};
use super::{Machine, says};

#[path = "../../../../remote/tests/store/server.rs"]
#[allow(dead_code)]
mod s3;

use s3::{BUCKET, Server};

fn store() -> (Server, Machine, Vec<(&'static str, Vec<u8>)>) {
    let server = Server::start();
    let files = vec![
        ("faces/a.bin", bytes(61, 9_000_000)),
        ("faces/b/c.bin", bytes(62, 3_000)),
        ("faces/empty", vec![]),
    ];
    for (name, content) in &files {
        let path = server.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let mut machine = Machine::new(&[]);
    for (name, value) in server.variables() {
        machine.set(name, &value);
    }
    (server, machine, files)
}

fn at(path: &str, sha256: &str) -> Value {
    json!({ "from": format!("s3://{BUCKET}/{path}"), "sha256": sha256 })
}

/// The digest of what `sha256sum` prints for files, relative to the prefix.
fn listing(files: &[(&str, &[u8])]) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let mut command = std::process::Command::new("sha256sum");
    let out = command.args(files.iter().map(|f| f.0)).current_dir(dir.path()).output().unwrap();
    assert!(out.status.success());
    sha256(&out.stdout)
}

#[test]
fn one_object_or_all_below_a_prefix_are_fetched_by_digest() {
    let (_server, machine, files) = store();
    let out = machine.fetch(at("faces/a.bin", &sha256(&files[0].1))).unwrap();
    assert!(out.files == [("a.bin".to_owned(), files[0].1.clone())].into());
    assert_eq!(out.report["url"], format!("s3://{BUCKET}/faces/a.bin"));
    let all: Vec<(&str, &[u8])> =
        files.iter().map(|(n, b)| (n.strip_prefix("faces/").unwrap(), b.as_slice())).collect();
    let out = machine.fetch(at("faces/", &listing(&all))).unwrap();
    assert_eq!(out.files.keys().collect::<Vec<_>>(), ["a.bin", "b/c.bin", "empty"]);
    assert!(out.files["a.bin"] == files[0].1 && out.files["b/c.bin"] == files[1].1);
    assert_eq!(out.report["sha256"], listing(&all));
    let mut some = at("faces/", &listing(&all[1..2]));
    some["files"] = json!(["*c.bin"]);
    assert_eq!(machine.fetch(some).unwrap().files.into_keys().collect::<Vec<_>>(), ["b/c.bin"]);
}

#[test]
fn unpinned_missing_and_forbidden_objects_are_refused() {
    let (_server, mut machine, files) = store();
    let digest = sha256(&files[1].1);
    let failure = machine.fails(json!({ "from": format!("s3://{BUCKET}/faces/b/c.bin") }));
    says(&failure, &["may be another file tomorrow", &format!("sha256 = \"{digest}\"")]);
    let failure = machine.fails(at("faces/b/c.bin", &"4".repeat(64)));
    says(&failure, &["not what `sha256` pins", &digest]);
    says(&machine.fails(at("nothing", &digest)), &["no object", "none below it"]);
    machine.set("AWS_SECRET_ACCESS_KEY", "a wrong one");
    says(&machine.fails(at("faces/b/c.bin", &digest)), &["cannot be", "AWS_SECRET_ACCESS_KEY"]);
    let failure = Machine::new(&[]).fails(json!({ "from": "az://container/x", "sha256": digest }));
    says(&failure, &["AZURE_STORAGE_ACCOUNT_NAME"]);
}

#[test]
fn an_object_that_is_kept_or_begun_is_not_fetched_again() {
    let (server, machine, files) = store();
    let parameters = at("faces/a.bin", &sha256(&files[0].1));
    machine.fetch(parameters.clone()).unwrap();
    let kept = machine.at(".cache/lfs-pipe/downloads/sha256").join(sha256(&files[0].1));
    assert!(kept.is_file());
    // A partial file, as an interrupted process leaves it, without a note.
    let parts: Vec<_> = std::fs::read_dir(machine.at(".cache/lfs-pipe/downloads/parts"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    let part = parts[0].with_extension("");
    let forget = |laid: &[u8]| {
        std::fs::write(&part, laid).unwrap();
        let _ = std::fs::remove_file(&kept);
        let _ = std::fs::remove_dir_all(machine.at(".cache/lfs-pipe/downloads/notes"));
    };
    forget(&files[0].1[..8_500_000]);
    let out = machine.fetch(parameters.clone()).unwrap();
    assert!(out.files["a.bin"] == files[0].1);
    // The partial file counts as progress; fetching it again would double the total.
    assert_eq!(out.progress.last(), Some(&(9_000_000, Some(9_000_000))));
    // A damaged partial file costs only time.
    forget(&bytes(64, 8_500_000));
    let out = machine.fetch(parameters.clone()).unwrap();
    assert!(out.files["a.bin"] == files[0].1);
    assert_eq!(out.progress.last(), Some(&(18_000_000, Some(18_000_000))));
    // Without a pin, a damaged partial file would determine the digest that is reported.
    forget(&bytes(64, 8_500_000));
    let failure = machine.fails(json!({ "from": format!("s3://{BUCKET}/faces/a.bin") }));
    says(&failure, &[&format!("sha256 = \"{}\"", sha256(&files[0].1))]);
    // An object that was written again is fetched again.
    std::fs::write(server.root().join("faces/a.bin"), bytes(63, 9_000_000)).unwrap();
    says(&machine.fails(parameters), &["not what `sha256` pins", &sha256(&bytes(63, 9_000_000))]);
}
