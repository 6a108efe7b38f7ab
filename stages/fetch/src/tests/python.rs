//! Comparison with Python's `huggingface_hub`: the same files from the same server, and one shared cache.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use super::server::{Repo, Role, Server, bytes, sha256};
use super::{Machine, files};

/// The files of Python's snapshot of a repository, on the same machine.
fn snapshot(python: &PathBuf, machine: &Machine, repo: &Repo) -> BTreeMap<String, Vec<u8>> {
    let script = "import sys; from huggingface_hub import snapshot_download as s; \
                  print(s(sys.argv[1], repo_type='dataset', revision=sys.argv[2]))";
    let id = repo.page.strip_prefix("datasets/").unwrap();
    let out = Command::new(python)
        .args(["-c", script, id, &repo.commit])
        .env_clear()
        .envs(&machine.variables)
        .envs([
            ("HF_HUB_DISABLE_XET", "1"),
            ("HF_HUB_DISABLE_TELEMETRY", "1"),
            ("HF_HUB_DISABLE_PROGRESS_BARS", "1"),
        ])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    files(&PathBuf::from(String::from_utf8(out.stdout).unwrap().trim()))
}

fn repo() -> Repo {
    let large = bytes(21, 300_000);
    Repo::new(
        "datasets/lab/faces",
        &[
            ("a/b/large.bin", &large),
            ("copy.bin", &large),
            ("small.txt", b"words"),
            ("a/of spaces.bin", &bytes(22, 5_000)),
        ],
    )
}

/// The files that were requested with `GET`.
fn bodies(server: &Server) -> Vec<String> {
    let seen = server.seen().into_iter();
    seen.filter(|s| s.method == "GET" && (s.role == Role::Storage || s.path.contains("/resolve/")))
        .map(|s| s.path)
        .collect()
}

#[test]
fn python_gets_the_same_files() {
    let Some(python) = lfs_testing::python() else { return };
    let repo = repo();
    let server = Server::start(vec![repo.clone()]);
    let (ours, theirs) = (Machine::of(&server), Machine::of(&server));
    let out = ours.fetch(json!({ "from": format!("hf://{}@{}", repo.page, repo.commit) })).unwrap();
    let found = snapshot(&python, &theirs, &repo);
    assert_eq!(found, out.files);
    let digests: Vec<String> = found.values().map(|b| sha256(b)).collect();
    let told: Vec<&str> =
        out.report["files"].as_array().unwrap().iter().map(|f| f["sha256"].as_str().unwrap()).collect();
    assert_eq!(told, digests);
    // Both caches have the same files under the same names.
    let of = |machine: &Machine, part: &str| files(&machine.cache("datasets--lab--faces").join(part));
    assert_eq!(of(&ours, "blobs"), of(&theirs, "blobs"));
    assert_eq!(of(&ours, "snapshots"), of(&theirs, "snapshots"));
    for path in ["a/b/large.bin", "small.txt"] {
        let link = |m: &Machine| {
            std::fs::read_link(m.cache("datasets--lab--faces/snapshots").join(&repo.commit).join(path))
                .unwrap()
        };
        assert_eq!(link(&ours), link(&theirs), "{path}");
    }
}

#[test]
fn what_one_has_brought_the_other_does_not_bring_again() {
    let Some(python) = lfs_testing::python() else { return };
    let repo = repo();
    let server = Server::start(vec![repo.clone()]);
    let from = json!({ "from": format!("hf://{}@{}", repo.page, repo.commit) });
    let machine = Machine::of(&server);
    machine.fetch(from.clone()).unwrap();
    assert!(!bodies(&server).is_empty());
    assert_eq!(snapshot(&python, &machine, &repo), repo.files);
    assert_eq!(bodies(&server), Vec::<String>::new(), "Python fetched again");
    let machine = Machine::of(&server);
    assert_eq!(snapshot(&python, &machine, &repo), repo.files);
    assert!(!bodies(&server).is_empty());
    assert_eq!(machine.fetch(from).unwrap().files, repo.files);
    assert_eq!(bodies(&server), Vec::<String>::new(), "fetched again after Python");
}

#[test]
fn partial_files_of_one_program_do_not_disturb_the_other() {
    let Some(python) = lfs_testing::python() else { return };
    let repo = repo();
    let server = Server::start(vec![repo.clone()]);
    for name in ["incomplete", "0a1b2c3d.incomplete"] {
        for laid in [bytes(5, 1_000), repo.files["copy.bin"][..9_000].to_vec()] {
            let lay = |machine: &Machine| {
                let blobs = machine.cache("datasets--lab--faces/blobs");
                std::fs::create_dir_all(&blobs).unwrap();
                std::fs::write(blobs.join(format!("{}.{name}", sha256(&repo.files["copy.bin"]))), &laid)
                    .unwrap();
            };
            let (ours, theirs) = (Machine::of(&server), Machine::of(&server));
            lay(&ours);
            lay(&theirs);
            let from = json!({ "from": format!("hf://{}@{}", repo.page, repo.commit) });
            assert_eq!(ours.fetch(from).unwrap().files, repo.files);
            assert_eq!(snapshot(&python, &theirs, &repo), repo.files);
        }
    }
}
