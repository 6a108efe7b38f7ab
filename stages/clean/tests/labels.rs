//! The kind `clean` with embeddings, from files to files.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lfs_clean::Clean;
use lfs_faces::dataset::{Dataset, Face, Info, Writer};
use lfs_faces::image::{Pixels, encode_jpeg};
use lfs_stage::{Binding, Job, Result, run_in_place};
use serde_json::{Value, json};

const PEOPLE: usize = 8;
const EACH: usize = 6;
const D: usize = 16;

/// A number between -1 and 1 that depends on its place alone.
fn noise(a: usize, b: usize) -> f64 {
    let x = (a as u64 * 7919 + b as u64 * 104_729 + 17).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// Image `i` is of person `i / EACH`; `labels` says who it is said to be.
fn set(dir: &Path, labels: &[usize]) {
    let mut writer = Writer::create(&dir.join("in")).unwrap();
    let mut numbers = Vec::new();
    let mut truth = "name,identity\n".to_owned();
    for (i, &label) in labels.iter().enumerate() {
        let person = i / EACH;
        let name = format!("p{label}/{i}.jpg");
        truth += &format!("{name},p{person}\n");
        let rgb = (0..40 * 40 * 3).map(|k| (128.0 + 100.0 * noise(i, k / 30)) as u8).collect();
        let image = encode_jpeg(&Pixels { width: 40, height: 40, rgb }, 90).unwrap();
        writer
            .push(&Face { image, identity: label as u32, name, points: None, group: None, flags: 0 })
            .unwrap();
        numbers
            .extend((0..D).flat_map(|k| (noise(person + 1000, k) + 0.15 * noise(i + 5000, k)).to_le_bytes()));
    }
    let identities = (0..PEOPLE).map(|k| format!("p{k}")).collect();
    writer.finish(Info { identities, ..Info::default() }).unwrap();
    std::fs::write(dir.join("truth.csv"), truth).unwrap();
    npy(&dir.join("e.npy"), labels.len(), &numbers);
}

fn npy(path: &Path, n: usize, numbers: &[u8]) {
    let head = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({n}, {D}), }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((head.len() as u16).to_le_bytes());
    file.extend(head.as_bytes());
    file.extend(numbers);
    std::fs::write(path, file).unwrap();
}

fn clean(dir: &Path, out: &str, parameters: Value, more: &[(&str, PathBuf)], threads: usize) -> Result<()> {
    let out = dir.join(out);
    std::fs::create_dir_all(out.join("scratch")).unwrap();
    let mut inputs = BTreeMap::from([
        ("dataset".to_owned(), Binding::One(dir.join("in"))),
        ("embeddings".to_owned(), Binding::One(dir.join("e.npy"))),
        ("truth".to_owned(), Binding::One(dir.join("truth.csv"))),
    ]);
    inputs.extend(more.iter().map(|(k, p)| ((*k).to_owned(), Binding::One(p.clone()))));
    let job = Job {
        node: "clean".to_owned(),
        kind: "clean".to_owned(),
        parameters,
        inputs,
        outputs: ["dataset", "report"].map(|n| (n.to_owned(), out.join(n))).into(),
        scratch: out.join("scratch"),
        threads,
        earlier: BTreeMap::new(),
    };
    run_in_place(&Clean, &job).0
}

/// Three of 48 labels are wrong: images 0, 13 and 20 lie under 5, 7 and 1.
fn wrong() -> Vec<usize> {
    let mut labels: Vec<usize> = (0..PEOPLE * EACH).map(|i| i / EACH).collect();
    (labels[0], labels[13], labels[20]) = (5, 7, 1);
    labels
}

fn actions(dir: &Path, out: &str) -> BTreeMap<String, String> {
    let mut reader = csv::Reader::from_path(dir.join(out).join("report/labels.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.unwrap()).collect();
    assert_eq!(rows.len(), PEOPLE * EACH, "every image has a row");
    rows.iter()
        .filter(|r| &r[8] != "keep")
        .map(|r| (r[0].to_owned(), format!("{} {} {}", &r[4], &r[5], &r[8])))
        .collect()
}

fn doubtful(action: &str) -> BTreeMap<String, String> {
    [("p5/0.jpg", "p0"), ("p7/13.jpg", "p2"), ("p1/20.jpg", "p3")]
        .map(|(name, nearest)| (name.to_owned(), format!("label-flip {nearest} {action}")))
        .into()
}

/// What was found, look-alikes counted among the flips: which of the two it is depends on who is second.
fn found(dir: &Path, out: &str) -> BTreeMap<String, String> {
    actions(dir, out).into_iter().map(|(k, v)| (k, v.replace("look-alike-flip", "label-flip"))).collect()
}

#[test]
fn wrong_labels_are_dropped_relabelled_or_reported_as_the_parameter_says() {
    let dir = tempfile::tempdir().unwrap();
    set(dir.path(), &wrong());
    for (labels, action) in [("drop", "drop"), ("relabel", "relabel"), ("report", "report")] {
        clean(dir.path(), labels, json!({"labels": labels, "near-duplicates": "off"}), &[], 2).unwrap();
        assert_eq!(found(dir.path(), labels), doubtful(action));
        let set = Dataset::open(&dir.path().join(labels).join("dataset")).unwrap();
        let whose = |name: &str| {
            set.iter().find(|f| f.name == name).map(|f| set.info().identities[f.identity as usize].clone())
        };
        match labels {
            "drop" => assert_eq!((set.len(), whose("p5/0.jpg")), (PEOPLE * EACH - 3, None)),
            "relabel" => assert_eq!((set.len(), whose("p5/0.jpg").as_deref()), (PEOPLE * EACH, Some("p0"))),
            _ => assert_eq!((set.len(), whose("p5/0.jpg").as_deref()), (PEOPLE * EACH, Some("p5"))),
        }
        let summary = std::fs::read(dir.path().join(labels).join("report/summary.json")).unwrap();
        let summary: Value = serde_json::from_slice(&summary).unwrap();
        assert_eq!(summary["labels"]["scores"]["all"]["precision"], json!(1.0));
        assert_eq!(summary["labels"]["scores"]["all"]["recall"], json!(1.0));
    }
}

#[test]
fn a_decision_holds_against_every_rule() {
    let dir = tempfile::tempdir().unwrap();
    set(dir.path(), &wrong());
    let path = dir.path().join("decisions.csv");
    std::fs::write(&path, "name,other,decision\np5/0.jpg,,keep\np3/19.jpg,,drop\nelse.jpg,,keep\n").unwrap();
    let parameters = json!({"near-duplicates": "off"});
    clean(dir.path(), "out", parameters, &[("decisions", path)], 2).unwrap();
    let set = Dataset::open(&dir.path().join("out/dataset")).unwrap();
    let names: Vec<&str> = set.iter().map(|f| f.name).collect();
    assert!(names.contains(&"p5/0.jpg") && !names.contains(&"p3/19.jpg") && !names.contains(&"p7/13.jpg"));
    let dropped = std::fs::read_to_string(dir.path().join("out/report/dropped.csv")).unwrap();
    assert!(dropped.contains("p3/19.jpg,p3,decided,by a person"), "{dropped}");
}

#[test]
fn the_number_of_threads_changes_no_byte_of_what_is_judged() {
    let dir = tempfile::tempdir().unwrap();
    set(dir.path(), &wrong());
    for threads in [1, 3] {
        clean(dir.path(), &threads.to_string(), json!({}), &[], threads).unwrap();
    }
    for file in ["dataset/faces.arrow", "report/labels.csv", "report/review.html", "report/summary.json"] {
        let read = |t: &str| std::fs::read(dir.path().join(t).join(file)).unwrap();
        assert_eq!(read("1"), read("3"), "{file}");
    }
}

#[test]
fn the_review_page_is_whole_and_shows_what_is_doubtful() {
    let dir = tempfile::tempdir().unwrap();
    set(dir.path(), &wrong());
    clean(dir.path(), "out", json!({}), &[], 2).unwrap();
    let page = std::fs::read_to_string(dir.path().join("out/report/review.html")).unwrap();
    let (_, data) = page.split_once(r#"<script id="data" type="application/json">"#).unwrap();
    let data: Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
    let names: Vec<&str> =
        data["cards"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert!(doubtful("").keys().all(|n| names.contains(&n.as_str())), "{names:?}");
    assert!(page.len() < 11_000_000 && !page.contains("http"), "nothing comes from elsewhere");
    let pictures = data["pictures"].as_array().unwrap().len() as u64;
    let card = &data["cards"][0];
    assert!(card["own"].as_array().unwrap().len() == 3 && card["image"].as_u64().unwrap() < pictures);
}

#[test]
fn embeddings_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    set(dir.path(), &wrong());
    npy(&dir.path().join("few.npy"), 2, &[1.0_f64; 2 * D].map(f64::to_le_bytes).concat());
    let text = clean(dir.path(), "a", json!({}), &[("embeddings", dir.path().join("few.npy"))], 1)
        .unwrap_err()
        .to_string();
    assert!(text.contains("2 embeddings for a data set of 48 images"), "{text}");
    npy(&dir.path().join("zero.npy"), 48, &[0.0_f64; 48 * D].map(f64::to_le_bytes).concat());
    let text = clean(dir.path(), "b", json!({}), &[("embeddings", dir.path().join("zero.npy"))], 1)
        .unwrap_err()
        .to_string();
    assert!(text.contains("48 of 48 rows have no direction"), "{text}");
    std::fs::write(dir.path().join("truth.csv"), "name,identity\nelse.jpg,p1\n").unwrap();
    let text = clean(dir.path(), "c", json!({}), &[], 1).unwrap_err().to_string();
    assert!(text.contains("has no row for `p5/0.jpg`"), "{text}");
}

/// Two persons with three images each, of which the second of the first person is the first one again, at another quality; `cosine` is that
/// of their embeddings.
fn alike(dir: &Path, cosine: f64) {
    let mut writer = Writer::create(&dir.join("in")).unwrap();
    let mut numbers = Vec::new();
    let mut truth = "name,identity\n".to_owned();
    for (i, (person, picture)) in [(0, 0), (0, 0), (0, 1), (1, 2), (1, 3), (1, 4)].into_iter().enumerate() {
        let rgb = (0..40 * 40 * 3).map(|k| (128.0 + 100.0 * noise(picture, k / 300)) as u8).collect();
        let image = encode_jpeg(&Pixels { width: 40, height: 40, rgb }, 90 - i as u8).unwrap();
        let name = format!("p{person}/{i}.jpg");
        truth += &format!("{name},p{person}\n");
        writer.push(&Face { image, identity: person, name, points: None, group: None, flags: 0 }).unwrap();
        let mut row = [0.0; D];
        row[person as usize] = if i == 1 { cosine } else { 1.0 };
        row[8] = if i == 1 { (1.0 - cosine * cosine).sqrt() } else { 0.0 };
        numbers.extend(row.iter().flat_map(|v: &f64| v.to_le_bytes()));
    }
    let identities = vec!["p0".to_owned(), "p1".to_owned()];
    writer.finish(Info { identities, ..Info::default() }).unwrap();
    std::fs::write(dir.join("truth.csv"), truth).unwrap();
    npy(&dir.join("e.npy"), 6, &numbers);
}

#[test]
fn what_looks_alike_is_a_duplicate_only_if_its_embedding_says_so_and_nobody_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path();
    let alone = json!({"labels": "report", "strangers": "report", "min-images": 1});
    let kept = |out: &str| {
        let set = Dataset::open(&here.join(out).join("dataset")).unwrap();
        set.iter().map(|f| f.name.to_owned()).collect::<Vec<_>>()
    };
    let without = |parameters: &Value, out: &str, more: &[(&str, PathBuf)]| {
        clean(here, out, parameters.clone(), more, 1).unwrap();
        !kept(out).contains(&"p0/1.jpg".to_owned())
    };
    alike(here, 0.95);
    assert!(without(&alone, "near", &[]), "the embedding confirms it");
    std::fs::write(here.join("d.csv"), "name,other,decision\np0/1.jpg,p0/0.jpg,not-a-duplicate\n").unwrap();
    assert!(!without(&alone, "decided", &[("decisions", here.join("d.csv"))]), "a person said otherwise");
    alike(here, 0.3);
    assert!(!without(&alone, "far", &[]), "the embedding says that it is another picture");
    let never = json!({"labels": "report", "strangers": "report", "min-images": 1, "near-cosine": -1.0});
    assert!(without(&never, "never", &[]), "nobody asks the embedding");
}
