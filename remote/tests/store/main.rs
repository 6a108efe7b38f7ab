//! Transfer of results: from a cache to a store and into another cache. The store is a folder, or a real server that
//! speaks S3 and checks signatures.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faulty;
mod made_up;
mod server;
#[path = "../../../tests/runner/support.rs"]
#[allow(dead_code)]
mod support;
mod wrong;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value as Json;
use server::Server;
use support::{Project, Ran, files};

/// A command that leaves a file, a folder of many small files and a large one, and one that reads them.
const PIPELINE: &str = r#"
[stage.make]
kind = "command"
run = """
mkdir $OUT_many && cd $OUT_many && mkdir -p a/b a/nothing/in/here
for i in $(seq 300); do echo "$i of many" > a/$i.txt; done
printf '#!/bin/sh\n' > a/b/run.sh && chmod +x a/b/run.sh && : > empty
yes "$(cat $IN_seed)" | head -c 14000000 > large.bin
cp large.bin $OUT_large
: > $OUT_nothing
printf '#!/bin/sh\necho it runs\n' > $OUT_tool && cp $OUT_tool $OUT_text && chmod +x $OUT_tool
"""
input.seed = { path = "seed.txt" }
output = { many = "many", large = "large.bin", nothing = "nothing", text = "text", tool = "tool" }

[stage.sum]
kind = "command"
run = "cat $IN_large $IN_many/large.bin | cksum > $OUT_sum; ls -R $IN_many | wc -l >> $OUT_sum; date +%N >> $OUT_sum"
input = { large = "make.large", many = "make.many" }
output.sum = "sum.txt"

[stage.last]
kind = "command"
run = "wc -c < $IN_sum > $OUT_size; $IN_tool >> $OUT_size"
input = { sum = "sum.sum", tool = "make.tool" }
output.size = "size.txt"
"#;

/// Two caches with one pipeline, and a store.
struct Two {
    one: Project,
    other: Project,
    store: Store,
}

enum Store {
    Folder(tempfile::TempDir),
    S3(Server),
}

impl Store {
    fn folder() -> Self {
        Self::Folder(tempfile::tempdir().unwrap())
    }

    fn s3() -> Self {
        Self::S3(Server::start())
    }

    fn url(&self) -> String {
        match self {
            Self::Folder(dir) => dir.path().join("results of all").display().to_string(),
            Self::S3(_) => format!("s3://{}/results/of-all", server::BUCKET),
        }
    }

    /// Where the server or the folder keeps its files.
    fn root(&self) -> PathBuf {
        match self {
            Self::Folder(dir) => dir.path().to_owned(),
            Self::S3(server) => server.root(),
        }
    }

    /// The stored files of a kind.
    fn held(&self, kind: &str) -> Vec<PathBuf> {
        let inside = |p: &PathBuf| p.components().any(|c| c.as_os_str() == kind);
        files(&self.root()).into_iter().filter(inside).collect()
    }

    fn call(&self, project: &Project, args: &[&str]) -> Ran {
        let mut command = project.command(args);
        command.env("LFS_REMOTE", self.url());
        if let Self::S3(server) = self {
            command.envs(server.variables());
        }
        support::called(&mut command)
    }

    fn ok(&self, project: &Project, args: &[&str]) -> Ran {
        let ran = self.call(project, args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        ran
    }

    fn json(&self, project: &Project, args: &[&str]) -> Json {
        serde_json::from_str(&self.ok(project, args).out).unwrap()
    }
}

fn project() -> Project {
    let project = Project::new(PIPELINE);
    project.write("seed.txt", "0123456789");
    project
}

fn two(store: Store) -> Two {
    let one = project();
    one.run_ok(&[]);
    Two { one, other: project(), store }
}

/// The outputs of a pipeline, by name.
fn left(project: &Project) -> Vec<(String, Vec<u8>, bool)> {
    use std::os::unix::fs::PermissionsExt;
    let out = project.path("out");
    files(&out)
        .iter()
        // The journal of placed outputs belongs to this folder alone.
        .filter(|path| !path.starts_with(out.join(".lfs-pipe")))
        .map(|path| {
            let name = path.strip_prefix(&out).unwrap().display().to_string();
            let executable = path.metadata().unwrap().permissions().mode() & 0o100 != 0;
            (name, std::fs::read(path).unwrap(), executable)
        })
        .collect()
}

fn everything_travels(store: Store) {
    let Two { one, other, store } = two(store);
    let sent = store.json(&one, &["cache", "push", "--json"]);
    assert_eq!(sent["moved"]["results"], 3, "{sent}");
    let remote = store.json(&other, &["cache", "remote", "--json"]);
    assert_eq!((&remote["there"], &remote["nowhere"]), (&3.into(), &0.into()), "{remote}");
    let plan = store.json(&other, &["plan", "--pull", "--json"]);
    assert_eq!((&plan["to-fetch"], &plan["to-run"], &plan["depends"]), (&3.into(), &0.into(), &0.into()));
    assert!(plan["bytes-to-fetch"].as_u64().unwrap() > 28_000_000, "{plan}");
    let fetched = store.json(&other, &["cache", "pull", "--json"]);
    assert_eq!((&fetched["moved"]["results"], &fetched["missing"]), (&3.into(), &0.into()), "{fetched}");
    // The run computes nothing: one of the results would be different every time.
    let ran = other.run_ok(&[]);
    assert_eq!(ran.counts(), [0, 3, 0, 0]);
    assert_eq!(left(&one), left(&other));
    let executable = |end: &str| left(&other).iter().any(|(name, _, bit)| name.ends_with(end) && *bit);
    assert!(executable("run.sh") && executable("make/tool") && !executable("make/text"));
    assert!(other.path("out/make/many/a/nothing/in/here").is_dir(), "empty folders travel, too");
    assert_eq!(other.call(&["cache", "verify"]).code, 0);
    // Sending again sends nothing.
    let held = store.held("blobs");
    let again = store.json(&other, &["cache", "push", "--json"]);
    assert_eq!((&again["moved"]["results"], &again["moved"]["there"]), (&0.into(), &3.into()), "{again}");
    assert_eq!(store.held("blobs"), held);
    // Three hundred small files do not become three hundred objects.
    assert!(held.len() < 8, "{held:?}");
}

#[test]
fn results_travel_through_a_folder() {
    everything_travels(Store::folder());
}

#[test]
fn results_travel_through_a_server_that_speaks_s3() {
    everything_travels(Store::s3());
}

#[test]
fn a_wrong_key_is_refused_by_the_server_and_reported() {
    let Two { one, store, .. } = two(Store::s3());
    let Store::S3(server) = &store else { unreachable!() };
    let mut command = one.command(&["cache", "push"]);
    command.envs(server.variables()).env("LFS_REMOTE", store.url()).env("AWS_SECRET_ACCESS_KEY", "wrong");
    let ran = support::called(&mut command);
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.contains("refused") || ran.err.contains("SignatureDoesNotMatch"), "{}", ran.err);
    assert!(store.held("records").is_empty());
}

fn damage(store: Store) {
    let Two { one, other, store } = two(store);
    store.ok(&one, &["cache", "push"]);
    // Each blob, list and record in turn is shortened, or has a bit flipped.
    for kind in ["blobs", "folders", "records"] {
        for (i, file) in store.held(kind).into_iter().enumerate() {
            let whole = std::fs::read(&file).unwrap();
            let mut bytes = whole.clone();
            match bytes.len() {
                0 => bytes.push(0),
                n if i % 2 == 0 => bytes[n / 2] ^= 1,
                n => bytes.truncate(n / 2),
            }
            std::fs::write(&file, &bytes).unwrap();
            let fresh = project();
            let pulled = store.call(&fresh, &["cache", "pull", "--json"]);
            let said: Json = serde_json::from_str(&pulled.out).unwrap();
            if kind == "records" {
                assert!(said["missing"].as_u64().unwrap() > 0, "{said}");
            } else {
                assert_eq!(pulled.code, 4, "{}", pulled.out);
                assert!(pulled.err.contains("damaged"), "{}", pulled.err);
            }
            assert_eq!(fresh.call(&["cache", "verify"]).code, 0);
            std::fs::write(&file, &whole).unwrap();
        }
    }
    // A missing part is reported, and what does not need it arrives.
    let gone = store.held("folders").remove(0);
    std::fs::remove_file(&gone).unwrap();
    let pulled = store.call(&other, &["cache", "pull"]);
    assert_eq!(pulled.code, 4);
    assert!(pulled.err.contains("make: a part of it is missing in the store"), "{}", pulled.err);
    // Sending with `--again` repairs it.
    assert_eq!(store.json(&one, &["cache", "push", "--json"])["moved"]["there"], 3);
    assert!(!gone.exists());
    store.ok(&one, &["cache", "push", "--again"]);
    assert!(gone.exists());
    store.ok(&other, &["cache", "pull"]);
    assert_eq!(other.run_ok(&[]).counts(), [0, 3, 0, 0]);
    assert_eq!(left(&one), left(&other));
}

#[test]
fn damage_in_a_folder_is_noticed_on_arrival_and_repaired_by_sending_again() {
    damage(Store::folder());
}

#[test]
fn damage_in_the_cache_is_not_sent() {
    let Two { one, store, .. } = two(Store::folder());
    for object in one.objects() {
        use std::os::unix::fs::PermissionsExt;
        let mut bytes = std::fs::read(&object).unwrap();
        let Some(last) = bytes.last_mut() else { continue };
        *last ^= 1;
        std::fs::set_permissions(&object, PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::write(&object, bytes).unwrap();
    }
    let ran = store.call(&one, &["cache", "push"]);
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.contains("3 nodes could not be sent") && ran.err.contains("--repair"), "{}", ran.err);
    assert!(store.held("records").is_empty());
}

#[test]
fn a_result_with_other_bytes_is_reported_and_not_overwritten() {
    let Two { one, other, store } = two(Store::folder());
    store.ok(&one, &["cache", "push"]);
    let held: Vec<_> = store.held("records").into_iter().map(|p| (std::fs::read(&p).unwrap(), p)).collect();
    other.run_ok(&[]);
    let ran = store.ok(&other, &["cache", "push"]);
    assert!(ran.out.contains("the store holds a different result of sum"), "{}", ran.out);
    for (bytes, path) in held {
        assert!(std::fs::read(&path).unwrap() == bytes, "{} was written over", path.display());
    }
}

#[test]
fn a_run_fetches_what_it_would_compute_and_computes_what_is_nowhere() {
    let Two { one, other, store } = two(Store::s3());
    store.ok(&one, &["cache", "push", "sum"]);
    let events = other.path("events.jsonl");
    let ran = store.ok(&other, &["run", "--pull", "--events", events.to_str().unwrap()]);
    assert!(ran.err.contains("2 results fetched"), "{}", ran.err);
    let text = std::fs::read_to_string(&events).unwrap();
    assert!(text.lines().last().unwrap().contains(r#""executed":1,"cached":2"#), "{text}");
    assert_eq!(one.read("out/sum/sum.txt"), other.read("out/sum/sum.txt"));
}

/// Addresses at which no server answers: one refuses, one keeps silent.
#[test]
fn a_store_that_is_down_stops_nothing() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [closed.local_addr().unwrap().port(), silent.local_addr().unwrap().port()];
    drop(closed);
    let call = |project: &Project, port: u16, args: &[&str]| {
        let mut command = project.command(args);
        command.envs(server::variables(port)).env("LFS_REMOTE", "s3://results/here");
        support::called(&mut command)
    };
    let project = project();
    let ran = call(&project, ports[0], &["run", "--pull"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("warning: nothing more is fetched"), "{}", ran.err);
    let ran = call(&project, ports[0], &["cache", "push"]);
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.contains("nothing local depends on it"), "{}", ran.err);
    // If everything is cached, no server is even asked.
    assert_eq!(call(&project, ports[1], &["run", "--pull"]).code, 0);
    assert!(silent.set_nonblocking(true).is_ok() && silent.accept().is_err(), "somebody called");
    // Otherwise a silent server is given up for all results together, not for each.
    project.write("seed.txt", "9876543210");
    let ran = call(&project, ports[1], &["run", "--pull"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("does not answer"), "{}", ran.err);
}

#[test]
fn sending_and_fetching_that_are_killed_leave_nothing_half() {
    let Two { one, other, store } = two(Store::s3());
    for round in 0..12 {
        for (project, what) in [(&one, "push"), (&other, "pull")] {
            let mut command = project.command(&["cache", what]);
            let Store::S3(server) = &store else { unreachable!() };
            let mut child = command.envs(server.variables()).env("LFS_REMOTE", store.url()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(7 * round));
            let _ = child.kill();
            child.wait().unwrap();
        }
    }
    // A helper whose runner was killed ends by itself.
    store.ok(&one, &["cache", "push"]);
    store.ok(&other, &["cache", "pull"]);
    assert_eq!(other.run_ok(&[]).counts(), [0, 3, 0, 0]);
    assert_eq!(left(&one), left(&other));
    assert_eq!(other.call(&["cache", "verify"]).code, 0);
    let scratch = std::fs::read_dir(other.path("cache/scratch")).unwrap().flatten();
    assert_eq!(scratch.filter(|e| e.path().is_dir()).count(), 0);
}

#[test]
fn two_that_send_at_once_send_the_same() {
    let Two { one, other, store } = two(Store::s3());
    let Store::S3(server) = &store else { unreachable!() };
    let start = |_: usize| {
        let mut command = one.command(&["cache", "push"]);
        command.envs(server.variables()).env("LFS_REMOTE", store.url()).spawn().unwrap()
    };
    let all: Vec<_> = (0..4).map(start).collect();
    for mut child in all {
        assert!(child.wait().unwrap().success());
    }
    store.ok(&other, &["cache", "pull"]);
    assert_eq!(other.run_ok(&[]).counts(), [0, 3, 0, 0]);
}

#[test]
fn wrong_addresses_are_reported_before_anything_is_done() {
    let project = project();
    let say = |url: &str| {
        let ran = support::called(project.command(&["cache", "pull"]).env("LFS_REMOTE", url));
        assert_eq!(ran.code, 2, "{}", ran.err);
        ran.err
    };
    assert!(say("carrier-pigeon://a/b").contains("carrier-pigeon"));
    assert!(say("az://container/x").contains("--help"));
    let ran = project.call(&["cache", "pull"]);
    assert!(ran.code == 2 && ran.err.contains("no remote store is named"), "{}", ran.err);
}

#[test]
fn a_folder_beside_the_pipeline_is_one_by_any_spelling() {
    let project = project();
    project.run_ok(&[]);
    let own = project.path("pipeline.toml");
    let own = own.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let manifest = format!("[pipeline]\nremote = \"../{own}/x/../store\"\n{PIPELINE}");
    project.write("pipeline.toml", &manifest);
    let ran = project.call(&["cache", "push"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(project.path("store/records").is_dir());
}

#[test]
fn an_object_that_is_gone_here_costs_its_own_result_alone() {
    let Two { one, store, .. } = two(Store::folder());
    let size = one.read("out/last/size.txt").len() as u64;
    let is_it = |p: &PathBuf| p.is_file() && p.metadata().unwrap().len() == size;
    let gone = one.objects().into_iter().find(is_it).unwrap();
    std::fs::remove_file(&gone).unwrap();
    let ran = store.call(&one, &["cache", "push"]);
    assert_eq!(ran.code, 4);
    assert!(
        ran.err.contains("1 node could not be sent") && !ran.err.contains("remote store `"),
        "{}",
        ran.err
    );
    assert_eq!(store.held("records").len(), 2);
}

#[test]
fn a_collection_right_after_fetching_leaves_what_was_fetched() {
    let Two { one, other, store } = two(Store::folder());
    store.ok(&one, &["cache", "push"]);
    // Without any run gc would refuse: nothing says what to keep.
    other.run_ok(&["make"]);
    store.ok(&other, &["cache", "pull"]);
    assert_eq!(other.call(&["cache", "gc", "--keep-runs", "1"]).code, 0);
    assert_eq!(other.run_ok(&[]).counts(), [0, 3, 0, 0]);
    // It is spared once: afterwards, a result that no run has used is like any other.
    let cut = other.path("pipeline.toml");
    let only: String = std::fs::read_to_string(&cut).unwrap().split("[stage.sum]").next().unwrap().to_owned();
    std::fs::write(&cut, only).unwrap();
    other.run_ok(&[]);
    assert_eq!(other.call(&["cache", "gc", "--keep-runs", "1"]).code, 0);
    other.write("pipeline.toml", PIPELINE);
    assert_eq!(other.run_ok(&[]).counts(), [2, 1, 0, 0]);
}

#[test]
fn results_travel_through_a_plain_web_server_that_knows_neither_ranges_nor_conditions() {
    let Two { one, other, .. } = two(Store::folder());
    let web = server::Web::start();
    let call = |project: &Project, what: &str| {
        let ran = support::called(project.command(&["cache", what]).env("LFS_REMOTE", web.url()));
        assert_eq!(ran.code, 0, "{what}: {}", ran.err);
    };
    call(&one, "push");
    call(&other, "pull");
    assert_eq!(other.run_ok(&[]).counts(), [0, 3, 0, 0]);
    assert_eq!(left(&one), left(&other));
}

/// The helper is sent names, and answers; it needs no runner.
#[test]
fn the_program_that_moves_bytes_says_what_it_is() {
    let own = Path::new(env!("CARGO_BIN_EXE_lfs-remote"));
    let shown = Command::new(own).output().unwrap();
    assert_eq!(shown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&shown.stderr).contains("lfs-pipe cache"));
}
