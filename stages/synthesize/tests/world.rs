//! The world as a whole: reproducible bytes, and a truth that matches the files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{make, small};
use lfs_faces::image::decode;
use lfs_stage::Stage;
use lfs_synthesize::{Params, Set, Synthesize};

#[test]
fn one_thread_and_two_give_the_same_bytes() {
    let params = Params { distractors: 10, ..small(&Set::ALL) };
    let (one, two) = (make(&params, 1).digests("."), make(&params, 2).digests("."));
    assert!(one.len() > 500);
    assert_eq!(one, two);
}

#[test]
fn another_seed_gives_other_pictures() {
    let params = small(&[Set::Lfw]);
    let other = Params { seed: 1, ..params.clone() };
    assert_ne!(make(&params, 2).digests("lfw"), make(&other, 2).digests("lfw"));
}

#[test]
fn a_set_does_not_depend_on_which_others_are_written_or_on_the_size_of_the_training_set() {
    let all = make(&small(&[Set::Lfw, Set::Rfw, Set::Train]), 2);
    let alone = make(&small(&[Set::Rfw]), 2);
    let larger = make(&Params { identities: 15, ..small(&[Set::Rfw, Set::Train]) }, 2);
    assert_eq!(all.digests("rfw"), alone.digests("rfw"));
    assert_eq!(all.digests("rfw"), larger.digests("rfw"));
    assert!(alone.digests("train").is_empty());
}

#[test]
fn every_planted_fault_is_present_and_recorded() {
    let made = make(&small(&[Set::Train, Set::Megaface]), 2);
    let truth = made.truth();
    let faults: Vec<Vec<String>> = made.lines("truth/faults.csv")[1..]
        .iter()
        .map(|l| l.split(',').map(str::to_owned).collect())
        .collect();
    // The person shown without a fault under each label.
    let mut owner: BTreeMap<&str, u64> = BTreeMap::new();
    for row in truth.values().filter(|r| r.fault.is_empty() && r.set == "train") {
        let person = row.identity.unwrap();
        assert_eq!(*owner.entry(&row.label).or_insert(person), person, "{}", row.label);
    }
    let mut seen = BTreeSet::new();
    let mut strangers = BTreeSet::new();
    for [set, path, fault, other] in faults.iter().map(|f| <[String; 4]>::try_from(f.clone()).unwrap()) {
        let row = &truth[&(set.clone(), path.clone())];
        assert_eq!(row.fault, fault);
        let bytes = std::fs::read(made.path(&format!("{set}/{path}"))).unwrap();
        let read = |p: &str| std::fs::read(made.path(&format!("{set}/{p}"))).unwrap();
        match fault.as_str() {
            "truncated" => assert!(decode(&bytes).is_err(), "{path} decodes"),
            "exact-duplicate" => assert_eq!(bytes, read(&other), "{path}"),
            "near-duplicate" => {
                assert_ne!(bytes, read(&other));
                assert_eq!(row.identity, truth[&(set.clone(), other.clone())].identity);
            }
            "label-flip" => assert_eq!(row.identity, owner.get(other.as_str()).copied(), "{path}"),
            "stranger" => assert!(strangers.insert(row.identity.unwrap())),
            "non-face" => assert!(row.identity.is_none() && row.points.is_empty()),
            "noisy-probe" | "noisy-distractor" => {}
            other => panic!("unknown fault {other}"),
        }
        if fault != "truncated" {
            decode(&bytes).unwrap();
        }
        seen.insert(fault);
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert!(strangers.iter().all(|s| !owner.values().any(|o| o == s)));
    assert_eq!(faults.len(), truth.values().filter(|r| !r.fault.is_empty()).count());
    for row in truth.values().filter(|r| r.fault.is_empty()) {
        decode(&std::fs::read(made.path(&format!("{}/{}", row.set, row.path))).unwrap()).unwrap();
    }
}

#[test]
fn truth_names_every_image_and_nothing_else() {
    let made = make(&small(&Set::ALL), 2);
    let truth = made.truth();
    let mut files = BTreeSet::new();
    for set in Set::ALL {
        for path in made.digests(set.name()).into_keys().filter(|p| p.ends_with(".jpg")) {
            files.insert((set.name().to_owned(), path));
        }
    }
    assert_eq!(files, truth.keys().cloned().collect());
    let summary: serde_json::Value = serde_json::from_str(&made.text("truth/summary.json")).unwrap();
    let total: u64 = summary["images"].as_object().unwrap().values().map(|v| v.as_u64().unwrap()).sum();
    assert_eq!(total as usize, truth.len());
    assert!(made.lines("truth/identities.csv")[0].split(',').count() >= 3 + 48);
}

#[test]
fn points_lie_in_the_picture_and_the_left_eye_is_left() {
    let made = make(&small(&Set::ALL), 2);
    let mut frontal = 0;
    for row in made.truth().values().filter(|r| r.identity.is_some()) {
        let p = &row.points;
        assert_eq!(p.len(), 10);
        for xy in p.as_chunks::<2>().0 {
            assert!(xy[0] >= 0.0 && xy[0] < row.size[0] && xy[1] >= 0.0 && xy[1] < row.size[1], "{row:?}");
        }
        if row.yaw.abs() < 0.6 {
            frontal += 1;
            assert!(p[0] < p[2] && p[6] < p[8], "eyes and mouth: {row:?}");
            assert!(p[1].max(p[3]) < p[7].min(p[9]), "eyes over mouth: {row:?}");
        }
    }
    assert!(frontal > 300);
}

#[test]
fn training_and_test_share_the_planted_people_only() {
    let made = make(&small(&Set::ALL), 2);
    let truth = made.truth();
    let people = |train: bool| -> BTreeSet<u64> {
        let of = |r: &&common::Row| (r.set == "train") == train && (r.fault.is_empty() || !train);
        truth.values().filter(of).filter_map(|r| r.identity).collect()
    };
    let shared: BTreeSet<u64> = people(true).intersection(&people(false)).copied().collect();
    let rows: Vec<Vec<String>> = made.lines("truth/overlaps.csv")[1..]
        .iter()
        .map(|l| l.split(',').map(str::to_owned).collect())
        .collect();
    let planted: BTreeSet<u64> = rows.iter().map(|r| r[4].parse().unwrap()).collect();
    assert_eq!(shared, planted);
    assert_eq!(planted.len(), 6);
    let kinds: BTreeSet<&str> = rows.iter().map(|r| r[3].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["other-id", "same-name", "variant"]));
    for row in &rows {
        assert!(made.path(&format!("train/{}", row[0])).is_dir());
        let test_folder = made.path(&format!("{}/{}", row[1], row[2]));
        assert!(row[1] != "lfw" || test_folder.is_dir());
    }
    // Test sets have no person in common, except for LFW's five and IJB's two.
    let mut of: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for r in truth.values().filter(|r| r.set != "train" && r.fault.is_empty()) {
        let family = match r.set.as_str() {
            "sllfw" | "calfw" | "cplfw" | "xqlfw" => "lfw",
            "ijb-b" => "ijb-c",
            other => other,
        };
        of.entry(r.identity.unwrap()).or_default().insert(family);
    }
    assert!(of.values().all(|sets| sets.len() == 1));
}

#[test]
fn parameters_that_make_no_sense_are_refused_by_name() {
    let refused = |p: Params| Synthesize::check(&p).unwrap_err().to_string();
    let usual = Params::default();
    assert!(refused(Params { group_shares: [0.0; 4], ..usual.clone() }).contains("group-shares"));
    assert!(refused(Params { sets: vec![], ..usual.clone() }).contains("sets"));
    assert!(refused(Params { label_flips: 0.5, strangers: 0.5, ..usual }).contains("add up to"));
}
