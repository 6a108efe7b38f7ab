use std::collections::BTreeMap;
use std::path::Path;

use lfs_faces::dataset::{Dataset, Face, Info, Writer};
use lfs_faces::image::{Pixels, decode, encode_jpeg};
use lfs_stage::{Binding, Job, Result, run_in_place};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Clean;
use crate::hash::{difference_hash, distance, near_pairs};

fn clean(dataset: &Path, out: &Path, parameters: Value, threads: usize) -> Result<()> {
    let scratch = out.join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let job = Job {
        node: "clean".to_owned(),
        kind: "clean".to_owned(),
        parameters,
        inputs: BTreeMap::from([("dataset".to_owned(), Binding::One(dataset.to_owned()))]),
        outputs: ["dataset", "report"].map(|n| (n.to_owned(), out.join(n))).into(),
        scratch,
        threads,
    };
    run_in_place(&Clean, &job).0
}

/// A smooth picture that differs by seed.
fn picture(seed: u32, side: u32) -> Pixels {
    let wave = |x: u32, y: u32, c: u32| {
        let (x, y) = (f64::from(x) / f64::from(side), f64::from(y) / f64::from(side));
        let k = f64::from(seed * 3 + c) * 0.4;
        (127.0 + 80.0 * (x * (5.0 + k) + k).sin() * (y * (4.0 + 1.7 * k) + 2.0 * k).cos()) as u8
    };
    let rgb =
        (0..side).flat_map(|y| (0..side).flat_map(move |x| [wave(x, y, 0), wave(x, y, 1), wave(x, y, 2)]));
    Pixels { width: side, height: side, rgb: rgb.collect() }
}

fn face(identity: u32, name: &str, image: Vec<u8>) -> Face {
    Face { image, identity, name: name.to_owned(), points: None, group: None, flags: 0 }
}

fn jpeg(seed: u32) -> Vec<u8> {
    encode_jpeg(&picture(seed, 64), 90).unwrap()
}

fn write(folder: &Path, faces: &[Face], identities: &[&str]) {
    let mut writer = Writer::create(folder).unwrap();
    for face in faces {
        writer.push(face).unwrap();
    }
    let identities = identities.iter().map(|s| (*s).to_owned()).collect();
    writer.finish(Info { identities, ..Info::default() }).unwrap();
}

fn faulty(folder: &Path) {
    let whole = jpeg(1);
    let again = encode_jpeg(&decode(&whole).unwrap(), 60).unwrap();
    let other = encode_jpeg(&decode(&whole).unwrap(), 70).unwrap();
    let faces = [
        face(0, "a/1.jpg", whole.clone()),
        face(0, "a/2.jpg", jpeg(2)),
        face(0, "a/3.jpg", whole.clone()),
        face(0, "a/4.jpg", again),
        face(0, "a/5, cut.jpg", whole[..whole.len() / 2].to_vec()),
        face(0, "a/6.jpg", encode_jpeg(&picture(3, 20), 90).unwrap()),
        face(1, "b/1.jpg", jpeg(4)),
        face(2, "c/1.jpg", jpeg(5)),
        face(2, "c/2.jpg", jpeg(6)),
        face(2, "c/3.jpg", other),
    ];
    write(folder, &faces, &["a", "b", "c"]);
}

#[test]
fn every_dropped_image_has_a_row_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    faulty(&dir.path().join("in"));
    clean(&dir.path().join("in"), dir.path(), json!({}), 2).unwrap();
    let rows = std::fs::read_to_string(dir.path().join("report/dropped.csv")).unwrap();
    let reasons: Vec<String> = rows
        .lines()
        .skip(1)
        .map(|l| {
            l.split(",a,")
                .flat_map(|p| p.split(",b,"))
                .map(|p| p.split(',').next().unwrap())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "a/3.jpg exact-duplicate",
            "a/4.jpg near-duplicate",
            "\"a/5 undecodable",
            "a/6.jpg too-small",
            "b/1.jpg too-few-images"
        ]
    );
    let set = Dataset::open(&dir.path().join("dataset")).unwrap();
    assert_eq!(
        set.iter().map(|f| (f.name, f.identity)).collect::<Vec<_>>(),
        [("a/1.jpg", 0), ("a/2.jpg", 0), ("c/1.jpg", 1), ("c/2.jpg", 1), ("c/3.jpg", 1)]
    );
    assert_eq!(set.info().identities, ["a", "c"]);
    let across = std::fs::read_to_string(dir.path().join("report/across.csv")).unwrap();
    assert!(across.contains("a/1.jpg,a,c/3.jpg,c,"), "{across}");
    let summary: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("report/summary.json")).unwrap()).unwrap();
    assert_eq!((&summary["kept"], &summary["identities_kept"]), (&json!(5), &json!(2)));
}

#[test]
fn each_rule_can_be_turned_off() {
    let dir = tempfile::tempdir().unwrap();
    faulty(&dir.path().join("in"));
    let all = json!({"min-side": 1, "exact-duplicates": false, "near-duplicates": "off", "min-images": 0});
    clean(&dir.path().join("in"), dir.path(), all, 1).unwrap();
    assert_eq!(Dataset::open(&dir.path().join("dataset")).unwrap().len(), 9);
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    faulty(&dir.path().join("in"));
    for threads in [1, 4] {
        clean(&dir.path().join("in"), &dir.path().join(threads.to_string()), json!({}), threads).unwrap();
    }
    for file in [
        "dataset/faces.arrow",
        "dataset/dataset.json",
        "report/dropped.csv",
        "report/across.csv",
        "report/summary.json",
    ] {
        let read = |t: &str| std::fs::read(dir.path().join(t).join(file)).unwrap();
        assert_eq!(read("1"), read("4"), "{file}");
    }
}

#[test]
fn dropping_everything_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    faulty(&dir.path().join("in"));
    let text =
        clean(&dir.path().join("in"), dir.path(), json!({"min-side": 5000}), 1).unwrap_err().to_string();
    assert!(text.contains("every one of 10 images") && text.contains("min-side"), "{text}");
}

#[test]
fn the_hash_survives_size_and_compression_and_tells_pictures_apart() {
    let hash = |seed, side| difference_hash(&picture(seed, side));
    for seed in 1..9 {
        assert!(distance(hash(seed, 64), hash(seed, 150)) <= 3, "{seed}");
        let poor = decode(&encode_jpeg(&picture(seed, 64), 40).unwrap()).unwrap();
        assert!(distance(hash(seed, 64), difference_hash(&poor)) <= 3, "{seed}");
        assert!(distance(hash(seed, 64), hash(seed + 1, 64)) > 8, "{seed}");
    }
    let _ = difference_hash(&Pixels { width: 1, height: 1, rgb: vec![9; 3] });
}

proptest! {
    #[test]
    fn the_search_finds_what_comparing_each_finds(base: u64, flips in prop::collection::vec((0_u32..64, 0_u32..64, any::<bool>()), 0..40), reach in 0_u32..17) {
        let mut hashes = vec![base];
        for (k, (a, b, far)) in flips.iter().enumerate() {
            let from = hashes[k / 2];
            hashes.push(if *far { from.rotate_left(*a).wrapping_mul(0x9e37_79b9_7f4a_7c15) } else { from ^ 1 << a ^ 1 << b });
        }
        let mut slow = Vec::new();
        for i in 0..hashes.len() {
            slow.extend((i + 1..hashes.len()).filter(|&j| distance(hashes[i], hashes[j]) <= reach).map(|j| (i, j)));
        }
        prop_assert_eq!(near_pairs(&hashes, reach, usize::MAX), (slow, false));
    }
}
