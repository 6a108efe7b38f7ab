use std::collections::BTreeMap;
use std::path::Path;

use lfs_faces::dataset::{Dataset, Face, Info, Writer};
use lfs_stage::{Binding, Job, Result, run_in_place};
use serde_json::{Value, json};

use crate::Noise;

fn noise(dir: &Path, out: &str, parameters: Value, embeddings: bool) -> Result<()> {
    let out = dir.join(out);
    std::fs::create_dir_all(out.join("scratch")).unwrap();
    let mut inputs = BTreeMap::from([("dataset".to_owned(), Binding::One(dir.join("in")))]);
    if embeddings {
        inputs.insert("embeddings".to_owned(), Binding::One(dir.join("e.npy")));
    }
    let job = Job {
        node: "noise".to_owned(),
        kind: "noise".to_owned(),
        parameters,
        inputs,
        outputs: [("dataset", "dataset"), ("truth", "truth.csv")]
            .map(|(n, p)| (n.to_owned(), out.join(p)))
            .into(),
        scratch: out.join("scratch"),
        threads: 1,
        earlier: BTreeMap::new(),
    };
    run_in_place(&Noise, &job).0
}

/// Ten identities of ten images. Identity k has the angle (k / 2 * 30 + k % 2 * 5) degrees, so that pairs of identities look alike.
fn set(dir: &Path) {
    let mut writer = Writer::create(&dir.join("in")).unwrap();
    let mut numbers = Vec::new();
    for k in 0..100_u32 {
        let (identity, name) = (k % 10, format!("p{}/{k}.jpg", k % 10));
        writer
            .push(&Face { image: vec![1, 2, k as u8], identity, name, points: None, group: None, flags: 7 })
            .unwrap();
        let angle = f64::from(identity / 2 * 30 + identity % 2 * 5).to_radians();
        numbers.extend([angle.cos(), angle.sin()].map(f64::to_le_bytes).concat());
    }
    writer
        .finish(Info { identities: (0..10).map(|k| format!("p{k}")).collect(), ..Info::default() })
        .unwrap();
    let head = "{'descr': '<f8', 'fortran_order': False, 'shape': (100, 2), }\n";
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((head.len() as u16).to_le_bytes());
    file.extend(head.as_bytes());
    file.extend(numbers);
    std::fs::write(dir.join("e.npy"), file).unwrap();
}

/// The (identity, label) of each image according to the truth, which must agree with the data set.
fn truth(dir: &Path, out: &str) -> Vec<(String, String)> {
    let set = Dataset::open(&dir.join(out).join("dataset")).unwrap();
    let mut reader = csv::Reader::from_path(dir.join(out).join("truth.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.unwrap()).collect();
    assert_eq!((rows.len(), set.len()), (100, 100));
    for ((row, face), k) in rows.iter().zip(set.iter()).zip(0_u32..) {
        assert_eq!(&row[0], face.name);
        assert_eq!(row[1], format!("p{}", k % 10), "the truth is the folder that it came from");
        assert_eq!(row[2], set.info().identities[face.identity as usize]);
        assert_eq!(row[3].is_empty(), row[1] == row[2]);
        assert_eq!((face.image, face.flags), (&[1, 2, k as u8][..], 7));
    }
    rows.iter().map(|r| (r[1].to_owned(), r[2].to_owned())).collect()
}

#[test]
fn each_kind_of_noise_changes_the_labels_it_should() {
    let dir = tempfile::tempdir().unwrap();
    set(dir.path());
    for kind in ["uniform", "look-alike", "merged", "strangers"] {
        noise(dir.path(), kind, json!({"noise": kind, "rate": 0.2, "seed": 3}), true).unwrap();
        let rows = truth(dir.path(), kind);
        let wrong: Vec<_> = rows.iter().filter(|(a, b)| a != b).collect();
        // Among ten persons, there are few disjoint pairs to mix.
        let wanted = if kind == "merged" { 10..=20 } else { 20..=20 };
        assert!(wanted.contains(&wrong.len()), "{kind}: {}", wrong.len());
        let mut pairs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        wrong.iter().for_each(|(a, b)| *pairs.entry((a, b)).or_default() += 1);
        match kind {
            "uniform" => assert!(pairs.len() > 10, "{pairs:?}"),
            "look-alike" => {
                let twin = |p: &str| format!("p{}", p[1..].parse::<u32>().unwrap() ^ 1);
                assert!(pairs.keys().all(|(a, b)| twin(a) == *b), "{pairs:?}");
            }
            "merged" => assert!(pairs.len() >= 2 && pairs.values().all(|n| *n == 5), "{pairs:?}"),
            _ => {
                let gone: Vec<&str> = pairs.keys().map(|(a, _)| *a).collect();
                assert!(rows.iter().all(|(_, b)| !gone.contains(&b.as_str())), "{pairs:?}");
                let set = Dataset::open(&dir.path().join(kind).join("dataset")).unwrap();
                assert_eq!(set.info().identities.len(), 8);
            }
        }
    }
}

#[test]
fn the_seed_decides() {
    let dir = tempfile::tempdir().unwrap();
    set(dir.path());
    for (out, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        noise(dir.path(), out, json!({"seed": seed}), false).unwrap();
    }
    let read = |out: &str| std::fs::read(dir.path().join(out).join("truth.csv")).unwrap();
    assert_eq!(read("a"), read("b"));
    assert_ne!(read("a"), read("c"));
}

#[test]
fn invalid_parameters_and_a_missing_input_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    set(dir.path());
    let text = noise(dir.path(), "a", json!({"noise": "look-alike"}), false).unwrap_err().to_string();
    assert!(text.contains("input.embeddings"), "{text}");
    let text = noise(dir.path(), "b", json!({"rate": 1.5}), false).unwrap_err().to_string();
    assert!(text.contains("rate is 1.5"), "{text}");
}
