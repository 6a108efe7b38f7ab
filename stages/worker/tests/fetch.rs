//! Downloads under the runner: a manifest of one stage and a hub on this machine, including interrupted downloads.

#![allow(clippy::unwrap_used, clippy::panic)] // test helpers fail the test

#[path = "../../fetch/src/tests/server/mod.rs"]
mod server;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use server::{Fault, Repo, Role, Server, bytes, sha256};

struct Project {
    dir: tempfile::TempDir,
    server: Server,
    repo: Repo,
}

impl Project {
    fn new() -> Self {
        let mut repo = Repo::new(
            "datasets/lab/faces",
            &[("train.rec", &bytes(1, 3_000_000)), ("train.idx", b"1\t0\n"), ("lfw.bin", &bytes(2, 5_000))],
        );
        repo.card = json!({ "license": "cc-by-nc-4.0" });
        let dir = tempfile::tempdir().unwrap();
        let project = Self { dir, server: Server::start(vec![repo.clone()]), repo };
        project.write(&project.repo.commit, "licence = \"cc-by-nc-4.0\"");
        project
    }

    fn write(&self, revision: &str, rest: &str) {
        let manifest = format!(
            "[stage.download]\nkind = \"fetch\"\nfrom = \"hf://datasets/lab/faces@{revision}\"\nfiles = [\"train.*\"]\n{rest}\n"
        );
        std::fs::write(self.dir.path().join("pipeline.toml"), manifest).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let worker = Path::new(env!("CARGO_BIN_EXE_lfs-stages"));
        let runner = worker.with_file_name("lfs-pipe");
        assert!(runner.is_file(), "{} is not there: build the workspace", runner.display());
        let mut command = Command::new(runner);
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::null());
        // The runner passes these variables on to the worker.
        for name in [
            "LFS_CACHE",
            "HF_HOME",
            "HF_HUB_CACHE",
            "HF_HUB_OFFLINE",
            "HF_TOKEN",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
            "all_proxy",
        ] {
            command.env_remove(name);
        }
        command.env("LFS_WORKER", worker).env("HOME", self.dir.path().join("home"));
        command.env("HF_ENDPOINT", self.server.endpoint()).env_remove("XDG_CACHE_HOME");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(&[&["run"], args].concat()).output().unwrap()
    }

    fn ranges(&self) -> Vec<String> {
        let seen = self.server.seen().into_iter().filter(|s| s.role == Role::Storage);
        seen.map(|s| s.headers.get("range").cloned().unwrap_or_else(|| "all".to_owned())).collect()
    }
}

#[test]
fn a_pipeline_downloads_once_and_reports_the_files() {
    let project = Project::new();
    let out = project.run(&["--events", "events.jsonl"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let folder = project.dir.path().join("out/download");
    assert!(std::fs::read(folder.join("files/train.rec")).unwrap() == project.repo.files["train.rec"]);
    assert!(folder.join("files/train.idx").is_file() && !folder.join("files/lfw.bin").exists());
    let report: Value = serde_json::from_slice(&std::fs::read(folder.join("source.json")).unwrap()).unwrap();
    assert_eq!(report["commit"], project.repo.commit);
    assert_eq!(report["licence"], "cc-by-nc-4.0");
    assert_eq!(report["files"][1]["sha256"], sha256(&project.repo.files["train.rec"]));
    // The progress is in bytes with a total, from which the display estimates the remaining time.
    let events = std::fs::read_to_string(project.dir.path().join("events.jsonl")).unwrap();
    let progress: Vec<Value> = events
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap())
        .filter(|e| e["event"] == "node-progress")
        .collect();
    let last = progress.last().unwrap();
    assert_eq!(
        (&last["unit"], &last["done"], &last["total"]),
        (&json!("bytes"), &json!(3_000_004), &json!(3_000_004))
    );
    // The address of the hub is not part of the key: the second run makes no request, even if the hub does not exist.
    project.server.seen();
    let again = project.command(&["run"]).env("HF_ENDPOINT", "http://127.0.0.1:9").output().unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(project.server.seen().len(), 0);
}

#[test]
fn errors_state_the_line_to_write() {
    let project = Project::new();
    project.write("main", "");
    let out = project.run(&[]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{text}");
    let line = format!("from = \"hf://datasets/lab/faces@{}\"", project.repo.commit);
    assert!(text.contains(&line), "{text}");
    project.write(&project.repo.commit, "");
    let text = String::from_utf8_lossy(&project.run(&[]).stderr).into_owned();
    assert!(text.contains("licence = \"cc-by-nc-4.0\""), "{text}");
    assert_eq!(project.ranges(), Vec::<String>::new());
}

#[test]
fn an_interrupted_download_resumes() {
    for signal in ["-INT", "-KILL"] {
        let project = Project::new();
        project.server.plan(Role::Storage, "/blobs/", 1, Fault::SlowAt(1_000_000, Duration::from_secs(60)));
        let mut child = project.command(&["run"]).stderr(Stdio::null()).spawn().unwrap();
        let part = project.dir.path().join("home/.cache/huggingface/hub/datasets--lab--faces/blobs");
        let part = part.join(format!("{}.incomplete", sha256(&project.repo.files["train.rec"])));
        while std::fs::metadata(&part).map_or(0, |m| m.len()) < 1_000_000 {
            assert!(child.try_wait().unwrap().is_none(), "ended by itself");
            std::thread::sleep(Duration::from_millis(10));
        }
        // The first Ctrl-C lets the node finish, the second ends it.
        let send = || {
            assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success())
        };
        send();
        if signal == "-INT" {
            std::thread::sleep(Duration::from_millis(300));
            send();
        }
        assert!(!child.wait().unwrap().success());
        assert_eq!(project.ranges(), ["all"]);
        let out = project.run(&[]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(project.ranges(), ["bytes=1000000-"], "{signal}");
        let got = std::fs::read(project.dir.path().join("out/download/files/train.rec")).unwrap();
        assert!(got == project.repo.files["train.rec"]);
    }
}

#[test]
fn a_retried_stage_resumes_its_download() {
    let project = Project::new();
    // One more cut than a single attempt tolerates without new bytes.
    project.server.plan(Role::Storage, "/blobs/", 1, Fault::CutAt(1_000_000));
    project.server.plan(Role::Storage, "/blobs/", 4, Fault::Status(403, vec![]));
    let rest = "licence = \"cc-by-nc-4.0\"\nretries = 1";
    project.write(&project.repo.commit, rest);
    let out = project.run(&[]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut wanted = vec!["all".to_owned()];
    wanted.extend(std::iter::repeat_n("bytes=1000000-".to_owned(), 5));
    assert_eq!(project.ranges(), wanted);
}
