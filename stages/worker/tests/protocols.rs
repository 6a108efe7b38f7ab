//! Every test set that is drawn, from its own layout to its numbers: `synthesize`, `acquire`, embeddings, `evaluate`.

#![allow(clippy::unwrap_used)] // a test can only stop with a message

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lfs_faces::TestSet;
use lfs_faces::dataset::Dataset;
use lfs_stage::{Binding, Job, Kind, Reply, run_in_place};
use serde_json::{Value, json};

/// Runs a kind with inputs and outputs in a folder; returns what it said.
fn run(kind: &'static dyn Kind, at: &Path, inputs: &[(&str, PathBuf)], parameters: Value) -> Vec<Reply> {
    let info = kind.describe();
    let job = Job {
        node: info.name.clone(),
        kind: info.name.clone(),
        parameters,
        inputs: inputs.iter().map(|(name, path)| ((*name).to_owned(), Binding::One(path.clone()))).collect(),
        outputs: info.outputs.iter().map(|o| (o.name.clone(), at.join(&o.name))).collect(),
        scratch: at.join("scratch"),
        threads: 2,
        earlier: BTreeMap::new(),
    };
    std::fs::create_dir_all(&job.scratch).unwrap();
    let (result, said) = run_in_place(kind, &job);
    result.map_err(|e| format!("{}: {e}", info.name)).unwrap();
    said
}

/// Embeddings by which persons are told apart perfectly: a direction for each identity.
fn perfect(dataset: &Path, at: &Path) -> PathBuf {
    let set = Dataset::open(dataset).unwrap();
    let mut text = b"\x93NUMPY\x01\x00".to_vec();
    let head = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 16), }}\n", set.len());
    text.extend((head.len() as u16).to_le_bytes());
    text.extend(head.as_bytes());
    for face in set.iter() {
        let mut state = u64::from(face.identity) + 1;
        for _ in 0..16 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.extend(((state >> 40) as f32 / (1 << 24) as f32 - 0.5).to_le_bytes());
        }
    }
    let path = at.join("perfect.npy");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_perfect_network_is_perfect_on_every_test_set() {
    let dir = tempfile::tempdir().unwrap();
    let world = dir.path().join("world");
    let sets: Vec<&TestSet> =
        TestSet::ALL.iter().filter(|s| ![TestSet::Pairs, TestSet::Gallery].contains(s)).collect();
    let names: Vec<&str> = sets.iter().map(|s| s.name()).collect();
    let parameters =
        json!({"sets": names, "size": 48, "test-identities": 24, "pairs-per-fold": 4, "distractors": 30});
    run(&lfs_synthesize::Synthesize, &world, &[], parameters);
    for set in names {
        let at = dir.path().join(set);
        run(&lfs_acquire::Acquire, &at, &[("source", world.join(set))], json!({"layout": set}));
        let inputs = [
            ("embeddings", perfect(&at.join("dataset"), &at)),
            ("dataset", at.join("dataset")),
            ("lists", at.join("lists")),
        ];
        run(
            &lfs_evaluate::Evaluate,
            &at,
            &inputs,
            json!({"set": set, "bootstrap": 50, "fars": [0.05], "identification-fars": [0.2]}),
        );
        let metrics: lfs_metrics::Metrics =
            serde_json::from_slice(&std::fs::read(at.join("metrics")).unwrap()).unwrap();
        assert!(metrics.columns.len() > 1, "{set}");
        for column in &metrics.columns {
            assert_eq!((column.value, column.pairs), (Some(1.0), column.listed), "{set}: {column:?}");
            assert!(column.interval.is_some(), "{set}: {column:?}");
        }
    }
}
