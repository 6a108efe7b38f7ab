//! Stores that are broken: they cost a warning, and a little time.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lfs_core::digest::Digest;
use lfs_core::messages::{Answer, Asked, Job, Outcome};

use super::faulty::{ALL, Fault, Faulty, REDIRECTIONS};
use super::support::{self, Project, Ran, files};

/// One result that is a folder, one that is a file, and one made of both.
const PIPELINE: &str = r#"
[stage.folder]
kind = "command"
run = "mkdir $OUT_o && yes a | head -n 50 > $OUT_o/a && echo b > $OUT_o/b"
output.o = "o"

[stage.file]
kind = "command"
run = "yes c | head -n 50 > $OUT_o"
output.o = "o"

[stage.both]
kind = "command"
run = "cat $IN_folder/* $IN_file > $OUT_o"
input = { folder = "folder", file = "file" }
output.o = "o"
"#;

/// The longest time that anything may take here. Missing bodies and heads are waited for 15 s, at most three in a row.
const REASONABLE: Duration = Duration::from_secs(75);

/// A folder with all the results.
pub fn filled() -> (tempfile::TempDir, Project) {
    let (dir, project) = (tempfile::tempdir().unwrap(), Project::new(PIPELINE));
    project.run_ok(&[]);
    let ran = call(&project, &dir.path().display().to_string(), &["cache", "push"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    (dir, project)
}

fn call(project: &Project, url: &str, args: &[&str]) -> Ran {
    support::called(project.command(args).env("LFS_REMOTE", url))
}

/// Runs with a store that is wrong: every result is right, in time. Returns the messages.
pub fn runs(url: &str, what: &str) -> String {
    let (project, began) = (Project::new(PIPELINE), Instant::now());
    let ran = call(&project, url, &["run", "--pull"]);
    let took = began.elapsed();
    assert_eq!(ran.code, 0, "{what}: {}", ran.err);
    assert_eq!(project.read("out/both/o"), format!("{}b\n{}", "a\n".repeat(50), "c\n".repeat(50)), "{what}");
    assert!(took < REASONABLE, "{what}: {took:?}");
    for word in ["panicked", "memory allocation", "defect", "before its work was done"] {
        assert!(!ran.err.contains(word), "{what}: {}", ran.err);
    }
    assert_eq!(project.call(&["cache", "verify"]).code, 0, "{what}");
    ran.err
}

pub fn pulls(url: &str, what: &str) {
    let ran = call(&Project::new(PIPELINE), url, &["cache", "pull"]);
    assert_eq!(ran.code, 4, "{what}: {}{}", ran.out, ran.err);
}

/// Does something with each, several at once, since most of them wait.
fn each<T: Sync + Copy>(all: &[T], doing: impl Fn(T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    doing(*one);
                }
            });
        }
    });
}

/// Every fault with every kind of name.
#[test]
fn a_run_goes_on_without_a_store_that_answers_wrongly_and_says_so() {
    let (dir, _) = filled();
    let faults: Vec<(&str, Fault)> = ["records", "folders", "blobs", "any"]
        .into_iter()
        .flat_map(|kind| ALL.iter().chain(&REDIRECTIONS).map(move |fault| (kind, *fault)))
        .collect();
    each(&faults, |(kind, fault)| {
        let store = Faulty::start(dir.path(), kind, fault);
        let what = format!("{kind}: {fault:?}");
        let said = runs(&store.url(), &what);
        // A whole text that claims to be a piece is still the whole text, and a missing name is not an error.
        let harmless = matches!(
            (kind, fault),
            ("records" | "folders", Fault::HugeRange) | ("records" | "any", Fault::EndlessStatus(404))
        );
        if !harmless {
            assert!(said.contains("warning: ") && said.contains(&store.url()), "{what}: {said}");
            pulls(&store.url(), &what);
        }
    });
}

/// The same with a server that is addressed as S3.
#[test]
fn a_run_goes_on_without_a_server_of_s3_that_answers_wrongly() {
    let dir = tempfile::tempdir().unwrap();
    let faults: Vec<Fault> = ALL.iter().chain(&REDIRECTIONS).copied().collect();
    each(&faults, |fault| {
        let (server, project, began) =
            (Faulty::start(dir.path(), "any", fault), Project::new(PIPELINE), Instant::now());
        let mut command = project.command(&["run", "--pull"]);
        command.envs(super::server::variables(server.port())).env("LFS_REMOTE", "s3://results/of");
        let ran = support::called(&mut command);
        assert_eq!(ran.code, 0, "{fault:?}: {}", ran.err);
        assert!(began.elapsed() < REASONABLE, "{fault:?}");
        let nothing_there = matches!(fault, Fault::EndlessStatus(404));
        assert!(nothing_there || ran.err.contains("s3://results/of"), "{fault:?}: {}", ran.err);
        assert!(!ran.err.contains("before its work was done"), "{fault:?}: {}", ran.err);
    });
}

#[test]
fn sending_to_a_store_that_answers_wrongly_fails_and_says_so() {
    let (dir, project) = filled();
    let quick: Vec<Fault> = ALL
        .iter()
        .chain(&REDIRECTIONS)
        .copied()
        .filter(|f| !matches!(f, Fault::EndlessStatus(404)))
        .collect();
    each(&quick, |fault| {
        // As long as it says that it took something, it is trusted.
        if matches!(
            fault,
            Fault::Page
                | Fault::Zeros
                | Fault::Flip
                | Fault::Cut
                | Fault::Empty
                | Fault::HugeRange
                | Fault::Short
                | Fault::Drip
                | Fault::Endless
                | Fault::Huge
                | Fault::HugeAndSilent
        ) {
            return;
        }
        let (store, began) = (Faulty::start(dir.path(), "any", fault), Instant::now());
        let ran = call(&project, &store.url(), &["cache", "push"]);
        assert_eq!(ran.code, 4, "{fault:?}: {}{}", ran.out, ran.err);
        assert!(began.elapsed() < REASONABLE && ran.err.contains(&store.url()), "{fault:?}: {}", ran.err);
    });
}

/// Replaces a stored file by something else.
type Replace = fn(&Path);

const REPLACE: [(&str, Replace); 7] = [
    ("a pipe", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
    ("a socket", |path| drop(std::os::unix::net::UnixListener::bind(short(path)).unwrap())),
    ("a folder", |path| std::fs::create_dir_all(path.join("below")).unwrap()),
    ("a device", |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap()),
    ("a ring", |path| std::os::unix::fs::symlink(path, path).unwrap()),
    ("a small file", |path| std::fs::write(path, "{}").unwrap()),
    ("a large file", |path| std::fs::File::create(path).unwrap().set_len(10 << 40).unwrap()),
];

/// A socket's path must be short: it is bound through the open folder.
fn short(path: &Path) -> PathBuf {
    use std::os::fd::AsRawFd;
    let folder = Box::leak(Box::new(std::fs::File::open(path.parent().unwrap()).unwrap()));
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(path.file_name().unwrap())
}

pub fn held(store: &Path, kind: &str) -> Vec<PathBuf> {
    files(&store.join(kind))
}

#[test]
fn what_is_no_file_in_a_folder_of_results_is_never_waited_for() {
    for kind in ["records", "folders", "blobs"] {
        for (name, replace) in REPLACE {
            let what = format!("{name} in the place of {kind}");
            let (dir, project) = filled();
            for file in held(dir.path(), kind) {
                std::fs::remove_file(&file).unwrap();
                replace(&file);
            }
            let url = dir.path().display().to_string();
            let said = runs(&url, &what);
            assert!(said.contains("warning: ") && said.contains(&url), "{what}: {said}");
            pulls(&url, &what);
            // Sending replaces it, unless it is a folder.
            let sent = call(&project, &url, &["cache", "push", "--again"]);
            if name == "a folder" {
                assert!(sent.code == 4 && sent.err.contains("is a folder"), "{what}: {}", sent.err);
            } else if name != "a ring" {
                assert_eq!(sent.code, 0, "{what}: {}", sent.err);
                let fetched = call(&Project::new(PIPELINE), &url, &["cache", "pull"]);
                assert_eq!(fetched.code, 0, "{what}: {}", fetched.err);
            }
        }
    }
}

#[test]
fn one_thing_that_is_wrong_spoils_its_own_result_alone() {
    for kind in ["records", "folders", "blobs"] {
        for (name, replace) in REPLACE {
            let what = format!("{name} in the place of one of {kind}");
            let (dir, _) = filled();
            let file = held(dir.path(), kind).remove(0);
            std::fs::remove_file(&file).unwrap();
            replace(&file);
            let said = runs(&dir.path().display().to_string(), &what);
            assert_eq!(said.matches("is computed, not fetched").count(), 1, "{what}: {said}");
            assert!(said.contains("results fetched"), "{what}: {said}");
        }
    }
}

#[test]
fn what_is_in_the_place_of_a_folder_of_the_store_is_reported() {
    let made = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    for place in ["", "records", "folders", "blobs"] {
        let (dir, _) = filled();
        let store = dir.path().join("store");
        let file = if place.is_empty() { store.clone() } else { store.join(place) };
        std::fs::create_dir_all(&store).unwrap();
        for kind in ["records", "folders", "blobs"] {
            std::fs::rename(dir.path().join(kind), store.join(kind)).unwrap();
        }
        std::fs::rename(&file, dir.path().join("aside")).unwrap();
        made(&file);
        let url = store.display().to_string();
        let said = runs(&url, place);
        assert!(said.contains("warning: ") && said.contains(&url), "{place}: {said}");
        pulls(&url, place);
    }
}

#[test]
fn names_that_belong_to_no_result_are_passed_over() {
    use std::os::unix::ffi::OsStrExt;
    let (dir, _) = filled();
    for kind in ["records", "folders", "blobs"] {
        for name in [&b"\xff\xfe"[..], b"a\nb", b"..x", b"%2e%2e", b"#1 ?x=y", b"ab"] {
            std::fs::write(dir.path().join(kind).join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
        }
    }
    let fetched = call(&Project::new(PIPELINE), &dir.path().display().to_string(), &["cache", "pull"]);
    assert_eq!(fetched.code, 0, "{}", fetched.err);
    assert!(fetched.out.contains("3 results fetched"), "{}", fetched.out);
}

/// Sends jobs to `lfs-remote` itself. Returns the outcomes and its peak memory.
fn ask(url: &str, jobs: Vec<Job>) -> (Vec<Outcome>, u64) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lfs-remote"))
        .arg(url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let mut open = jobs.len();
    let mut outcomes = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (id, job) in (0..).zip(jobs) {
                writeln!(to, "{}", serde_json::to_string(&Asked { id, job }).unwrap()).unwrap();
            }
            to.flush().unwrap();
        });
        while open > 0 {
            let line = lines.next().expect("it is gone").unwrap();
            if let Answer::Over { outcome, .. } = serde_json::from_str(&line).unwrap() {
                open -= 1;
                outcomes.push(match outcome {
                    Outcome::Text(text) => Outcome::Text(text.chars().take(10).collect()),
                    other => other,
                });
            }
        }
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    let peak = peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
    child.kill().unwrap();
    child.wait().unwrap();
    (outcomes, peak)
}

#[test]
fn no_answer_of_a_store_fills_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let faults = [
        Fault::Endless,
        Fault::Huge,
        Fault::HugeAndSilent,
        Fault::EndlessStatus(500),
        Fault::EndlessStatus(403),
        Fault::EndlessStatus(404),
        Fault::EndlessHead,
        Fault::HugeRange,
    ];
    for fault in faults {
        let store = Faulty::start(dir.path(), "any", fault);
        let to = tempfile::tempdir().unwrap();
        let fetch = |i: u64| Job::Fetch {
            name: format!("blobs/{i}"),
            digest: Digest::derive("t", b"x"),
            bytes: 40 << 20,
            to: to.path().join(i.to_string()),
        };
        let reads = (0..100).map(|i| Job::Read { name: format!("records/{i}") });
        let (outcomes, peak) = ask(&store.url(), reads.chain((0..100).map(fetch)).collect());
        assert!(!outcomes.contains(&Outcome::Done), "{fault:?}");
        eprintln!("{fault:?}: at the most {} MiB", peak >> 20);
        assert!(peak < 300 << 20, "{fault:?}: {} MiB", peak >> 20);
        assert_eq!(files(to.path()).len(), 0, "{fault:?}");
    }
}

/// Texts of the largest size are held two at a time.
#[test]
fn many_large_texts_are_not_held_at_once() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("records")).unwrap();
    let large = "x".repeat(64 << 20);
    for i in 0..12 {
        std::fs::write(dir.path().join(format!("records/{i}")), &large).unwrap();
    }
    let reads: Vec<Job> = (0..12).map(|i| Job::Read { name: format!("records/{i}") }).collect();
    let (outcomes, peak) = ask(&dir.path().display().to_string(), reads);
    assert_eq!(outcomes, vec![Outcome::Text("x".repeat(10)); 12]);
    eprintln!("large texts: at the most {} MiB", peak >> 20);
    assert!(peak < 500 << 20, "{} MiB", peak >> 20);
    // One byte more is too much.
    std::fs::write(dir.path().join("records/0"), large + "x").unwrap();
    let (outcomes, _) =
        ask(&dir.path().display().to_string(), vec![Job::Read { name: "records/0".to_owned() }]);
    assert!(matches!(&outcomes[0], Outcome::Broken(why) if why.contains("67108864")), "{outcomes:?}");
}
