//! The lists of every protocol: their numbers of lines, and the correctness of their pairs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Made, Row, make, small};
use lfs_formats::mat;
use lfs_synthesize::Set;

const N: usize = 4;

/// Checks pairs of paths of a set against the truth; returns the number of genuine pairs.
fn check(truth: &BTreeMap<(String, String), Row>, set: &str, pairs: &[(String, String, bool)]) -> usize {
    let who = |path: &String| {
        let key = (set.to_owned(), path.clone());
        truth.get(&key).unwrap_or_else(|| panic!("{set}: no {path}")).identity
    };
    for (a, b, same) in pairs {
        assert_eq!(who(a) == who(b), *same, "{set}: {a} {b}");
        assert_ne!(a, b);
    }
    let unique: BTreeSet<_> = pairs.iter().map(|(a, b, _)| (a.min(b), a.max(b))).collect();
    assert_eq!(unique.len(), pairs.len(), "{set}: a pair stands twice");
    pairs.iter().filter(|p| p.2).count()
}

/// Lines in LFW's format.
fn names(lines: &[String], file: impl Fn(&str, &str) -> String) -> Vec<(String, String, bool)> {
    let pair = |line: &String| {
        let f: Vec<&str> = line.split('\t').collect();
        match f.as_slice() {
            [a, i, j] => (file(a, i), file(a, j), true),
            [a, i, b, j] => (file(a, i), file(b, j), false),
            _ => panic!("{line}"),
        }
    };
    lines.iter().map(pair).collect()
}

#[test]
fn lfw_has_a_header_and_ten_folds_of_true_pairs() {
    let made = make(&small(&[Set::Lfw]), 2);
    let lines = made.lines("lfw/pairs.txt");
    assert_eq!(lines[0], format!("10\t{N}"));
    assert_eq!(lines.len(), 1 + 20 * N);
    let pairs = names(&lines[1..], |n, i| format!("{n}/{n}_{:04}.jpg", i.parse::<u32>().unwrap()));
    for (k, fold) in pairs.chunks(2 * N).enumerate() {
        assert!(fold[..N].iter().all(|p| p.2) && fold[N..].iter().all(|p| !p.2), "fold {k}");
    }
    assert_eq!(check(&made.truth(), "lfw", &pairs), 10 * N);
    assert_eq!(made.lines("lfw/landmarks.tsv").len(), made.truth().len());
}

#[test]
fn sllfw_pairs_have_two_lines_and_look_alike() {
    let made = make(&small(&[Set::Sllfw]), 2);
    let lines = made.lines("sllfw/pair_SLLFW.txt");
    assert_eq!(lines.len(), 40 * N);
    let folder = |p: &str| p.split('/').next().unwrap().to_owned();
    let pairs: Vec<_> =
        lines.chunks(2).map(|l| (l[0].clone(), l[1].clone(), folder(&l[0]) == folder(&l[1]))).collect();
    assert_eq!(check(&made.truth(), "sllfw", &pairs), 10 * N);
}

#[test]
fn calfw_and_cplfw_list_same_pairs_first_and_gaps_are_large() {
    let made = make(&small(&[Set::Calfw, Set::Cplfw]), 2);
    let truth = made.truth();
    for (set, list, folder) in
        [("calfw", "pairs_CALFW.txt", "CA_landmarks"), ("cplfw", "pairs_CPLFW.txt", "CP_landmarks")]
    {
        let lines = made.lines(&format!("{set}/{list}"));
        assert_eq!(lines.len(), 40 * N);
        let mut pairs = Vec::new();
        for (k, two) in lines.chunks(2).enumerate() {
            let field = |i: usize| two[i].split_once(' ').unwrap();
            assert_eq!(field(0).1, field(1).1);
            let wanted = if k < 10 * N { k / N + 1 } else { 0 };
            assert_eq!(field(0).1, wanted.to_string());
            let path = |i: usize| format!("images/{}", field(i).0);
            let (a, b) = (&truth[&(set.into(), path(0))], &truth[&(set.into(), path(1))]);
            if set == "calfw" {
                assert!((a.age - b.age).abs() > 15.0, "{} {}", a.age, b.age);
            } else {
                assert!((a.yaw.abs() - b.yaw.abs()).abs() > 0.0 && a.yaw.abs().max(b.yaw.abs()) >= 0.5);
            }
            pairs.push((path(0), path(1), wanted != 0));
        }
        assert_eq!(check(&truth, set, &pairs), 10 * N);
        for row in truth.values().filter(|r| r.set == set) {
            let stem = row.path.trim_start_matches("images/").trim_end_matches(".jpg");
            let text = made.text(&format!("{set}/{folder}/{stem}_5loc_attri.txt"));
            assert_eq!(values(&text), row.points);
        }
    }
}

fn values(text: &str) -> Vec<f32> {
    text.split_whitespace().map(|v| v.parse().unwrap()).collect()
}

#[test]
fn agedb_splits_and_68_points_agree_with_the_truth() {
    let made = make(&small(&[Set::Agedb]), 2);
    let truth = made.truth();
    let variables = mat::read(&std::fs::read(made.path("agedb/splits.mat")).unwrap()).unwrap();
    let splits = mat::variable(&variables, "splits").unwrap();
    assert_eq!(splits.structs().unwrap(), 10);
    let mut all = Vec::new();
    for k in 0..10 {
        let (dims, cells) = splits.field(k, "pairs").unwrap().cells().unwrap();
        assert_eq!(dims, [2, 2 * N]);
        let labels = splits.field(k, "labels").unwrap().numbers().unwrap();
        for (pair, label) in cells.chunks(2).zip(labels) {
            let path = |v: &mat::Value| format!("AgeDB/{}", v.line().unwrap());
            all.push((path(&pair[0]), path(&pair[1]), *label > 0.0));
        }
    }
    assert_eq!(check(&truth, "agedb", &all), 10 * N);
    for row in truth.values() {
        let stem = row.path.trim_start_matches("AgeDB/").trim_end_matches(".jpg");
        let text = made.text(&format!("agedb/landmarks/{stem}.pts"));
        let body = text.split_once('{').unwrap().1.split_once('}').unwrap().0;
        let p = values(body);
        assert_eq!(p.len(), 136);
        let mean = |from: usize| -> [f32; 2] {
            let sum = |axis: usize| (from..from + 6).map(|k| p[2 * k + axis]).sum::<f32>() / 6.0;
            [sum(0), sum(1)]
        };
        let (l, r) = (mean(36), mean(42));
        let five = [l[0], l[1], r[0], r[1], p[60], p[61], p[96], p[97], p[108], p[109]];
        for (a, b) in five.iter().zip(&row.points) {
            assert!((a - b).abs() < 0.02, "{}: {five:?} {:?}", row.path, row.points);
        }
    }
}

fn cfp_paths(made: &Made, list: &str) -> Vec<String> {
    let lines = made.lines(&format!("cfp/Protocol/{list}"));
    let path = |(k, line): (usize, &String)| {
        let (index, path) = line.split_once(' ').unwrap();
        assert_eq!(index, (k + 1).to_string());
        path.trim_start_matches("../").to_owned()
    };
    lines.iter().enumerate().map(path).collect()
}

#[test]
fn cfp_has_frontal_and_profile_splits_and_fiducials_on_one_half() {
    let made = make(&small(&[Set::Cfp]), 2);
    let truth = made.truth();
    let (frontal, profile) = (cfp_paths(&made, "Pair_list_F.txt"), cfp_paths(&made, "Pair_list_P.txt"));
    assert_eq!((frontal.len(), profile.len()), (200, 80));
    assert_eq!(made.lines("cfp/Data/list_name.txt").len(), 20);
    for (split, second) in [("FF", &frontal), ("FP", &profile)] {
        let mut pairs = Vec::new();
        for k in 1..=10 {
            for (name, same) in [("same", true), ("diff", false)] {
                let lines = made.lines(&format!("cfp/Protocol/Split/{split}/{k:02}/{name}.txt"));
                assert_eq!(lines.len(), N);
                for line in lines {
                    let (a, b) = line.split_once(',').unwrap();
                    let at = |v: &str| v.parse::<usize>().unwrap() - 1;
                    pairs.push((frontal[at(a)].clone(), second[at(b)].clone(), same));
                }
            }
        }
        assert_eq!(check(&truth, "cfp", &pairs), 10 * N);
    }
    for row in truth.values() {
        let text =
            made.text(&format!("cfp/{}", row.path.replace("Images", "Fiducials").replace(".jpg", ".txt")));
        let p = values(&text.replace(',', " "));
        assert_eq!(p.len(), 60);
        let eye = [0, 1].map(|axis| (12..18).map(|k| p[2 * k + axis]).sum::<f32>() / 6.0);
        let left = row.path.contains("frontal") || row.yaw > 0.0;
        let (e, m) = if left { (0, 6) } else { (2, 8) };
        let found = [eye[0], eye[1], p[42], p[43], p[50], p[51]];
        let wanted = [
            row.points[e],
            row.points[e + 1],
            row.points[4],
            row.points[5],
            row.points[m],
            row.points[m + 1],
        ];
        for (a, b) in found.iter().zip(wanted) {
            assert!((a - b).abs() < 0.02, "{}: {found:?} {wanted:?}", row.path);
        }
        // The visible half: the nose points away from the eye.
        if row.path.contains("profile") {
            assert_eq!(eye[0] < p[42], row.yaw > 0.0);
        }
    }
}

#[test]
fn rfw_has_four_groups_with_lists_of_their_own() {
    let made = make(&small(&[Set::Rfw]), 2);
    let truth = made.truth();
    for race in ["African", "Asian", "Caucasian", "Indian"] {
        let lines = made.lines(&format!("rfw/txts/{race}/{race}_pairs.txt"));
        assert_eq!(lines.len(), 20 * N);
        let pairs =
            names(&lines, |id, i| format!("data/{race}/{id}/{id}_{:04}.jpg", i.parse::<u32>().unwrap()));
        assert_eq!(check(&truth, "rfw", &pairs), 10 * N);
        let landmarks = made.lines(&format!("rfw/txts/{race}/{race}_lmk.txt"));
        assert_eq!(landmarks.len(), 120);
        for line in landmarks {
            let f: Vec<&str> = line.split('\t').collect();
            assert_eq!((f.len(), f[1]), (12, "0"));
            assert!(truth.contains_key(&("rfw".to_owned(), format!("data/{}", f[0]))));
        }
    }
}

#[test]
fn megaface_lists_are_nested_and_noise_is_named() {
    let made = make(&small(&[Set::Megaface]), 2);
    let truth = made.truth();
    let list = |name: &str| -> Vec<(String, String)> {
        let v: serde_json::Value = serde_json::from_str(&made.text(&format!("megaface/{name}"))).unwrap();
        let column =
            |k: &str| v[k].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect();
        let (paths, ids): (Vec<String>, Vec<String>) = (column("path"), column("id"));
        assert_eq!(paths.len(), ids.len());
        paths.into_iter().zip(ids).collect()
    };
    let probes = list("facescrub_features_list.json");
    assert_eq!(probes.len(), 14 * 8);
    let (ten, all) = (list("megaface_features_list.json_10_1"), list("megaface_features_list.json_25_1"));
    assert_eq!((ten.len(), all.len()), (10, 25));
    assert_eq!(ten, all[..10]);
    let named = |file: &str| -> BTreeSet<String> {
        let lines = made.lines(&format!("megaface/{file}"));
        lines
            .iter()
            .filter(|l| !l.starts_with('#'))
            .map(|l| l.rsplit('\t').next().unwrap().to_owned())
            .collect()
    };
    let (noisy_probes, noisy) = (named("facescrub_noises.txt"), named("megaface_noises.txt"));
    assert!(!noisy_probes.is_empty() && !noisy.is_empty());
    let clean: BTreeSet<u64> = truth
        .values()
        .filter(|r| r.path.starts_with("facescrub/") && r.fault.is_empty())
        .filter_map(|r| r.identity)
        .collect();
    for (path, id) in &probes {
        let row = &truth[&("megaface".to_owned(), format!("facescrub/{path}"))];
        assert_eq!(noisy_probes.contains(path.rsplit('/').next().unwrap()), row.fault == "noisy-probe");
        assert!(path.starts_with(&format!("{id}/")));
    }
    for (path, _) in &all {
        let row = &truth[&("megaface".to_owned(), format!("distractors/{path}"))];
        assert_eq!(noisy.contains(path), row.fault == "noisy-distractor");
        assert_eq!(noisy.contains(path), clean.contains(&row.identity.unwrap()));
    }
}

#[test]
fn trillion_pairs_labels_and_landmarks_have_one_order() {
    let made = make(&small(&[Set::TrillionPairs]), 2);
    let truth = made.truth();
    let (labels, points) =
        (made.lines("trillion-pairs/labels.tsv"), made.lines("trillion-pairs/testdata_lmk.txt"));
    assert_eq!((labels.len(), points.len()), (truth.len(), truth.len()));
    let mut people: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut roles: BTreeMap<(String, String), u32> = BTreeMap::new();
    for (label, line) in labels.iter().zip(&points) {
        let f: Vec<&str> = label.split('\t').collect();
        let (path, numbers) = line.split_once(' ').unwrap();
        assert_eq!(path, f[0]);
        let row = &truth[&("trillion-pairs".to_owned(), format!("testdata/{path}"))];
        assert_eq!(values(numbers), row.points);
        people.entry(f[2].to_owned()).or_default().insert(row.identity.unwrap());
        *roles.entry((f[2].to_owned(), f[1].to_owned())).or_default() += 1;
    }
    assert_eq!(people["-1"].len(), 25);
    assert!(people.iter().all(|(id, who)| id == "-1" || who.len() == 1));
    assert!(roles.iter().all(|((id, role), n)| if id == "-1" { role == "gallery" } else { *n >= 2 }));
}

#[test]
fn xqlfw_is_lfws_list_with_every_other_image_of_low_quality() {
    let made = make(&small(&[Set::Xqlfw]), 2);
    let lines = made.lines("xqlfw/xqlfw_pairs.txt");
    assert_eq!(lines[0], format!("10\t{N}"));
    let pairs = names(&lines[1..], |n, i| format!("{n}/{n}_{:04}.jpg", i.parse::<u32>().unwrap()));
    assert_eq!(check(&made.truth(), "xqlfw", &pairs), 10 * N);
    let size = |odd: u64| {
        let paths: Vec<String> = made.truth().keys().map(|k| k.1.clone()).collect();
        let some = paths.iter().filter(|p| p.ends_with(&format!("_000{}.jpg", 1 + odd)));
        some.map(|p| std::fs::metadata(made.folder.path().join("xqlfw").join(p)).unwrap().len()).sum::<u64>()
    };
    assert!(3 * size(1) < 2 * size(0), "{} {}", size(1), size(0));
}

#[test]
fn ijb_has_templates_of_photographs_and_videos_and_two_galleries() {
    let made = make(&small(&[Set::IjbC]), 2);
    let truth = made.truth();
    let at = |name: &str| made.lines(&format!("ijb-c/meta/ijbc_{name}"));
    let mut persons: BTreeMap<String, BTreeSet<Option<u64>>> = BTreeMap::new();
    let mut media: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in at("face_tid_mid.txt") {
        let f: Vec<&str> = line.split(' ').collect();
        let row = &truth[&("ijb-c".to_owned(), format!("loose_crop/{}", f[0]))];
        persons.entry(f[1].to_owned()).or_default().insert(row.identity);
        *media.entry((f[1].to_owned(), f[2].to_owned())).or_default() += 1;
    }
    assert!(persons.values().all(|p| p.len() == 1) && persons.len() == 14 * 3);
    assert_eq!(media.values().filter(|n| **n == 3).count(), persons.len());
    let pairs = at("template_pair_label.txt");
    for line in &pairs {
        let f: Vec<&str> = line.split(' ').collect();
        assert_eq!(persons[f[0]] == persons[f[1]], f[2] == "1", "{line}");
    }
    assert_eq!(pairs.len(), 14 * 28);
    let subjects = |name: &str| {
        let rows: Vec<(String, String)> = at(name)[1..]
            .iter()
            .map(|l| l.split_once(',').unwrap())
            .map(|(t, rest)| (t.to_owned(), rest.split(',').next().unwrap().to_owned()))
            .collect();
        rows
    };
    let (g1, g2, probes) =
        (subjects("1N_gallery_G1.csv"), subjects("1N_gallery_G2.csv"), subjects("1N_probe_mixed.csv"));
    assert_eq!((g1.len(), g2.len(), probes.len()), (7, 7, 28));
    let ids = |of: &[(String, String)]| of.iter().map(|r| r.1.clone()).collect::<BTreeSet<_>>();
    assert!(ids(&g1).is_disjoint(&ids(&g2)));
    assert_eq!(ids(&g1).union(&ids(&g2)).cloned().collect::<BTreeSet<_>>(), ids(&probes));
    assert_eq!(at("name_5pts_score.txt").len(), truth.len());
    // IJB-B has the same people on other photographs, under its own names.
    let other = make(&small(&[Set::IjbB]), 2);
    assert_eq!(other.lines("ijb-b/meta/ijbb_1N_gallery_S1.csv").len(), 8);
}

#[test]
fn tinyface_has_small_pictures_and_lists_of_its_own() {
    let made = make(&small(&[Set::Tinyface]), 2);
    let truth = made.truth();
    let root = made.folder.path().join("tinyface/Testing_Set");
    for (file, what, folder, count) in [
        ("probe_img_ID_pairs.mat", "probe", "Probe", 14 * 3),
        ("gallery_match_img_ID_pairs.mat", "gallery", "Gallery_Match", 14 * 2),
    ] {
        let variables = mat::read(&std::fs::read(root.join(file)).unwrap()).unwrap();
        let ids = mat::variable(&variables, &format!("{what}_ids")).unwrap().numbers().unwrap().to_vec();
        let (_, set) = mat::variable(&variables, &format!("{what}_set")).unwrap().cells().unwrap();
        assert_eq!((ids.len(), set.len()), (count, count));
        for (id, name) in ids.iter().zip(set) {
            let name = name.line().unwrap();
            assert!(name.starts_with(&format!("{id}_")));
            assert!(truth.contains_key(&("tinyface".to_owned(), format!("Testing_Set/{folder}/{name}"))));
        }
    }
    let distractors = truth.keys().filter(|k| k.1.contains("Gallery_Distractor")).count();
    assert_eq!(distractors, 25);
    let small = std::fs::metadata(root.join("Probe/1_3.jpg")).unwrap().len();
    assert!(small < 2500, "{small}");
}

#[test]
fn every_test_set_is_drawn_but_lists_of_ones_own() {
    use lfs_faces::TestSet;
    for set in TestSet::ALL.iter().filter(|s| ![TestSet::Pairs, TestSet::Gallery].contains(s)) {
        let drawn = serde_json::from_value::<lfs_synthesize::Set>(serde_json::json!(set.name()));
        assert_eq!(drawn.unwrap().name(), set.name());
    }
}
