//! A small world, and its ground truth.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lfs_stage::{Job, Stage, run_in_place};
use lfs_synthesize::{Params, Set, Synthesize};

pub struct Made {
    pub folder: tempfile::TempDir,
}

/// One line of truth.csv.
#[derive(Debug, Clone)]
pub struct Row {
    pub set: String,
    pub path: String,
    pub identity: Option<u64>,
    pub label: String,
    pub fault: String,
    pub yaw: f32,
    pub age: f32,
    pub size: [f32; 2],
    pub points: Vec<f32>,
}

/// Small parameters with many faults.
pub fn small(sets: &[Set]) -> Params {
    Params {
        identities: 12,
        images_per_identity: 8.0,
        images_spread: 2.0,
        size: 64,
        test_identities: 20,
        pairs_per_fold: 4,
        distractors: 25,
        sets: sets.to_vec(),
        label_flips: 0.08,
        strangers: 0.08,
        non_faces: 0.08,
        exact_duplicates: 0.08,
        near_duplicates: 0.08,
        truncated: 0.08,
        overlaps: 0.5,
        noisy: 0.15,
        ..Params::default()
    }
}

pub fn make(params: &Params, threads: usize) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let outputs =
        Synthesize::OUTPUTS.iter().map(|o| (o.name.to_owned(), folder.path().join(o.path))).collect();
    let job = Job {
        node: "world".to_owned(),
        kind: "synthesize".to_owned(),
        parameters: serde_json::to_value(params).unwrap(),
        inputs: BTreeMap::new(),
        outputs,
        scratch: folder.path().join("scratch"),
        threads,
        earlier: BTreeMap::new(),
    };
    let (result, _) = run_in_place(&Synthesize, &job);
    result.unwrap();
    Made { folder }
}

impl Made {
    pub fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    pub fn text(&self, part: &str) -> String {
        std::fs::read_to_string(self.path(part)).unwrap_or_else(|e| panic!("{part}: {e}"))
    }

    pub fn lines(&self, part: &str) -> Vec<String> {
        self.text(part).lines().map(str::to_owned).collect()
    }

    /// The path and the digest of every file below a folder.
    pub fn digests(&self, part: &str) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        let root = self.path(part);
        walk(&root, &mut |p| {
            let name = p.strip_prefix(&root).unwrap().display().to_string();
            out.insert(name, blake3::hash(&std::fs::read(p).unwrap()).to_string());
        });
        out
    }

    pub fn truth(&self) -> BTreeMap<(String, String), Row> {
        let lines = self.lines("truth/truth.csv");
        let head: Vec<&str> = lines[0].split(',').collect();
        let at = |name: &str| head.iter().position(|h| *h == name).unwrap();
        let row = |line: &String| {
            let f: Vec<&str> = line.split(',').collect();
            assert_eq!(f.len(), head.len(), "{line}");
            let number = |name: &str| f[at(name)].parse::<f32>().unwrap();
            Row {
                set: f[0].to_owned(),
                path: f[1].to_owned(),
                identity: f[2].parse().ok(),
                label: f[3].to_owned(),
                fault: f[5].to_owned(),
                yaw: number("yaw"),
                age: number("age"),
                size: [number("width"), number("height")],
                points: f[at("x1")..].iter().filter_map(|v| v.parse().ok()).collect(),
            }
        };
        lines[1..].iter().map(row).map(|r| ((r.set.clone(), r.path.clone()), r)).collect()
    }
}

pub fn walk(folder: &Path, found: &mut dyn FnMut(&Path)) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { walk(&path, found) } else { found(&path) }
    }
}
