//! Readers under mutated input: no panic, and no more memory than the input warrants.
//!
//! Each target takes real texts, mutates them, and reads the result. Two seconds each by default;
//! `LFS_FUZZ_SECONDS=600` (`just fuzz`) for a campaign. A failing input is written to a file that the panic names.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use lfs_pipe::cache::Cache;
use lfs_pipe::fingerprint::Fingerprint;
use lfs_pipe::lock::Lock;
use lfs_pipe::manifest::Manifest;
use lfs_pipe::plan::{Grounds, Kinds, build};
use lfs_stage::Reply;

/// Peak memory that reading small inputs may take, in KiB.
const MOST_MEMORY: u64 = 1 << 20;

struct Mutator {
    state: u64,
    corpus: Vec<Vec<u8>>,
    words: Vec<&'static [u8]>,
}

impl Mutator {
    fn new(corpus: Vec<Vec<u8>>, words: &[&'static str]) -> Self {
        let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        eprintln!("seed {seed}");
        assert!(!corpus.is_empty());
        Self { state: seed | 1, corpus, words: words.iter().map(|w| w.as_bytes()).collect() }
    }

    fn below(&mut self, n: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % n.max(1)
    }

    fn next(&mut self) -> Vec<u8> {
        let pick = self.below(self.corpus.len());
        let mut bytes = self.corpus[pick].clone();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let end = (at + 1 + self.below(40)).min(bytes.len());
            match self.below(8) {
                0 if !bytes.is_empty() => {
                    let at = at.min(bytes.len() - 1);
                    bytes[at] ^= 1 << self.below(8);
                }
                1 => drop(bytes.drain(at.min(end)..end)),
                2 => {
                    let pick = self.below(self.words.len());
                    let word = self.words[pick];
                    bytes.splice(at..at, word.iter().copied());
                }
                3 => {
                    let copy = bytes[at.min(end)..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, copy);
                }
                4 => {
                    let other = self.below(self.corpus.len());
                    let from = self.below(self.corpus[other].len());
                    let piece: Vec<u8> = self.corpus[other][from..].iter().take(60).copied().collect();
                    bytes.splice(at..at, piece);
                }
                5 => bytes.truncate(at),
                6 => {
                    let byte = self.below(256) as u8;
                    let count = self.below(200);
                    bytes.splice(at..at, std::iter::repeat_n(byte, count));
                }
                _ => {
                    let number = [u64::MAX, 0, 1 << 31, u64::from(u32::MAX), 1 << 63][self.below(5)];
                    bytes.splice(at..at, number.to_string().into_bytes());
                }
            }
        }
        bytes.truncate(1 << 16);
        bytes
    }
}

/// Runs a target until its time is over.
fn campaign(name: &str, mut mutator: Mutator, target: &dyn Fn(&[u8])) {
    let seconds = std::env::var("LFS_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(2.0);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut count = 0_u64;
    while Instant::now() < until {
        let input = mutator.next();
        if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
            let file = std::env::temp_dir().join(format!("lfs-fuzz-{name}"));
            std::fs::write(&file, &input).unwrap();
            panic!("{name} panicked on the input in {}", file.display());
        }
        count += 1;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    eprintln!("{name}: {count} inputs in {seconds} s, peak memory {} MiB", peak >> 10);
    assert!(peak < MOST_MEMORY, "{name}: {peak} KiB");
}

fn texts(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(root).unwrap().flatten().map(|e| e.path());
    files.filter(|p| p.extension().is_some_and(|e| e == ending)).map(|p| std::fs::read(p).unwrap()).collect()
}

#[test]
fn manifest() {
    let mut corpus = texts("pipelines", "toml");
    corpus.extend(texts(".", "toml"));
    corpus.push(b"[vars]\na = 1\n[stage.s]\nkind = \"command\"\nrun = \"x ${vars.a} ${matrix.n}\"\nmatrix = { n = [1, 2], include = [{ n = 3 }], exclude = [{ n = 1 }] }\noutput.o = \"o\"\ninput.i = { path = \"Cargo.*\" }\nresources = { cpu = \"all\", memory = \"1 GiB\" }\ntimeout = \"3 min\"\nstrict = [\"/x\"]\n".to_vec());
    let words = [
        "${vars.",
        "${matrix.",
        "${env.X:-y}",
        "}",
        "[[stage.a]]",
        "[stage.a]\n",
        "kind = \"command\"\n",
        "matrix = {",
        "include = [",
        "exclude = [",
        "input.a = \"s.o\"\n",
        "output.o = \"../x\"\n",
        "strict = ",
        "1e999",
        "-0",
        "\"\"\"",
        "'''",
        "\n",
        "=",
        ".",
        "\u{feff}",
        "é",
    ];
    // A matrix of millions is refused; patterns of files are those of this folder.
    campaign("manifest", Mutator::new(corpus, &words), &|bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        // Patterns that walk the whole disk take long, which is not an error.
        if text.contains("**") {
            return;
        }
        for sets in [&[][..], &["x=1".to_owned(), "s.run=y".to_owned()][..]] {
            match Manifest::from_text(Path::new("pipeline.toml"), text, sets) {
                Ok(manifest) => {
                    let plan = build(&manifest, &Kinds::default(), Default::default(), &Grounds::default());
                    drop(plan.map_err(|fault| fault.to_string()));
                }
                Err(fault) => drop(fault.to_string()),
            }
        }
    });
}

#[test]
fn lock() {
    let corpus = vec![
        b"version = 1\n\n[code.ab]\n\"x/src/y.rs\" = \"cd\"\n\n[node.\"a[n=1]\"]\nkind = \"train\"\nkey = \"0000000000000000000000000000000000000000000000000000000000000000\"\ncode = \"ab\"\n\n[node.\"a[n=1]\".environment]\ncpu = \"avx2\"\n\n[node.\"a[n=1]\".outputs]\no = \"1111111111111111111111111111111111111111111111111111111111111111\"\n\n[node.\"a[n=1]\".metrics]\nloss = 0.5\n".to_vec(),
    ];
    let words = ["version = 1\n", "[node.x]\n", "nan", "inf", "\"", "[", "]", "\n", "key = ", "outputs"];
    campaign("lock", Mutator::new(corpus, &words), &|bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(lock) = Lock::parse(text) {
            // What was read can be written, and read again as the same.
            let again = Lock::parse(&lock.text().unwrap()).unwrap();
            let finite = lock.node.values().all(|n| n.metrics.values().all(|m| m.is_finite()));
            assert!(!finite || again == lock);
        }
    });
}

#[test]
fn records() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("p");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("pipeline.toml"), "[stage.a]\nkind = \"command\"\nmatrix.n = [1, 2, 3]\nrun = \"echo ${matrix.n} > $OUT_o\"\noutput.o = \"o\"\n").unwrap();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_lfs-pipe"))
        .args(["run", "-q"])
        .current_dir(&project)
        .status();
    assert!(run.unwrap().success());
    let corpus = vec![std::fs::read(project.join("cache/records")).unwrap()];
    let cache: PathBuf = folder.path().join("cache");
    campaign(
        "records",
        Mutator::new(corpus, &["\u{f5}lg\n", "N", "X", "U", "{\"fingerprint\":", "}"]),
        &|bytes| {
            std::fs::create_dir_all(cache.join("objects")).unwrap();
            std::fs::write(cache.join("records"), bytes).unwrap();
            let cache = Cache::open(&cache, Path::new("/pipeline.toml")).unwrap();
            for key in cache.node_keys() {
                drop(cache.record(&key));
                drop(cache.fingerprint::<Fingerprint>(&key));
            }
            cache.stats().unwrap();
        },
    );
}

#[test]
fn messages() {
    let corpus = vec![
        br#"{"reply":"progress","doing":"epoch 1","done":3,"total":9,"unit":"images","figures":{"loss":0.5}}"#.to_vec(),
        br#"{"event":"progress","doing":"epoch 1","done":3,"total":9,"unit":"images","figures":{"loss":0.5}}"#.to_vec(),
        br#"{"event":"steps","steps":[{"name":"a","spec":{"x":[1,2]},"choices":["m"],"inputs":["i"],"after":["00"]}]}"#.to_vec(),
        br#"{"event":"failed","message":"no","help":"yes"}"#.to_vec(),
        br#"{"event":"metric","name":"loss","value":1e308}"#.to_vec(),
    ];
    let words = ["{", "}", "[", "]", "null", "\"event\":", "\"step-done\"", "\"index\":", "\\ud800", "1e400"];
    campaign("messages", Mutator::new(corpus, &words), &|bytes| {
        if let Ok(text) = std::str::from_utf8(bytes)
            && let Ok(reply) = serde_json::from_str::<Reply>(text)
        {
            drop(serde_json::to_string(&reply).unwrap());
        }
    });
}
