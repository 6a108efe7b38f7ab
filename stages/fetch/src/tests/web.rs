//! One file of a web server.

use serde_json::json;

use super::server::{Fault, Role, Server, bytes, sha256};
use super::{Machine, says};

fn web() -> (Server, Machine, Vec<u8>) {
    let server = Server::start(vec![]);
    let file = bytes(31, 50_000);
    server.put("/sets/faces%201.zip", &file, "application/zip");
    let machine = Machine::new(&[]);
    (server, machine, file)
}

#[test]
fn a_file_is_fetched_by_its_digest_and_kept() {
    let (server, machine, file) = web();
    let url = format!("{}/sets/faces%201.zip", server.endpoint());
    let parameters = json!({ "from": url, "sha256": sha256(&file).to_uppercase(), "licence": "mit" });
    let out = machine.fetch(parameters.clone()).unwrap();
    assert_eq!(out.files["faces 1.zip"], file);
    assert_eq!(out.report["licence"], "mit");
    assert_eq!(out.report["files"][0]["sha256"], sha256(&file));
    assert_eq!(server.seen().len(), 1);
    machine.fetch(parameters.clone()).unwrap();
    assert_eq!(server.seen().len(), 0);
    // A damaged file is not used.
    let kept = machine.at(".cache/lfs-pipe/downloads/sha256").join(sha256(&file));
    std::fs::write(&kept, b"damaged").unwrap();
    assert_eq!(machine.fetch(parameters).unwrap().files["faces 1.zip"], file);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn without_a_digest_it_is_refused_with_the_line_to_write_and_not_fetched_again() {
    let (server, machine, file) = web();
    let url = format!("{}/sets/faces%201.zip", server.endpoint());
    let line = format!("sha256 = \"{}\"", sha256(&file));
    // A partial file of an earlier run may be of another file by now.
    let part = machine.at(".cache/lfs-pipe/downloads/parts").join(sha256(url.as_bytes()));
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, bytes(32, 20_000)).unwrap();
    says(&machine.fails(json!({ "from": url })), &["may be another file tomorrow", &line]);
    assert_eq!(server.seen().len(), 1);
    machine.fetch(json!({ "from": url, "sha256": sha256(&file) })).unwrap();
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn another_file_than_the_pinned_is_refused_with_both_digests() {
    let (server, machine, file) = web();
    let url = format!("{}/sets/faces%201.zip", server.endpoint());
    let wrong = "0".repeat(64);
    let failure = machine.fails(json!({ "from": url, "sha256": wrong }));
    says(&failure, &[&wrong, &sha256(&file), "not what it must be"]);
    says(&machine.fails(json!({ "from": format!("{url}x"), "sha256": wrong })), &["answers 401"]);
}

#[test]
fn a_cut_transfer_of_unknown_length_resumes() {
    let (server, mut machine, file) = web();
    machine.set("LFS_DOWNLOADS", "~/kept");
    let url = format!("{}/sets/faces%201.zip", server.endpoint());
    server.plan(Role::Hub, "/sets/", 1, Fault::CutAt(20_000));
    let parameters = json!({ "from": url, "sha256": sha256(&file) });
    assert_eq!(machine.fetch(parameters.clone()).unwrap().files["faces 1.zip"], file);
    let ranges: Vec<_> = server.seen().iter().map(|s| s.headers.get("range").cloned()).collect();
    assert_eq!(ranges, [None, Some("bytes=20000-".to_owned())]);
    assert!(machine.at("kept/sha256").join(sha256(&file)).is_file());
    // The partial file of an interrupted process may be complete; then the server has no such range.
    let (server, machine, file) = web();
    let url = format!("{}/sets/faces%201.zip", server.endpoint());
    let part = machine.at(".cache/lfs-pipe/downloads/parts").join(sha256(url.as_bytes()));
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, &file).unwrap();
    machine.fetch(json!({ "from": url, "sha256": sha256(&file) })).unwrap();
    assert_eq!(server.seen().len(), 1);
}
