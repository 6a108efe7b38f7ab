mod near;

use std::collections::BTreeMap;
use std::path::Path;

use lfs_faces::dataset::{Dataset, Face, Info, Writer};
use lfs_faces::image::{Pixels, decode, encode_jpeg};
use lfs_stage::{Binding, Job, Reply, Result, run_in_place};
use serde_json::{Value, json};

use crate::Clean;

fn clean(dataset: &Path, out: &Path, parameters: Value, threads: usize) -> Result<()> {
    clean_after(None, dataset, out, parameters, threads).0
}

/// As above, with the report of an earlier result; also returns the messages.
fn clean_after(
    earlier: Option<&Path>,
    dataset: &Path,
    out: &Path,
    parameters: Value,
    threads: usize,
) -> (Result<()>, Vec<Reply>) {
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
        earlier: earlier.iter().map(|folder| ("report".to_owned(), folder.join("report"))).collect(),
    };
    run_in_place(&Clean, &job)
}

/// A picture that depends on the seed, with coarse and fine structure like a photograph.
fn picture(seed: u32, side: u32) -> Pixels {
    let mut state = u64::from(seed) + 1;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    let waves: Vec<[f64; 4]> = (0..160)
        .map(|_| {
            let (u, v) = (draw() * 20.0 - 10.0, draw() * 20.0 - 10.0);
            [u, v, draw() * 6.3, 30.0 / (1.0 + (u * u + v * v).sqrt())]
        })
        .collect();
    let at = |x: u32, y: u32| {
        let (x, y) = ((f64::from(x) + 0.5) / f64::from(side), (f64::from(y) + 0.5) / f64::from(side));
        let sum: f64 = waves.iter().map(|[u, v, p, a]| a * (6.3 * (u * x + v * y) + p).cos()).sum();
        [0.9, 1.0, 0.8].map(|c| (127.0 + c * sum).clamp(0.0, 255.0) as u8)
    };
    let places = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    let rgb = places.flat_map(|(x, y)| at(x, y)).collect();
    Pixels { width: side, height: side, rgb }
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
fn images_that_did_not_change_are_not_looked_at_again_and_every_byte_is_as_without() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut faces: Vec<Face> = (0..12).map(|k| face(k % 3, &format!("{}/{k}.jpg", k % 3), jpeg(k))).collect();
    faces[4].image = b"no image".to_vec();
    faces[8].image = faces[2].image.clone();
    write(&at("one"), &faces, &["0", "1", "2"]);
    clean(&at("one"), &at("first"), json!({}), 2).unwrap();
    faces.remove(0);
    faces[6].image = jpeg(77);
    write(&at("two"), &faces, &["0", "1", "2"]);
    let (done, said) = clean_after(Some(&at("first")), &at("two"), &at("helped"), json!({}), 2);
    done.unwrap();
    let wanted = "10 of 11 images are unchanged since an earlier result, and were not decoded again";
    assert!(said.iter().any(|r| matches!(r, Reply::Note { text } if text == wanted)), "{said:?}");
    clean(&at("two"), &at("alone"), json!({}), 1).unwrap();
    for name in [
        "dataset/faces.arrow",
        "dataset/dataset.json",
        "report/dropped.csv",
        "report/summary.json",
        "report/rows.jsonl",
    ] {
        assert_eq!(
            std::fs::read(at("helped").join(name)).unwrap(),
            std::fs::read(at("alone").join(name)).unwrap(),
            "{name}"
        );
    }
}
