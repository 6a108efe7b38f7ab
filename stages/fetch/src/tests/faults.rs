//! Faults known from hubs, mirrors and storages, and how they are handled.

use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Fault, Repo, Role, Seen, Server, bytes, git, sha256};
use super::{Machine, says};
use crate::client::TRIES;

const COUNT: usize = 70_000;

struct Play {
    repo: Repo,
    server: Server,
    machine: Machine,
}

impl Play {
    fn new() -> Self {
        let repo = Repo::new(
            "datasets/lab/faces",
            &[("large.bin", &bytes(7, COUNT)), ("small.txt", b"a few words")],
        );
        let server = Server::start(vec![repo.clone()]);
        let machine = Machine::of(&server);
        Self { repo, server, machine }
    }

    fn with(role: Role, path: &'static str, times: usize, fault: Fault) -> Self {
        let play = Self::new();
        play.server.plan(role, path, times, fault);
        play
    }

    fn parameters(&self, file: &str) -> Value {
        json!({ "from": format!("hf://datasets/lab/faces@{}/{file}", self.repo.commit) })
    }

    /// Fetches a file, checks its bytes, and returns the requests for files.
    #[track_caller]
    fn comes(&self, file: &str) -> Vec<Seen> {
        let out = self.machine.fetch(self.parameters(file)).unwrap();
        assert!(out.files[file] == self.repo.files[file], "{file} is another");
        assert_eq!(self.left(), 0, "something incomplete is left");
        let total = self.repo.files[file].len() as u64;
        assert_eq!(out.progress.last(), Some(&(total, Some(total))));
        self.server.seen().into_iter().filter(|s| !s.path.starts_with("/api/")).collect()
    }

    /// Checks that the fetch fails and leaves nothing that could be mistaken for the file.
    #[track_caller]
    fn fails(&self, file: &str, words: &[&str]) {
        says(&self.machine.fails(self.parameters(file)), words);
        let cache = self.machine.cache("datasets--lab--faces");
        assert!(!cache.join("blobs").join(super::server::tag(&self.repo.files[file])).exists());
        assert!(!cache.join("snapshots").exists());
    }

    /// The number of partial files.
    fn left(&self) -> usize {
        let blobs = self.machine.cache("datasets--lab--faces/blobs");
        let names =
            std::fs::read_dir(blobs).map(|all| all.map(|e| e.unwrap().file_name()).collect::<Vec<_>>());
        names.unwrap_or_default().iter().filter(|n| n.to_str().unwrap().ends_with(".incomplete")).count()
    }

    fn part(&self) -> std::path::PathBuf {
        let name = format!("{}.incomplete", sha256(&self.repo.files["large.bin"]));
        self.machine.cache("datasets--lab--faces/blobs").join(name)
    }

    /// Creates a partial file, as an interrupted process leaves it.
    fn lay(&self, bytes: &[u8]) {
        std::fs::create_dir_all(self.part().parent().unwrap()).unwrap();
        std::fs::write(self.part(), bytes).unwrap();
    }
}

fn ranges(seen: &[Seen]) -> Vec<&str> {
    let storage = seen.iter().filter(|s| s.role == Role::Storage);
    storage.map(|s| s.headers.get("range").map_or("all", String::as_str)).collect()
}

#[test]
fn a_cut_transfer_resumes() {
    let play = Play::with(Role::Storage, "", 1, Fault::CutAt(20_000));
    assert_eq!(ranges(&play.comes("large.bin")), ["all", "bytes=20000-"]);
    // The same for a small file, which the hub itself serves.
    let play = Play::with(Role::Hub, "/resolve/", 1, Fault::CutAt(4));
    let seen = play.comes("small.txt");
    assert_eq!(seen[1].headers["range"], "bytes=4-");
    // As long as new bytes arrive, the number of attempts is not limited.
    let play = Play::with(Role::Storage, "", 9, Fault::CutAt(7_000));
    assert_eq!(ranges(&play.comes("large.bin")).len(), 10);
}

#[test]
fn the_partial_file_of_an_ended_process_is_resumed() {
    let play = Play::new();
    play.lay(&play.repo.files["large.bin"][..30_000]);
    assert_eq!(ranges(&play.comes("large.bin")), ["bytes=30000-"]);
    // A complete file that has not been renamed yet.
    let play = Play::new();
    play.lay(&play.repo.files["large.bin"]);
    assert_eq!(ranges(&play.comes("large.bin")), Vec::<&str>::new());
    // A part that is too long or wrong is fetched from the beginning.
    let play = Play::new();
    play.lay(&bytes(9, COUNT + 5));
    assert_eq!(ranges(&play.comes("large.bin")), ["all"]);
    let play = Play::new();
    play.lay(&bytes(9, 30_000));
    assert_eq!(ranges(&play.comes("large.bin")), ["bytes=30000-", "all"]);
}

#[test]
fn a_server_that_ignores_or_mistakes_a_range_is_asked_for_the_whole() {
    for (fault, wanted) in [
        (Fault::IgnoreRange, vec!["bytes=30000-"]),
        (Fault::WrongRange, vec!["bytes=30000-", "all"]),
        (Fault::NoContentRange, vec!["bytes=30000-", "all"]),
        (Fault::Status(416, vec![("Content-Range", "bytes */12".to_owned())]), vec!["bytes=30000-", "all"]),
    ] {
        let text = format!("{fault:?}");
        let play = Play::with(Role::Storage, "", 1, fault);
        play.lay(&play.repo.files["large.bin"][..30_000]);
        assert_eq!(ranges(&play.comes("large.bin")), wanted, "{text}");
    }
    // Also after a cut.
    let play = Play::with(Role::Storage, "", 1, Fault::CutAt(20_000));
    play.server.plan(Role::Storage, "", 1, Fault::IgnoreRange);
    assert_eq!(ranges(&play.comes("large.bin")), ["all", "bytes=20000-"]);
}

#[test]
fn requests_ask_for_no_compression_so_that_ranges_work() {
    // Like the real storage, this one compresses and ignores ranges if the request allows compression.
    let play = Play::with(Role::Storage, "", 1, Fault::CutAt(20_000));
    for seen in play.comes("large.bin") {
        assert_eq!(seen.headers["accept-encoding"], "identity");
    }
    let play = Play::with(Role::Storage, "", 100, Fault::Compressed);
    play.fails("large.bin", &["compresses (gzip)", "`large.bin`"]);
}

#[test]
fn faults_that_pass_are_waited_out() {
    for status in [500, 502, 503, 504, 408] {
        let play = Play::with(Role::Storage, "", 2, Fault::Status(status, vec![]));
        assert_eq!(ranges(&play.comes("large.bin")).len(), 3, "{status}");
        let play = Play::with(Role::Hub, "/api/", 2, Fault::Status(status, vec![]));
        assert_eq!(play.comes("small.txt").len(), 1, "{status}");
    }
    let play = Play::with(Role::Storage, "", 100, Fault::Status(503, vec![]));
    play.fails("large.bin", &["answers 503", "run again later", "`large.bin`"]);
    assert_eq!(ranges(&play.server.seen()).len(), TRIES as usize);
}

#[test]
fn the_wait_of_a_rate_limit_is_observed() {
    for headers in
        [vec![("Retry-After", "0".to_owned())], vec![("RateLimit", "\"resolvers\";r=0;t=0".to_owned())]]
    {
        let play = Play::with(Role::Hub, "/resolve/", 2, Fault::Status(429, headers));
        assert_eq!(play.comes("small.txt").len(), 3);
    }
    let past = "Wed, 21 Oct 2015 07:28:00 GMT".to_owned();
    let play = Play::with(Role::Hub, "/resolve/", 1, Fault::Status(429, vec![("Retry-After", past)]));
    assert_eq!(play.comes("small.txt").len(), 2);
    // Longer than the longest pause.
    let play =
        Play::with(Role::Hub, "/resolve/", 1, Fault::Status(429, vec![("Retry-After", "4000".to_owned())]));
    play.fails("small.txt", &["429", "wait 4000 s", "HF_TOKEN"]);
    assert_eq!(play.server.seen().iter().filter(|s| s.path.contains("/resolve/")).count(), 1);
}

#[test]
fn a_signed_address_that_ran_out_is_asked_for_again() {
    let play = Play::with(Role::Storage, "", 1, Fault::Status(403, vec![]));
    let seen = play.comes("large.bin");
    let asked: Vec<Role> = seen.iter().map(|s| s.role).collect();
    assert_eq!(asked, [Role::Hub, Role::Storage, Role::Hub, Role::Storage]);
    let play = Play::with(Role::Storage, "", 100, Fault::Status(403, vec![]));
    play.fails("large.bin", &["its storage does not", "answers 403", "localhost", "allow that host"]);
    // The signature does not appear in the message.
    let text = play.machine.fails(play.parameters("large.bin")).to_string();
    assert!(!text.contains("signature"), "{text}");
}

#[test]
fn wrong_bytes_of_the_right_number_are_never_taken() {
    let play = Play::with(Role::Storage, "", 1, Fault::WrongBytes);
    assert_eq!(ranges(&play.comes("large.bin")), ["all", "all"]);
    let play = Play::with(Role::Storage, "", 100, Fault::WrongBytes);
    play.fails("large.bin", &["not what it must be", &sha256(&play.repo.files["large.bin"])]);
    assert_eq!((ranges(&play.server.seen()).len(), play.left()), (2, 0));
    // A small file is checked against git's digest.
    let play = Play::with(Role::Hub, "/resolve/", 100, Fault::WrongBytes);
    play.fails("small.txt", &["git's SHA-1", &git(b"a few words")]);
}

#[test]
fn a_page_or_another_length_in_the_place_of_a_file_is_not_taken() {
    for fault in [Fault::LoginPage, Fault::OtherLength, Fault::TooMany] {
        let text = format!("{fault:?}");
        let play = Play::with(Role::Storage, "", 1, fault.clone());
        assert_eq!(ranges(&play.comes("large.bin")), ["all", "all"], "{text}");
        let play = Play::with(Role::Storage, "", 100, fault);
        play.fails("large.bin", &["`large.bin` cannot be fetched", "bytes"]);
    }
    let play = Play::with(Role::Hub, "/api/", 100, Fault::LoginPage);
    says(&play.machine.fails(play.parameters("small.txt")), &["no such JSON", "log-in page"]);
}

#[test]
fn a_renamed_repository_is_found_though_the_redirection_names_no_commit() {
    let mut repo =
        Repo::new("datasets/lab/new-name", &[("large.bin", &bytes(7, COUNT)), ("small.txt", b"words")]);
    repo.before = Some("datasets/lab/faces".to_owned());
    let server = Server::start(vec![repo.clone()]);
    let mut machine = Machine::of(&server);
    machine.set("HF_TOKEN", "hf_mine");
    let out = machine.fetch(json!({ "from": format!("hf://datasets/lab/faces@{}", repo.commit) })).unwrap();
    assert_eq!(out.files, repo.files);
    let seen = server.seen();
    assert!(seen.iter().any(|s| s.path.contains("/lab/faces/resolve/")));
    // The same host, to which the token may be sent again.
    let moved = seen.iter().filter(|s| s.role == Role::Hub && s.path.contains("new-name"));
    assert!(moved.clone().count() > 2 && moved.clone().all(|s| s.headers.contains_key("authorization")));
}

#[test]
fn a_hub_that_contradicts_itself_is_not_believed() {
    let digest = sha256(b"of something else");
    for (name, value, word) in [
        ("X-Repo-Commit", "1".repeat(40), "the commit"),
        ("X-Linked-Size", "12".to_owned(), "the size"),
        ("X-Linked-Etag", format!("\"{digest}\""), "the digest"),
    ] {
        let play = Play::with(Role::Hub, "/resolve/", 1, Fault::Header(name, Some(value)));
        play.fails("large.bin", &["contradicts itself", word]);
    }
    let play =
        Play::with(Role::Hub, "/resolve/", 1, Fault::Header("ETag", Some(format!("W/\"{}\"", git(b"no")))));
    play.fails("small.txt", &["contradicts itself", "the digest"]);
    // A mirror without these headers is trusted by the bytes alone.
    for name in ["X-Repo-Commit", "X-Linked-Size", "X-Linked-Etag"] {
        Play::with(Role::Hub, "/resolve/", 1, Fault::Header(name, None)).comes("large.bin");
    }
}

#[test]
fn redirections_that_lead_nowhere_good_are_refused() {
    for (to, word) in [
        ("file:///etc/passwd", "no address"),
        ("/elsewhere", "/elsewhere answers 401"),
        ("http://", "no address"),
    ] {
        let play =
            Play::with(Role::Hub, "/resolve/", 1, Fault::Status(302, vec![("Location", to.to_owned())]));
        play.fails("small.txt", &[word]);
    }
    let play = Play::new();
    let own = format!("/datasets/lab/faces/resolve/{}/small.txt", play.repo.commit);
    play.server.plan(Role::Hub, "/resolve/", 1000, Fault::Status(307, vec![("Location", own)]));
    play.fails("small.txt", &["more than 10 times"]);
}

#[test]
fn a_silent_server_is_retried() {
    let mut play = Play::with(Role::Storage, "", 1, Fault::Silent);
    play.machine.set("HF_HUB_DOWNLOAD_TIMEOUT", "1");
    assert_eq!(ranges(&play.comes("large.bin")), ["all", "all"]);
    let mut play = Play::with(Role::Storage, "", 1, Fault::SlowAt(20_000, Duration::from_secs(3)));
    play.machine.set("HF_HUB_DOWNLOAD_TIMEOUT", "1");
    assert_eq!(ranges(&play.comes("large.bin")), ["all", "bytes=20000-"]);
}

#[test]
fn an_unreachable_hub_is_reported_with_its_address() {
    let mut machine = Machine::new(&[]);
    // The port was just released, so that no process listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    machine.set("HF_ENDPOINT", &format!("http://127.0.0.1:{port}"));
    let failure = machine.fails(json!({ "from": format!("hf://lab/net@{}", "0".repeat(40)) }));
    says(&failure, &[&port.to_string(), "refused", "run again"]);
}

#[test]
fn a_damaged_blob_is_fetched_again_and_reported() {
    for (file, left) in [("large.bin", false), ("small.txt", true)] {
        let play = Play::new();
        play.comes(file);
        let blob =
            play.machine.cache("datasets--lab--faces/blobs").join(super::server::tag(&play.repo.files[file]));
        let mut bytes = std::fs::read(&blob).unwrap();
        bytes[3] ^= 0x40;
        std::fs::write(&blob, bytes).unwrap();
        if left {
            // Also without the link.
            std::fs::remove_dir_all(play.machine.cache("datasets--lab--faces/snapshots")).unwrap();
        }
        let out = play.machine.fetch(play.parameters(file)).unwrap();
        assert_eq!(out.files[file], play.repo.files[file]);
        assert!(out.warnings.len() == 1 && out.warnings[0].contains("damaged"), "{:?}", out.warnings);
        assert_eq!(std::fs::read(&blob).unwrap(), play.repo.files[file]);
    }
}
