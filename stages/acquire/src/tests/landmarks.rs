//! Lists of landmarks, and the assignment of lines to images.

use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_stage::Result;
use serde_json::{Value, json};

use super::{put, warned};

/// Five points, all shifted.
fn ten(shift: f32) -> String {
    [38.0, 51.0, 73.0, 52.0, 56.0, 71.0, 41.0, 92.0, 70.0, 91.0].map(|v| (v + shift).to_string()).join(" ")
}

/// The shift of the points of each image, the warnings, and the notes except the layout.
#[derive(Debug)]
struct Got {
    shifts: Vec<(String, Option<f32>)>,
    warnings: Vec<String>,
    notes: Vec<String>,
}

fn get(source: &Path, list: &str, parameters: Value) -> Result<Got> {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("list.txt");
    std::fs::write(&path, list).unwrap();
    let said = super::acquire_saying(source, Some(&path), out.path(), parameters)?;
    let set = Dataset::open(&out.path().join("dataset")).unwrap();
    let shifts = set.iter().map(|f| (f.name.to_owned(), f.points.map(|p| p[0][0] - 38.0))).collect();
    let notes = set.info().notes.iter().filter(|n| n.0 != "layout").map(|n| n.1.clone()).collect();
    Ok(Got { shifts, warnings: warned(&said), notes })
}

fn folders(source: &Path, list: &str) -> Got {
    get(source, list, json!({"layout": "folders"})).unwrap()
}

fn of(got: &Got, name: &str) -> Option<f32> {
    got.shifts.iter().find(|s| s.0 == name).unwrap().1
}

#[test]
fn a_line_of_a_file_that_was_passed_over_gives_its_neighbour_nothing() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &[("Ann/1.jpg", ""), ("Ann/1.gif", ""), ("Ann/2.jpg", "")]);
    for path in ["Ann/1.gif", "/data/set/Ann/1.gif"] {
        let got = folders(dir.path(), &format!("{path} {}\nAnn/2.jpg {}\n", ten(5.0), ten(1.0)));
        assert_eq!((of(&got, "Ann/1.jpg"), of(&got, "Ann/2.jpg")), (None, Some(1.0)));
        assert!(got.notes.iter().any(|n| n.contains(&format!("fit no image: `{path}`"))), "{got:?}");
    }
}

#[test]
fn a_line_with_the_exact_name_precedes_one_with_another_extension() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &[("Ann/1.jpg", ""), ("Ann/2.jpg", "")]);
    for swapped in [false, true] {
        let mut lines = [format!("Ann/1.gif {}", ten(5.0)), format!("Ann/1.jpg {}", ten(1.0))];
        if swapped {
            lines.reverse();
        }
        for file in [None, Some("Ann/1.gif")] {
            if let Some(file) = file {
                put(dir.path(), &[(file, "")]);
            }
            let got = folders(dir.path(), &lines.join("\n"));
            assert_eq!(of(&got, "Ann/1.jpg"), Some(1.0));
            std::fs::remove_file(dir.path().join("Ann/1.gif")).ok();
        }
    }
    let both = format!("/a/Ann/1.jpg {}\n/b/Ann/1.jpg {}\n", ten(5.0), ten(1.0));
    let text = get(dir.path(), &both, json!({"layout": "folders"})).unwrap_err().to_string();
    assert!(text.contains("`/a/Ann/1.jpg` and `/b/Ann/1.jpg`"), "{text}");
}

#[test]
fn a_list_of_all_parts_of_a_set_gives_each_part_its_own_lines() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &[("set/train/1/1.jpg", ""), ("set/train/2/1.jpg", ""), ("set/test/1/1.jpg", "")]);
    let list = format!("test/1/1.jpg {}\ntrain/1/1.jpg {}\ntest/2/1.jpg {}\n", ten(9.0), ten(1.0), ten(3.0));
    let set = dir.path().join("set");
    let got = get(&set, &list, json!({"layout": "folders", "within": "train/"})).unwrap();
    assert_eq!((of(&got, "1/1.jpg"), of(&got, "2/1.jpg")), (Some(1.0), Some(3.0)));
    let told = "1 images have their landmarks from lines of the landmark list that name another part";
    assert!(got.notes.iter().any(|n| n.contains(told) && n.contains("`test/2/1.jpg`")), "{got:?}");
    // The name of the source is reported but not stored, since the result does not depend on it.
    let text = get(&set.join("train"), &list, json!({"layout": "folders"})).unwrap_err().to_string();
    assert!(text.contains("two different lines") && text.contains("`within`"), "{text}");
    let alone = list.lines().skip(1).collect::<Vec<_>>().join("\n");
    let got = folders(&set.join("train"), &alone);
    assert!(got.warnings.iter().any(|w| w.contains(told)), "{got:?}");
    assert!(!got.notes.iter().any(|n| n.contains(told)), "{got:?}");
}

#[test]
fn images_without_landmarks_are_warned_of_and_noted() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &[("A/1.jpg", ""), ("A/2.jpg", ""), ("A/3.jpg", "")]);
    let nan = ["nan"; 10].join(" ");
    let got = folders(dir.path(), &format!("A/1 {}\nA/2.npy {nan}\n", ten(2.0)));
    assert_eq!(of(&got, "A/1.jpg"), Some(2.0));
    assert_eq!(got.warnings, got.notes);
    let want = [
        "2 of 3 images have no landmarks",
        "1 images have a line in the landmark list that says that no face was found",
    ];
    assert!(want.iter().all(|w| got.notes.iter().any(|n| n == w)), "{got:?}");
    // If no landmarks were available, there is no warning.
    let out = tempfile::tempdir().unwrap();
    let said = super::acquire_saying(dir.path(), None, out.path(), json!({"layout": "folders"})).unwrap();
    assert!(warned(&said).is_empty());
}

#[test]
fn a_stray_image_above_the_folders_of_persons_does_not_make_one_person_of_all() {
    let dir = tempfile::tempdir().unwrap();
    for stray in ["set/sample.jpg", "set/sheets/a/b/1.jpg"] {
        let source = dir.path().join(stray.replace('/', "-"));
        put(&source, &[("set/Ann/1.jpg", ""), ("set/Ann/2.jpg", ""), ("set/Bo/1.jpg", ""), (stray, "")]);
        let says = |parameters: Value| {
            let out = tempfile::tempdir().unwrap();
            super::acquire(&source, None, out.path(), parameters).map_err(|e| e.to_string())
        };
        let text = says(json!({"layout": "folders"})).unwrap_err();
        assert!(text.contains("of 4 images lie deeper") || text.contains("every image"), "{text}");
        assert!(text.contains("`within = \"set"), "{text}");
        says(json!({"layout": "folders", "nested": true})).unwrap();
    }
}

#[test]
fn two_image_folders_and_a_doubly_packed_one_are_refused_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let pairs = ("pairs.txt", "1 1\nA 1 2\nA 2 B 1\n");
    let images = ["A/A_0001.jpg", "A/A_0002.jpg", "B/B_0001.jpg"];
    let says = |name: &str, folders: &[&str]| {
        let source = dir.path().join(name);
        put(&source, &[pairs]);
        for folder in folders {
            for image in images {
                put(&source, &[(&format!("{folder}/{image}"), "")]);
            }
        }
        let out = tempfile::tempdir().unwrap();
        super::acquire(&source, None, out.path(), json!({"layout": "lfw"})).map_err(|e| e.to_string())
    };
    says("one", &["lfw"]).unwrap();
    let text = says("both", &["lfw", "lfw_funneled"]).unwrap_err();
    assert!(text.contains("`lfw_funneled`, `lfw`") && text.contains("`within`"), "{text}");
    let text = says("twice", &["lfw-deepfunneled/lfw-deepfunneled"]).unwrap_err();
    assert!(text.contains("move the folder `lfw-deepfunneled` out of"), "{text}");
}
