//! Matching by faces, lists and decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use lfs_faces::dataset::{Dataset, Face, Info, Writer};
use lfs_faces::image::{Pixels, encode_jpeg};
use lfs_stage::{Binding, Job, Member, Result, run_in_place};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde_json::{Value, json};

use crate::matching::Train;
use crate::names::How;
use crate::{Options, Overlap};

const WIDTH: usize = 32;

/// Reproducible random numbers.
struct Draw(u64);

impl Draw {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn vector(&mut self) -> Vec<f64> {
        (0..WIDTH).map(|_| (0..6).map(|_| self.unit() - 0.5).sum::<f64>()).collect()
    }
}

/// The direction of a person; images scatter around it.
fn person(number: u64) -> Vec<f64> {
    Draw(number * 77 + 5).vector()
}

/// A data set and its embeddings: names, persons, four images each.
fn write(folder: &Path, people: &[(String, u64)], noise: f64) {
    let mut writer = Writer::create(&folder.join("dataset")).unwrap();
    let image = encode_jpeg(&Pixels { width: 8, height: 8, rgb: vec![90; 192] }, 90).unwrap();
    let mut numbers: Vec<u8> = Vec::new();
    for (k, (name, number)) in people.iter().enumerate() {
        let mut draw =
            Draw(name.bytes().fold(*number + 3, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b))));
        for n in 0..4 {
            let name = format!("{name}/{n}.jpg");
            let face =
                Face { image: image.clone(), identity: k as u32, name, points: None, group: None, flags: 0 };
            writer.push(&face).unwrap();
            let around =
                person(*number).into_iter().zip(draw.vector()).map(|(p, e)| 3.0 * (p + noise * e) + 0.2);
            numbers.extend(around.flat_map(|x| (x as f32).to_le_bytes()));
        }
    }
    let identities = people.iter().map(|p| p.0.clone()).collect();
    writer.finish(Info { identities, ..Info::default() }).unwrap();
    let view = TensorView::new(Dtype::F32, vec![people.len() * 4, WIDTH], &numbers).unwrap();
    std::fs::create_dir_all(folder.join("embeddings")).unwrap();
    let bytes = serialize([("embeddings", view)], None).unwrap();
    std::fs::write(folder.join("embeddings/embeddings.safetensors"), bytes).unwrap();
}

/// 300 persons to train on. Each of two test sets has 60, of whom 12 are in the training set under another
/// name.
fn world(dir: &Path) {
    let train: Vec<(String, u64)> = (0..300).map(|k| (format!("t{k:04}"), k)).collect();
    write(&dir.join("train"), &train, 0.5);
    for (set, first) in [("lfw", 0), ("cfp", 100)] {
        let of = |k: u64| if k < 12 { first + k * 3 } else { 1000 + first + k };
        let people: Vec<(String, u64)> = (0..60).map(|k| (format!("{set}{k:03}x"), of(k))).collect();
        write(&dir.join(set), &people, 0.5);
    }
}

fn member(set: &str, path: PathBuf) -> Member {
    Member { from: set.to_owned(), labels: BTreeMap::from([("set".to_owned(), set.to_owned())]), path }
}

fn overlap(dir: &Path, parameters: Value, more: &[(&str, Binding)], threads: usize) -> Result<()> {
    let scratch = dir.join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let of = |what: &str| Binding::Several(["cfp", "lfw"].map(|s| member(s, dir.join(s).join(what))).into());
    let mut inputs = BTreeMap::from([
        ("dataset".to_owned(), Binding::One(dir.join("train/dataset"))),
        ("embeddings".to_owned(), Binding::One(dir.join("train/embeddings"))),
        ("tests".to_owned(), of("dataset")),
        ("test-embeddings".to_owned(), of("embeddings")),
    ]);
    inputs.extend(more.iter().map(|(n, b)| ((*n).to_owned(), b.clone())));
    let job = Job {
        node: "overlap".to_owned(),
        kind: "overlap".to_owned(),
        parameters,
        inputs,
        outputs: ["dataset", "matches", "moved", "tests"]
            .map(|n| (n.to_owned(), dir.join("out").join(n)))
            .into(),
        scratch,
        threads,
        earlier: BTreeMap::new(),
    };
    run_in_place(&Overlap, &job).0
}

fn text(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join("out/matches").join(name)).unwrap()
}

fn certificate(dir: &Path) -> Value {
    serde_json::from_str(&text(dir, "certificate.json")).unwrap()
}

#[test]
fn persons_under_other_names_are_found_by_their_faces_and_moved() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    world(dir);
    overlap(dir, json!({"policy": "move"}), &[], 2).unwrap();
    let names = |p: &str| Dataset::open(&dir.join("out").join(p)).unwrap().info().identities.clone();
    let want: Vec<String> = (0..300)
        .filter(|k| k % 3 == 0 && *k < 36 || *k >= 100 && (*k - 100) % 3 == 0 && *k < 136)
        .map(|k| format!("t{k:04}"))
        .collect();
    let moved = names("moved");
    let right = moved.iter().filter(|m| want.contains(m)).count();
    assert!(right >= 23 && right == moved.len(), "{right} of {moved:?}");
    assert_eq!(names("dataset").len(), 300 - moved.len());
    assert_eq!(Dataset::open(&dir.join("out/moved")).unwrap().len(), 4 * moved.len());
    let rows = text(dir, "matches.csv");
    assert!(
        rows.lines().any(|r| r.starts_with("t0003,lfw,lfw001x,embedding,4,alike,embedding: 0.")),
        "{rows}"
    );
    let c = certificate(dir);
    assert_eq!(
        (&c["shared-training-identities"], &c["left-in-training-set"]),
        (&json!(moved.len()), &json!(0))
    );
    assert!(c["embedding"]["shared-from-cosine"].as_f64().unwrap() > 0.4);
    let bytes = || ["matches.csv", "review.csv", "review.html", "certificate.json"].map(|f| text(dir, f));
    let before = bytes();
    overlap(dir, json!({"policy": "move"}), &[], 1).unwrap();
    assert!(before == bytes(), "the number of threads shows");
}

#[test]
fn where_nobody_is_shared_nobody_is_matched_by_face() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    world(dir);
    for (set, first) in [("lfw", 2000), ("cfp", 3000)] {
        let people: Vec<(String, u64)> = (0..60).map(|k| (format!("{set}{k:03}x"), first + k)).collect();
        write(&dir.join(set), &people, 0.5);
    }
    overlap(dir, json!({}), &[], 2).unwrap();
    assert_eq!(certificate(dir)["shared-training-identities"], json!(0));
    assert_eq!(Dataset::open(&dir.join("out/dataset")).unwrap().len(), 1200);
}

#[test]
fn what_a_person_decided_wins_and_is_no_longer_open() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    world(dir);
    let file = dir.join("decisions.csv");
    let rows = "training-identity,test-set,test-identity,decision,signed-by,evidence\n\
                t0003,lfw,lfw001x,different,A. Reader,\nt0299,cfp,cfp050x,same,A. Reader,\nt0001,lfw,lfw002x,,,\ngone,lfw,lfw002x,same,A. Reader,\n";
    std::fs::write(&file, rows).unwrap();
    let decisions = [("decisions", Binding::One(file.clone()))];
    overlap(dir, json!({}), &decisions, 2).unwrap();
    let kept = Dataset::open(&dir.join("out/dataset")).unwrap().info().identities.clone();
    assert!(kept.contains(&"t0003".to_owned()) && !kept.contains(&"t0299".to_owned()));
    let c = certificate(dir);
    assert_eq!((&c["decisions"]["rows"], &c["decisions"]["signed-by"]), (&json!(3), &json!(["A. Reader"])));
    assert!(!text(dir, "review.csv").contains("t0299"));
    for (row, what) in [
        ("t0003,lfw,lfw001x,maybe,A,", "maybe"),
        ("t0003,lfw,lfw001x,same,,", "is not signed"),
        ("t0003,lfw,lfw001x,same,A,\nt0003,lfw,lfw001x,different,B,", "both same and different"),
    ] {
        let head = rows.lines().next().unwrap();
        std::fs::write(&file, format!("{head}\n{row}\n")).unwrap();
        let failure = overlap(dir, json!({}), &decisions, 1).unwrap_err().to_string();
        assert!(failure.contains(what) && failure.contains("line"), "{failure}");
    }
}

#[test]
fn names_that_agree_and_faces_that_do_not_are_listed_for_review() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    world(dir);
    let mut train: Vec<(String, u64)> = (0..300).map(|k| (format!("t{k:04}"), k)).collect();
    train[200].0 = "Anna_Belo".to_owned();
    train[201].0 = "Maria_<b>_Kurnowa".to_owned();
    write(&dir.join("train"), &train, 0.5);
    let mut lfw: Vec<(String, u64)> =
        (0..60).map(|k| (format!("lfw{k:03}x"), if k < 12 { k * 3 } else { 1000 + k })).collect();
    lfw[40].0 = "Belo_Anna".to_owned();
    lfw[41].0 = "Maria_<b>_Kurnova".to_owned();
    write(&dir.join("lfw"), &lfw, 0.5);
    overlap(dir, json!({}), &[], 2).unwrap();
    let review = text(dir, "review.csv");
    let row = review.lines().find(|r| r.starts_with("Anna_Belo,lfw,Belo_Anna,,,")).unwrap();
    assert!(row.contains("other order") && row.contains("(against)"), "{row}");
    assert!(review.contains("near miss"), "{review}");
    let page = text(dir, "review.html");
    assert!(page.contains("data-train=\"Anna_Belo\"") && page.contains("data:image/jpeg;base64,"));
    assert!(page.contains("Maria_&lt;b&gt;_Kurnova") && !page.contains("Maria_<b>"), "names are escaped");
    // The identity is removed because of its name until the user decides otherwise.
    assert!(
        !Dataset::open(&dir.join("out/dataset")).unwrap().info().identities.contains(&"Anna_Belo".to_owned())
    );
}

#[test]
fn published_lists_are_evidence_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    world(dir);
    std::fs::write(dir.join("list.txt"), "# removed\nt0003\nt0250\tOld Name\nnobody\n").unwrap();
    let lists = [("lists", Binding::Several(vec![member("lfw", dir.join("list.txt"))]))];
    overlap(dir, json!({}), &lists, 2).unwrap();
    let rows = text(dir, "matches.csv");
    let row = |start: &str| rows.lines().find(|r| r.starts_with(start)).unwrap();
    assert!(
        row("t0003,lfw,lfw001x,list").contains("embedding: 0.") && row("t0003,lfw").contains("list: lfw ")
    );
    assert!(row("t0250,lfw,,list,4,published list").ends_with("shared"));
    assert!(
        !Dataset::open(&dir.join("out/dataset")).unwrap().info().identities.contains(&"t0250".to_owned())
    );
}

#[test]
fn embeddings_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    world(dir);
    let refused = |more: &[(&str, Binding)], what: &str| {
        let failure = overlap(dir, json!({}), more, 1).unwrap_err().to_string();
        assert!(failure.contains(what), "{failure}");
    };
    refused(
        &[("embeddings", Binding::One(dir.join("lfw/embeddings")))],
        "240 rows, and its data set has 1200 images",
    );
    refused(&[("embeddings", Binding::One(dir.join("train/dataset")))], "embeddings.safetensors");
    refused(&[("test-embeddings", Binding::One(dir.join("lfw/embeddings")))], "2 test sets and 1 embeddings");
    let other = Binding::Several(vec![member("agedb", dir.join("lfw/embeddings"))]);
    refused(&[("test-embeddings", other)], "`agedb`");
    refused(&[("test-embeddings", Binding::Several(Vec::new()))], "embeddings of the test sets are missing");
}

#[test]
fn cfp_and_lfw_share_176_names_and_casia_its_published_identities() {
    let Some(data) = lfs_testing::data("") else { return };
    let read = |name: &str| std::fs::read_to_string(data.join(name)).unwrap();
    let first = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|l| l.split('\t').next().unwrap().trim().to_owned());
        lines.filter(|l| !l.is_empty()).collect()
    };
    let options = Options::default();
    let lfw = first(&read("lists/lfw-names.txt"));
    let nobody = BTreeMap::new();
    let asked = Train::new(&options, &lfw, &nobody);
    let cfp = first(&read("cfp/Data/list_name.txt"));
    let exact = cfp.iter().filter(|n| asked.matches(n).iter().any(|m| m.how == How::SameName)).count();
    assert_eq!((lfw.len(), cfp.len(), exact), (5749, 500, 176));
    let file = Member {
        from: "names".to_owned(),
        labels: BTreeMap::new(),
        path: data.join("lists/webface_id_name_list.txt"),
    };
    let known = crate::lists::names(&[file]).unwrap();
    let ids: Vec<String> = known.keys().cloned().collect();
    let asked = Train::new(&options, &ids, &known);
    let found = |names: &[String], wanted: &dyn Fn(How) -> bool| -> BTreeSet<String> {
        let matched = names.iter().flat_map(|n| asked.matches(n)).filter(|m| wanted(m.how));
        matched.map(|m| ids[m.train].clone()).collect()
    };
    let published = |name: &str| first(&read(name)).into_iter().collect::<BTreeSet<String>>();
    let scrub = published("lists/webface_facescrub_overlap.txt");
    assert_eq!(scrub.len(), 42);
    assert_eq!(found(&first(&read("lists/face_scrub_name.txt")), &|how| how == How::SameName), scrub);
    // Two persons changed their last name: only the list knows them.
    let both = published("lists/webface_lfw_overlap.txt");
    let by_name = found(&lfw, &|how| how != How::NearMiss);
    let missed: Vec<&str> = both.difference(&by_name).map(|id| known[id].as_str()).collect();
    assert_eq!((both.len(), missed), (16, vec!["Kimora_Lee_Simmons", "Aishwarya_Rai_Bachchan"]));
}
