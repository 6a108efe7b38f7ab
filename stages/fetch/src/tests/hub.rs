//! Fetching from a hub: the files, the cache, and what is refused before a transfer starts.

use std::collections::BTreeMap;

use serde_json::json;

use super::server::{Fault, Repo, Role, Server, bytes, git, sha256, tag};
use super::{Machine, files, says};

fn faces() -> Repo {
    Repo::new(
        "datasets/lab/faces",
        &[
            ("README.md", b"# Faces\n"),
            ("train.rec", &bytes(1, 70_000)),
            ("train.idx", b"1\t0\n"),
            ("tests/lfw.bin", &bytes(2, 5_000)),
            ("tests/of others/cfp.bin", &bytes(3, 4_000)),
            ("tests/notes.txt", b"as they are"),
        ],
    )
}

fn from(repo: &Repo, rest: &str) -> String {
    format!("hf://{}@{}{rest}", repo.page, repo.commit)
}

#[test]
fn a_whole_repository_is_fetched_with_its_paths_and_a_report() {
    let repo = faces();
    let server = Server::start(vec![repo.clone()]);
    let machine = Machine::of(&server);
    let out = machine.fetch(json!({ "from": from(&repo, "") })).unwrap();
    assert_eq!(out.files, repo.files);
    let rows: Vec<_> = repo
        .files
        .iter()
        .map(|(path, b)| json!({ "path": path, "bytes": b.len(), "sha256": sha256(b) }))
        .collect();
    // The digest of what `sha256sum` would print for the files.
    let listing: String = repo.files.iter().map(|(path, b)| format!("{}  {path}\n", sha256(b))).collect();
    let expected = json!({
        "url": from(&repo, ""), "commit": repo.commit, "licence": null,
        "sha256": sha256(listing.as_bytes()), "files": rows,
    });
    assert_eq!(out.report, expected);
    let all: u64 = repo.files.values().map(|b| b.len() as u64).sum();
    assert_eq!(out.progress.last(), Some(&(all, Some(all))));
    assert_eq!(out.warnings, Vec::<String>::new());
    for seen in server.seen() {
        assert_eq!(seen.headers["accept-encoding"], "identity", "{}", seen.path);
    }
    // Another machine gives the same bytes, and this one fetches nothing again.
    let again = machine.fetch(json!({ "from": from(&repo, "") })).unwrap();
    assert_eq!(again.report_text, out.report_text);
    assert!(server.seen().iter().all(|s| s.path.starts_with("/api/")), "files came again");
    let other = Machine::of(&server).fetch(json!({ "from": from(&repo, "") })).unwrap();
    assert_eq!(other.report_text, out.report_text);
}

#[test]
fn the_cache_is_laid_out_as_pythons() {
    let repo = faces();
    let server = Server::start(vec![repo.clone()]);
    let machine = Machine::of(&server);
    machine.fetch(json!({ "from": from(&repo, "") })).unwrap();
    let cache = machine.cache("datasets--lab--faces");
    let blobs: BTreeMap<String, Vec<u8>> = repo.files.values().map(|b| (tag(b), b.clone())).collect();
    assert_eq!(files(&cache.join("blobs")), blobs);
    let snapshot = cache.join("snapshots").join(&repo.commit);
    assert_eq!(files(&snapshot), repo.files);
    let link = std::fs::read_link(snapshot.join("tests/of others/cfp.bin")).unwrap();
    assert_eq!(
        link.to_str().unwrap(),
        format!("../../../../blobs/{}", sha256(&repo.files["tests/of others/cfp.bin"]))
    );
    let link = std::fs::read_link(snapshot.join("train.idx")).unwrap();
    assert_eq!(link.to_str().unwrap(), format!("../../blobs/{}", git(b"1\t0\n")));
}

#[test]
fn files_and_folders_are_chosen_by_path_and_by_pattern() {
    let repo = faces();
    let server = Server::start(vec![repo.clone()]);
    let machine = Machine::of(&server);
    let names =
        |parameters| -> Vec<String> { machine.fetch(parameters).unwrap().files.into_keys().collect() };
    assert_eq!(names(json!({ "from": from(&repo, ""), "files": ["train.*"] })), ["train.idx", "train.rec"]);
    // As in Python, a star matches slashes, too.
    let bins = ["tests/lfw.bin", "tests/of others/cfp.bin"];
    assert_eq!(names(json!({ "from": from(&repo, ""), "files": ["*.bin"] })), bins);
    assert_eq!(names(json!({ "from": from(&repo, "/tests"), "files": ["*.bin"] })), bins);
    assert_eq!(names(json!({ "from": from(&repo, "/tests/of others/") })), ["tests/of others/cfp.bin"]);
    assert_eq!(names(json!({ "from": from(&repo, "/tests/lfw.bin") })), ["tests/lfw.bin"]);
    let failure = machine.fails(json!({ "from": from(&repo, ""), "files": ["*.bin", "*.parquet"] }));
    says(&failure, &["no file fits `*.parquet`", "`README.md`"]);
    says(&machine.fails(json!({ "from": from(&repo, "/test") })), &["no file or folder `test`", "/tree/"]);
    says(&machine.fails(json!({ "from": from(&repo, ""), "files": ["a[" ] })), &["`a[` is no pattern"]);
}

#[test]
fn models_and_names_without_an_owner_have_addresses_of_their_own() {
    let model = Repo::new("lab/net", &[("net.safetensors", &bytes(4, 3_000))]);
    let old = Repo::new("gpt2", &[("config.json", b"{}")]);
    let server = Server::start(vec![model.clone(), old.clone()]);
    let machine = Machine::of(&server);
    assert_eq!(machine.fetch(json!({ "from": from(&model, "") })).unwrap().files, model.files);
    assert_eq!(machine.fetch(json!({ "from": from(&old, "") })).unwrap().files, old.files);
    assert!(machine.cache("models--lab--net").is_dir() && machine.cache("models--gpt2").is_dir());
}

#[test]
fn a_branch_or_tag_is_refused_with_the_line_to_write() {
    let repo = faces();
    let server = Server::start(vec![repo.clone()]);
    let mut machine = Machine::of(&server);
    for (revision, called) in
        [("", "`main`"), ("@main", "`main`"), ("@v1.0", "`v1.0`"), ("@refs%2Fpr%2F1", "`refs/pr/1`")]
    {
        let failure = machine.fails(json!({ "from": format!("hf://datasets/lab/faces{revision}/tests") }));
        let line = format!("write: from = \"{}\"", from(&repo, "/tests"));
        says(&failure, &[called, &repo.commit, &line]);
    }
    let failure = machine.fails(json!({ "from": "hf://datasets/lab/faces@v2.0" }));
    says(&failure, &["no commit, branch or tag `v2.0`", "RevisionNotFound", "/commits/"]);
    // Offline, the cache may have the commit.
    machine.set("HF_HUB_OFFLINE", "1");
    server.seen();
    says(&machine.fails(json!({ "from": "hf://datasets/lab/faces" })), &["HF_HUB_OFFLINE", "40 hexadecimal"]);
    let refs = machine.cache("datasets--lab--faces/refs");
    std::fs::create_dir_all(&refs).unwrap();
    std::fs::write(refs.join("main"), &repo.commit).unwrap();
    let line = format!("write: from = \"{}\"", from(&repo, ""));
    says(&machine.fails(json!({ "from": "hf://datasets/lab/faces" })), &["this machine's cache", &line]);
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn refusals_of_the_hub_are_reported_with_advice() {
    let repo = faces();
    let server = Server::start(vec![repo.clone()]);
    let mut machine = Machine::of(&server);
    let nobody = format!("hf://datasets/lab/nothing@{}", repo.commit);
    says(
        &machine.fails(json!({ "from": nobody })),
        &["no `datasets/lab/nothing`", "needs HF_TOKEN", "RepoNotFound"],
    );
    machine.set("HF_TOKEN", "hf_mine");
    says(
        &machine.fails(json!({ "from": nobody })),
        &["no `datasets/lab/nothing`", "your token may not see it"],
    );
    let other = format!("hf://datasets/lab/faces@{}", "0".repeat(40));
    says(&machine.fails(json!({ "from": other })), &["RevisionNotFound", "/commits/main"]);
    for status in [401, 403] {
        let code = vec![("X-Error-Code", "GatedRepo".to_owned())];
        server.plan(Role::Hub, "/resolve/", 1, Fault::Status(status, code));
        let failure = machine.fails(json!({ "from": from(&repo, "/train.rec") }));
        says(&failure, &["GatedRepo", "accept them at", "licence"]);
    }
    server.plan(
        Role::Hub,
        "/resolve/",
        1,
        Fault::Status(404, vec![("X-Error-Code", "EntryNotFound".to_owned())]),
    );
    let failure = machine.fails(json!({ "from": from(&repo, "/train.rec") }));
    says(&failure, &["no file `train.rec`", "EntryNotFound", "/tree/"]);
    assert!(!machine.cache("datasets--lab--faces/snapshots").exists());
}

#[test]
fn a_secret_stays_with_its_host() {
    let repo = faces();
    let server = Server::start(vec![repo.clone()]);
    let mut machine = Machine::of(&server);
    let tokens = |seen: Vec<super::server::Seen>| -> Vec<(Role, Option<String>)> {
        seen.into_iter().map(|s| (s.role, s.headers.get("authorization").cloned())).collect()
    };
    machine.set("HF_TOKEN", "hf_mine");
    machine.fetch(json!({ "from": from(&repo, "/train.rec") })).unwrap();
    let told = tokens(server.seen());
    assert!(told.iter().any(|(role, _)| *role == Role::Storage));
    for (role, token) in told {
        assert_eq!(token.as_deref(), (role == Role::Hub).then_some("Bearer hf_mine"), "{role:?}");
    }
    // The file that `hf auth login` writes.
    let machine = Machine::of(&server);
    std::fs::create_dir_all(machine.at(".cache/huggingface")).unwrap();
    std::fs::write(machine.at(".cache/huggingface/token"), "hf_of_file\n").unwrap();
    machine.fetch(json!({ "from": from(&repo, "/train.idx") })).unwrap();
    assert_eq!(server.seen()[0].headers["authorization"], "Bearer hf_of_file");
    let mut machine = machine;
    machine.set("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
    machine.fetch(json!({ "from": from(&repo, "/train.idx") })).unwrap();
    assert!(server.seen().iter().all(|s| !s.headers.contains_key("authorization")));
}

#[test]
fn a_licence_must_be_accepted_by_the_name_that_the_card_states() {
    let mut repo = faces();
    repo.card = json!({ "license": "cc-by-nc-4.0" });
    let server = Server::start(vec![repo.clone()]);
    let machine = Machine::of(&server);
    let with =
        |licence: &str| machine.fetch(json!({ "from": from(&repo, "/train.idx"), "licence": licence }));
    let failure = machine.fails(json!({ "from": from(&repo, "/train.idx") }));
    says(&failure, &["under the licence `cc-by-nc-4.0`", "licence = \"cc-by-nc-4.0\""]);
    says(&with("mit").map(|_| ()).unwrap_err(), &["accepts the licence `mit`", "under `cc-by-nc-4.0`"]);
    assert_eq!(with("CC-BY-NC-4.0").unwrap().report["licence"], "CC-BY-NC-4.0");
    assert!(server.seen().iter().filter(|s| s.path.contains("/resolve/")).count() == 1);
    // A licence that is named by the card.
    server.change(|r| {
        r.card = json!({ "license": "other", "license_name": "faces-1", "license_link": "LICENCE.txt" })
    });
    let failure = machine.fails(json!({ "from": from(&repo, "/train.idx") }));
    says(&failure, &["`faces-1`", "LICENCE.txt", "licence = \"faces-1\""]);
    assert!(with("faces-1").is_ok());
    // Several licences.
    server.change(|r| r.card = json!({ "license": ["mit", "apache-2.0"] }));
    says(&with("mit").map(|_| ()).unwrap_err(), &["licence = \"mit, apache-2.0\""]);
    assert!(with("apache-2.0, mit").is_ok());
    // Conditions without the name of a licence.
    server.change(|r| (r.card, r.gated) = (json!({}), json!("manual")));
    let failure = machine.fails(json!({ "from": from(&repo, "/train.idx") }));
    says(&failure, &["conditions be accepted", "licence = \"gated\""]);
    assert_eq!(with("gated").unwrap().warnings, Vec::<String>::new());
    // No licence and no conditions.
    server.change(|r| r.gated = json!(false));
    assert_eq!(with("mit").unwrap().warnings.len(), 1);
    assert!(machine.fetch(json!({ "from": from(&repo, "/train.idx") })).is_ok());
}

#[test]
fn offline_uses_the_cache_and_makes_no_request() {
    let mut repo = faces();
    repo.card = json!({ "license": "mit" });
    let server = Server::start(vec![repo.clone()]);
    let mut machine = Machine::of(&server);
    let parameters = json!({ "from": from(&repo, ""), "files": ["train.*"], "licence": "mit" });
    let online = machine.fetch(parameters.clone()).unwrap();
    server.seen();
    machine.set("HF_HUB_OFFLINE", "1");
    assert_eq!(machine.fetch(parameters).unwrap().report_text, online.report_text);
    let failure = machine.fails(json!({ "from": from(&repo, ""), "files": ["R*"], "licence": "mit" }));
    says(&failure, &["HF_HUB_OFFLINE", "`README.md`", "not in the cache"]);
    says(&machine.fails(json!({ "from": from(&repo, "/tests"), "licence": "mit" })), &["never asked"]);
    // The licence is checked offline, too.
    says(
        &machine.fails(json!({ "from": from(&repo, ""), "files": ["train.*"] })),
        &["under the licence `mit`"],
    );
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn folders_for_the_cache_are_those_of_the_variables() {
    let repo = faces();
    let server = Server::start(vec![repo.clone()]);
    let folder = format!("datasets--lab--faces/snapshots/{}/train.idx", repo.commit);
    for (name, value, at) in [
        ("HF_HOME", "~/hf", "hf/hub"),
        ("HF_HUB_CACHE", "~/elsewhere", "elsewhere"),
        ("XDG_CACHE_HOME", "~/xdg", "xdg/huggingface/hub"),
    ] {
        let mut machine = Machine::of(&server);
        machine.set(name, value);
        machine.fetch(json!({ "from": from(&repo, "/train.idx") })).unwrap();
        assert!(machine.at(at).join(&folder).is_file(), "{name}");
    }
    let mut machine = Machine::of(&server);
    machine.variables.remove("HOME");
    says(&machine.fails(json!({ "from": from(&repo, "/train.idx") })), &["XDG_CACHE_HOME", "HOME"]);
    machine.set("HF_ENDPOINT", "hub.example");
    machine.set("HOME", "/nowhere");
    let failure = machine.fails(json!({ "from": from(&repo, "/train.idx") }));
    assert!(failure.message.contains("HF_ENDPOINT"), "{failure}");
}

#[test]
fn a_proxy_is_asked_but_for_hosts_that_need_none() {
    let repo = faces();
    let server = Server::start(vec![repo.clone()]);
    let mut machine = Machine::of(&server);
    // The server also answers as a proxy for hosts that do not exist.
    machine.set("HF_ENDPOINT", "http://hub.invalid");
    machine.set("HTTP_PROXY", &server.endpoint());
    machine.set("NO_PROXY", "localhost,example.org");
    assert_eq!(
        machine.fetch(json!({ "from": from(&repo, "/train.rec") })).unwrap().files["train.rec"],
        repo.files["train.rec"]
    );
    let seen = server.seen();
    assert!(
        seen.iter().filter(|s| s.role == Role::Hub).all(|s| s.proxied && s.headers["host"] == "hub.invalid")
    );
    assert!(seen.iter().filter(|s| s.role == Role::Storage).all(|s| !s.proxied));
    assert!(seen.iter().any(|s| s.role == Role::Storage));
    machine.set("NO_PROXY", "hub.invalid");
    let failure = machine.fails(json!({ "from": from(&repo, "/train.idx") }));
    says(&failure, &["hub.invalid", "proxy settings"]);
}

#[test]
fn hostile_names_are_refused_by_name_and_nothing_is_written() {
    let row = |path: &str| json!({ "type": "file", "path": path, "oid": "0".repeat(40), "size": 1 });
    let cases = [
        ("../../escape", "leads out"),
        ("a/../../b", "leads out"),
        ("/etc/passwd", "absolute"),
        ("C:/x", "absolute"),
        ("a\\b", "backslash"),
        ("a\u{0}b", "control"),
        ("a//b", "empty part"),
        ("./a", "empty part"),
        ("", "is empty"),
        ("train.rec", "appears twice"),
        ("train.rec/below", "a file and a folder"),
    ];
    for (path, why) in cases {
        let mut repo = faces();
        repo.more_rows = vec![row(path)];
        let server = Server::start(vec![repo.clone()]);
        let machine = Machine::of(&server);
        says(&machine.fails(json!({ "from": from(&repo, "") })), &[why]);
        assert!(!machine.cache("datasets--lab--faces").exists(), "{path}");
    }
    let long = "x".repeat(300);
    let mut repo = faces();
    repo.more_rows = vec![row(&long)];
    let server = Server::start(vec![repo.clone()]);
    says(&Machine::of(&server).fails(json!({ "from": from(&repo, "") })), &["too long"]);
    // An invalid digest would be used as a file name in the cache.
    let mut repo = faces();
    repo.more_rows = vec![json!({ "type": "file", "path": "x", "oid": "../../../x", "size": 1 })];
    let server = Server::start(vec![repo.clone()]);
    says(&Machine::of(&server).fails(json!({ "from": from(&repo, "") })), &["no digest for `x`"]);
}

#[test]
fn two_runs_at_once_fetch_a_file_once() {
    let repo = faces();
    let server = Server::start(vec![repo.clone()]);
    let machine = Machine::of(&server);
    server.plan(Role::Storage, "/blobs/", 1, Fault::SlowAt(1_000, std::time::Duration::from_millis(300)));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| machine.fetch(json!({ "from": from(&repo, "/train.rec") })).unwrap());
        }
    });
    let asked = server.seen().into_iter().filter(|s| s.role == Role::Storage);
    let ranges: Vec<Option<String>> = asked.map(|s| s.headers.get("range").cloned()).collect();
    assert_eq!(ranges, [None, Some("bytes=1000-".to_owned())]);
}
