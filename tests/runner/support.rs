//! A project in a folder of its own, and the program in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;

pub struct Project {
    dir: tempfile::TempDir,
}

/// The exit code, output and events of a run.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
    pub events: Vec<Json>,
}

impl Project {
    pub fn new(manifest: &str) -> Self {
        let project = Self { dir: tempfile::tempdir().unwrap() };
        project.write("pipeline.toml", manifest);
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Replaces a text in the manifest, which must be there.
    pub fn edit(&self, from: &str, to: &str) -> &Self {
        let text = self.read("pipeline.toml");
        assert!(text.contains(from), "{from} is not in the manifest");
        self.write("pipeline.toml", &text.replace(from, to))
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).current_dir(self.dir.path()).env("LFS_WORKER", "none").env("NO_COLOR", "1");
        command.env_remove("LFS_CACHE").stdin(Stdio::null());
        command
    }

    pub fn call(&self, args: &[&str]) -> Ran {
        called(&mut self.command(args))
    }

    /// `run` with these further arguments.
    pub fn run(&self, args: &[&str]) -> Ran {
        let events = self.path("events.jsonl");
        let _ = std::fs::remove_file(&events);
        let mut all = vec!["run", "--events", events.to_str().unwrap()];
        all.extend(args);
        let mut ran = self.call(&all);
        if let Ok(text) = std::fs::read_to_string(&events) {
            ran.events = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        }
        ran
    }

    /// `run`, which must succeed.
    pub fn run_ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran
    }

    pub fn json(&self, args: &[&str]) -> Json {
        let ran = self.call(args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    }

    /// All files below `objects`.
    pub fn objects(&self) -> Vec<PathBuf> {
        files(&self.path("cache/objects"))
    }
}

/// The program: two folders above a test.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().unwrap().parent().unwrap().join("lfs-pipe");
    assert!(program.is_file(), "{} is not there: build the workspace", program.display());
    program
}

pub fn called(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr), events: vec![] }
}

pub fn files(root: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

impl Ran {
    fn last(&self) -> &Json {
        let last = self.events.last().unwrap_or_else(|| panic!("no events: {}", self.err));
        assert_eq!(last["event"], "run-finished");
        last
    }

    /// Executed, cached, failed, skipped.
    pub fn counts(&self) -> [u64; 4] {
        ["executed", "cached", "failed", "skipped"].map(|k| self.last()[k].as_u64().unwrap())
    }

    /// The nodes that ended in this state, sorted.
    pub fn nodes(&self, state: &str) -> Vec<String> {
        let over = self.events.iter().filter(|e| e["event"] == "node-finished" && e["state"] == state);
        let mut names: Vec<String> = over.map(|e| e["node"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    pub fn executed(&self) -> Vec<String> {
        self.nodes("executed")
    }
}

/// Three stages, the middle one a matrix.
pub const CHAIN: &str = r#"
[vars]
greeting = "hello"

[stage.words]
kind = "command"
run = "grep -v '^#' $IN_text > $OUT_words"
input.text = { path = "notes.txt" }
output.words = "words.txt"

[stage.times]
kind = "command"
matrix = { n = [1, 2] }
run = "for i in $(seq ${matrix.n}); do cat $IN_words; done > $OUT_text"
input.words = "words"
output.text = "text.txt"

[stage.all]
kind = "command"
run = "echo ${vars.greeting} | cat - $IN_parts > $OUT_all"
input.parts = "times"
output.all = "all.txt"
"#;

pub fn chain() -> Project {
    let project = Project::new(CHAIN);
    project.write("notes.txt", "one\ntwo\n");
    project
}
