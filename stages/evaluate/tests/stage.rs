//! The kind as a whole: data set, embeddings and lists in, `metrics.json` out.

#![allow(clippy::unwrap_used)] // a test can only stop with a message

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lfs_evaluate::Evaluate;
use lfs_faces::dataset::{Face, Info, Writer};
use lfs_metrics::Metrics;
use lfs_stage::{Binding, Failure, Job, Kind, Reply, run_in_place};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

/// A test set in a temporary folder: images with an identity and an angle in the plane.
struct Setting {
    dir: tempfile::TempDir,
}

impl Setting {
    fn new(images: &[(&str, u32, f64)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(&dir.path().join("dataset")).unwrap();
        let mut bytes = Vec::new();
        for (name, identity, degrees) in images {
            let face = Face {
                image: vec![1],
                identity: *identity,
                name: (*name).to_owned(),
                points: None,
                group: None,
                flags: 0,
            };
            writer.push(&face).unwrap();
            for x in [3.0 * degrees.to_radians().cos(), 3.0 * degrees.to_radians().sin()] {
                bytes.extend((x as f32).to_le_bytes());
            }
        }
        let last = images.iter().map(|i| i.1).max().unwrap();
        let identities = (0..=last).map(|i| i.to_string()).collect();
        writer.finish(Info { identities, ..Info::default() }).unwrap();
        let view =
            |name: &'static str| (name, TensorView::new(Dtype::F32, vec![images.len(), 2], &bytes).unwrap());
        let file = safetensors::serialize([view("embeddings"), view("flipped")], None).unwrap();
        fs::create_dir(dir.path().join("embeddings")).unwrap();
        fs::write(dir.path().join("embeddings/embeddings.safetensors"), file).unwrap();
        Self { dir }
    }

    fn list(self, name: &str, text: &str) -> Self {
        let path = self.path("lists").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, parameters: Value, threads: usize) -> (Result<String, Failure>, Vec<Reply>) {
        // A test that removes the data set gives names.
        let there =
            ["embeddings", "dataset", "names", "lists"].map(|name| (name.to_owned(), self.path(name)));
        let there = there.into_iter().filter(|(_, path)| path.exists());
        let out = self.path(&format!("metrics-{threads}.json"));
        let scratch = self.path("scratch");
        fs::create_dir_all(&scratch).unwrap();
        let job = Job {
            node: "evaluate".into(),
            kind: "evaluate".into(),
            parameters,
            inputs: there.map(|(name, path)| (name, Binding::One(path))).collect(),
            outputs: BTreeMap::from([("metrics".to_owned(), out.clone())]),
            scratch,
            threads,
            earlier: BTreeMap::new(),
        };
        let (result, said) = run_in_place(&Evaluate, &job);
        (result.map(|()| fs::read_to_string(Path::new(&out)).unwrap()), said)
    }

    fn metrics(&self, parameters: Value) -> Metrics {
        serde_json::from_str(&self.run(parameters, 1).0.unwrap()).unwrap()
    }
}

/// Two folds; persons at 0, 60, 120, 180 degrees; their two images 10 degrees apart, but one pair 50.
fn lfw() -> Setting {
    Setting::new(&[
        ("lfw/A/A_0001.jpg", 0, 0.0),
        ("lfw/A/A_0002.jpg", 0, 10.0),
        ("lfw/B/B_0001.jpg", 1, 60.0),
        ("lfw/B/B_0002.jpg", 1, 70.0),
        ("lfw/C/C_0001.jpg", 2, 120.0),
        ("lfw/C/C_0002.jpg", 2, 170.0),
        ("lfw/D/D_0001.jpg", 3, 180.0),
        ("lfw/D/D_0002.jpg", 3, 190.0),
    ])
    .list(
        "pairs.txt",
        "2\t2\nA\t1\t2\nB\t1\t2\nA\t1\tB\t1\nA\t1\tB\t2\nC\t1\t2\nD\t1\t2\nC\t1\tD\t1\nC\t2\tD\t1\n",
    )
}

#[test]
fn a_verification_set_gives_one_column_with_all_that_belongs_to_it() {
    let metrics = lfw().metrics(json!({"set": "lfw", "fars": [0.25, 0.001]}));
    let column = &metrics.columns[0];
    // Fold 2 trained on fold 1 (cut between 10 and 60 degrees): the pair at 50 has a cosine above the middle and is
    // right, (C2, D1) at 10 is not. Fold 1 trained on fold 2 (10, 50 same; 60, 10 different): between 50 and 60, a
    // cut with 3 of 4 right, and all of fold 1 right.
    assert_eq!((column.name.as_str(), column.definition.as_str()), ("LFW", "exact"));
    assert_eq!(metrics.details.folds[0].accuracy, [1.0, 0.5]);
    assert_eq!(column.value, Some(0.75));
    assert_eq!((column.pairs, column.listed, column.positives, column.negatives), (8, 8, 4, 4));
    let [low, high] = column.interval.unwrap();
    assert!(low <= 0.75 && 0.75 <= high);
    // One of four negatives may pass, the one at 10 degrees: three positives lie at 10 too, and one at 50: the next
    // negative is at 60, so all positives are above it.
    assert_eq!(
        (metrics.columns[1].name.as_str(), metrics.columns[1].value),
        ("LFW TPR@FAR=2.5e-1", Some(1.0))
    );
    assert_eq!((metrics.columns[2].value, metrics.columns[2].resolved), (None, false));
    assert!(!metrics.details.official);
}

#[test]
fn the_definition_and_the_mirror_image_go_with_the_number() {
    let setting = lfw();
    let names = ["exact", "insightface", "facexzoo", "paper"].map(|definition| {
        let metrics = setting.metrics(json!({"set": "lfw", "definition": definition}));
        (metrics.columns[0].definition.clone(), metrics.columns[0].flip.clone())
    });
    let expected = [("exact", "none"), ("insightface", "sum"), ("facexzoo", "none"), ("paper", "none")];
    assert_eq!(names, expected.map(|(name, flip)| (name.to_owned(), flip.to_owned())));
}

#[test]
fn the_result_is_the_same_bytes_on_any_number_of_threads() {
    let setting = lfw();
    let on = |threads| setting.run(json!({"set": "lfw"}), threads).0.unwrap();
    assert_eq!(on(1), on(3));
}

#[test]
fn a_missing_image_fails_or_is_counted() {
    let mut setting = lfw();
    setting = setting.list(
        "pairs.txt",
        "2\t2\nA\t1\t2\nB\t1\t2\nA\t1\tB\t1\nA\t1\tB\t2\nC\t1\t2\nD\t1\t9\nC\t1\tD\t1\nC\t2\tD\t1\n",
    );
    let why = setting.run(json!({"set": "lfw"}), 1).0.unwrap_err();
    assert!(why.message.contains("1 of 8 images of the pairs have no embedding: `D/D_0009.jpg`"), "{why}");
    assert!(why.help.unwrap().contains("missing = \"skip\""));
    let (result, said) = setting.run(json!({"set": "lfw", "missing": "skip"}), 1);
    let metrics: Metrics = serde_json::from_str(&result.unwrap()).unwrap();
    assert_eq!((metrics.columns[0].pairs, metrics.columns[0].listed), (7, 8));
    assert!(said.iter().any(|r| matches!(r, Reply::Warning { text } if text.contains("1 of 8"))));
    assert!(said.iter().any(|r| matches!(r, Reply::Metric { name, .. } if name == "LFW")));
}

/// The same embeddings with a list of names in place of the data set.
fn named(setting: Setting, names: &str) -> Setting {
    fs::remove_dir_all(setting.path("dataset")).unwrap();
    fs::write(setting.path("names"), names).unwrap();
    setting
}

const LFW_NAMES: &str =
    "A_0001.png\nA_0002.png\nB_0001.png\nB_0002.png\nC_0001.png\nC_0002.png\nD_0001.png\nD_0002.png\n";

#[test]
fn embeddings_with_names_give_the_same_numbers_as_with_their_data_set() {
    let parameters = json!({"set": "lfw", "fars": [0.25]});
    let with_set = lfw().metrics(parameters.clone());
    let with_names = named(lfw(), LFW_NAMES).metrics(parameters.clone());
    assert_eq!(
        with_names.columns,
        with_set
            .columns
            .iter()
            .map(|c| lfs_metrics::Column {
                standard_error: None,
                interval: None,
                bootstrap: None,
                ..c.clone()
            })
            .zip(&with_names.columns)
            .map(|(c, n)| lfs_metrics::Column {
                standard_error: n.standard_error,
                interval: n.interval,
                bootstrap: n.bootstrap,
                ..c
            })
            .collect::<Vec<_>>()
    );
    // One list file, of any name, is enough; with the persons of the data set the intervals are the same, too.
    let setting = named(
        lfw(),
        &LFW_NAMES
            .replace(".png", "")
            .lines()
            .zip("00112233".chars())
            .map(|(n, p)| format!("{n}\t{p}\n"))
            .collect::<String>(),
    );
    let text = fs::read(setting.path("lists/pairs.txt")).unwrap();
    fs::remove_dir_all(setting.path("lists")).unwrap();
    fs::write(setting.path("lists"), text).unwrap();
    assert_eq!(setting.metrics(parameters), with_set);
}

#[test]
fn without_mirror_images_a_definition_scores_the_images_alone_and_says_so() {
    let setting = named(lfw(), LFW_NAMES);
    let file = setting.path("embeddings/embeddings.safetensors");
    let bytes = fs::read(&file).unwrap();
    let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let one = safetensors::serialize([("embeddings", all.tensor("embeddings").unwrap())], None).unwrap();
    fs::write(&file, one).unwrap();
    let (result, said) = setting.run(json!({"set": "lfw", "definition": "insightface"}), 1);
    let metrics: Metrics = serde_json::from_str(&result.unwrap()).unwrap();
    assert_eq!(metrics.columns[0].flip, "none");
    assert!(said.iter().any(|r| matches!(r, Reply::Warning { text } if text.contains("images alone"))));
    let asked = setting.run(json!({"set": "lfw", "flip": "sum"}), 1).0.unwrap_err();
    assert!(asked.message.contains("no embeddings of mirror images"), "{asked}");
}

#[test]
fn names_that_do_not_fit_are_errors_with_what_to_do() {
    let says = |names: &str| named(lfw(), names).run(json!({"set": "lfw"}), 1).0.unwrap_err();
    assert!(says("A_0001.png\n").message.contains("1 names for 8 rows"));
    assert!(says(&LFW_NAMES.replace("B_0002", "B_0001")).message.contains("`B_0001.png` (rows 2, 3)"));
    assert!(
        says(&LFW_NAMES.replace("B_0002", "B_0003"))
            .message
            .contains("1 of 8 images of the pairs have no embedding: `B/B_0002.jpg`")
    );
    let other = says(&LFW_NAMES.replace('_', "-"));
    assert!(
        other.message.contains("8 of 8 images")
            && other.message.contains("there are `A-0001.png`, `A-0002.png`"),
        "{other}"
    );
    let setting = lfw();
    fs::write(setting.path("names"), LFW_NAMES).unwrap();
    assert!(setting.run(json!({"set": "lfw"}), 1).0.unwrap_err().message.contains("give one of them"));
    fs::remove_dir_all(setting.path("dataset")).unwrap();
    fs::remove_file(setting.path("names")).unwrap();
    let none = setting.run(json!({"set": "lfw"}), 1).0.unwrap_err();
    assert!(none.message.contains("no names") && none.help.unwrap().contains("input `names`"));
}

#[test]
fn pairs_of_ones_own_have_any_folds_or_none() {
    let list = |text: &str| {
        let setting = named(lfw(), &LFW_NAMES.replace(".png", ".jpg"));
        fs::remove_dir_all(setting.path("lists")).unwrap();
        fs::write(setting.path("lists"), text).unwrap();
        setting.run(json!({"set": "pairs"}), 1).0.map(|text| serde_json::from_str::<Metrics>(&text).unwrap())
    };
    let pairs = [
        "A_0001.jpg A_0002.jpg 1",
        "B_0001.jpg B_0002.jpg 1",
        "A_0001.jpg B_0001.jpg 0",
        "A_0001.jpg B_0002.jpg 0",
        "C_0001.jpg C_0002.jpg 1",
        "D_0001.jpg D_0002.jpg 1",
        "C_0001.jpg D_0001.jpg 0",
        "C_0002.jpg D_0001.jpg 0",
    ];
    let folds: String = pairs
        .iter()
        .enumerate()
        .map(|(k, p)| format!("{p} {}\n", if k < 4 { "east" } else { "west" }))
        .collect();
    let found = list(&folds).unwrap();
    assert_eq!((found.columns[0].name.as_str(), found.columns[0].value), ("Pairs", Some(0.75)));
    let four = list(&format!("a,b,label\n{}", pairs.map(|p| p.replace(' ', ",")).join("\n"))).unwrap();
    assert_eq!(four.details.folds[0].pairs, [2, 2, 2, 2]);
    let says = |text: &str| list(text).unwrap_err().message;
    assert!(says("A_0001.jpg A_0002.jpg 1\n").contains("all pairs have the same label"));
    assert!(says("A_0001.jpg A_0002.jpg 2\n").contains("1 for one person or 0 for two"));
    assert!(
        says("A_0001.jpg A_0002.jpg 1\nA_0001.jpg B_0001.jpg 0 3\n")
            .contains("line 2: expected a fold on every line, or on none")
    );
    assert!(says("A_0001.jpg A_0002.jpg 1\nA_0001.jpg B_0001.jpg 0\n").contains("fold"));
}

#[test]
fn rfw_gives_every_group_the_average_and_rates_at_one_threshold() {
    let groups = ["African", "Asian", "Caucasian", "Indian"];
    let images: Vec<(String, u32, f64)> = groups
        .iter()
        .enumerate()
        .flat_map(|(g, name)| {
            (0..20_u32).flat_map(move |p| {
                let identity = 20 * g as u32 + p;
                let image = move |i: u32| format!("data/{name}/m.{p}/m.{p}_000{i}.jpg");
                // The wider the spread within a person, the harder the group.
                let at = 30.0 * f64::from(p) + f64::from(identity);
                [(image(1), identity, at), (image(2), identity, at + 4.0 * g as f64 + f64::from(p))]
            })
        })
        .collect();
    let refs: Vec<(&str, u32, f64)> = images.iter().map(|(n, i, d)| (n.as_str(), *i, *d)).collect();
    let mut setting = Setting::new(&refs);
    let text: String = (0..10)
        .map(|f| {
            let (a, b) = (2 * f, 2 * f + 1);
            format!("m.{a}\t1\t2\nm.{b}\t1\t2\nm.{a}\t1\tm.{b}\t1\nm.{a}\t2\tm.{b}\t1\n")
        })
        .collect();
    for group in groups {
        setting = setting.list(&format!("txts/{group}/{group}_pairs.txt"), &text);
    }
    let metrics = setting.metrics(json!({"set": "rfw", "fars": [0.1]}));
    let names: Vec<&str> = metrics.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["RFW Caucasian", "RFW Indian", "RFW Asian", "RFW African", "RFW average"]);
    let values: Vec<f64> = metrics.columns.iter().map(|c| c.value.unwrap()).collect();
    assert!((values[4] - values[..4].iter().sum::<f64>() / 4.0).abs() < 1e-12);
    assert_eq!(metrics.details.groups.len(), 2);
    assert_eq!(metrics.details.groups[0].groups.len(), 4);
    assert!(metrics.details.group_std.unwrap().interval.is_some());
}

#[test]
fn megaface_ranks_mates_against_clean_distractors_only() {
    // The mate of A is 20 degrees away; the noisy distractor 5, the clean ones 30 and more.
    let setting = Setting::new(&[
        ("facescrub/A/A_1.jpg", 0, 0.0),
        ("facescrub/A/A_2.jpg", 0, 20.0),
        ("facescrub/A/A_3.jpg", 0, 200.0),
        ("facescrub/B/B_1.jpg", 1, 100.0),
        ("facescrub/B/B_2.jpg", 1, 140.0),
        ("distractors/0/x@N00/1_0.jpg", 2, 5.0),
        ("distractors/0/y@N00/1_0.jpg", 3, 310.0),
        ("distractors/0/z@N00/1_0.jpg", 4, 120.0),
    ])
    .list(
        "facescrub_features_list.json",
        r#"{"path": ["A/A_1.jpg", "A/A_2.jpg", "A/A_3.jpg", "B/B_1.jpg", "B/B_2.jpg"], "id": ["A", "A", "A", "B", "B"]}"#,
    )
    .list(
        "megaface_features_list.json_3_1",
        r#"{"path": ["0/x@N00/1_0.jpg", "0/y@N00/1_0.jpg", "0/z@N00/1_0.jpg"], "id": ["x", "y", "z"]}"#,
    )
    .list("facescrub_noises.txt", "# noisy\nA_3.jpg\n")
    .list("megaface_noises.txt", "# noisy\nis A\t0/x@N00/1_0.jpg\n");
    let metrics = setting.metrics(json!({"set": "megaface", "ranks": [1, 2], "fars": [0.25, 1e-6]}));
    let found: Vec<(&str, Option<f64>)> =
        metrics.columns.iter().map(|c| (c.name.as_str(), c.value)).collect();
    // A's two mate pairs hit; B's mates are 40 away, z 20: both miss at rank 1 and hit at rank 2.
    assert_eq!(found[0], ("MegaFace rank-1", Some(0.5)));
    assert_eq!(found[1], ("MegaFace rank-2", Some(1.0)));
    // Negatives: cosines of 50, 70, 120, 100; 150, 170, 20, 20 degrees. Two of eight may pass (both at 20); the next is 50.
    assert_eq!(found[2], ("MegaFace TPR@FAR=2.5e-1", Some(1.0)));
    assert_eq!(found[3], ("MegaFace TPR@FAR=1e-6", None));
    let counts = &metrics.details.counts;
    assert_eq!(
        (counts["probes"], counts["gallery"], counts["noisy-probes"], counts["noisy-distractors"]),
        (4, 2, 1, 1)
    );
}

#[test]
fn trillion_pairs_gives_both_rates() {
    let setting = Setting::new(&[
        ("elfw/1/1.jpg", 0, 0.0),
        ("elfw/1/2.jpg", 0, 10.0),
        ("elfw/2/1.jpg", 1, 90.0),
        ("elfw/2/2.jpg", 1, 120.0),
        ("delfw/0/1.jpg", 2, 110.0),
        ("delfw/0/2.jpg", 3, 250.0),
    ])
    .list(
        "labels.tsv",
        "elfw/1/1.jpg\tprobe\t1\nelfw/1/2.jpg\tgallery\t1\nelfw/2/1.jpg\tprobe\t2\nelfw/2/2.jpg\tgallery\t2\n\
         delfw/0/1.jpg\tgallery\t-1\ndelfw/0/2.jpg\tgallery\t-1\n",
    );
    let metrics = setting.metrics(json!({
        "set": "trillion-pairs", "fars": [0.2], "identification-fars": [0.5]
    }));
    let found: Vec<(&str, Option<f64>)> =
        metrics.columns.iter().map(|c| (c.name.as_str(), c.value)).collect();
    // Probe 1 has its mate at 10 degrees and nobody near; probe 2 its mate at 30 behind a distractor at 20.
    assert_eq!(found[0], ("Trillion-Pairs identification TPR@FAR=5e-1", Some(0.5)));
    // Six negatives: 110, 110, 120; 80, 20, 160 degrees: one may pass (20), the next is at 80.
    assert_eq!(found[1], ("Trillion-Pairs verification TPR@FAR=2e-1", Some(1.0)));
}

#[test]
fn parameters_out_of_range_name_the_parameter() {
    let says = |p: Value| lfw().run(p, 1).0.unwrap_err().message;
    assert!(says(json!({"set": "lfw", "fars": [0.0]})).contains("`fars` holds 0"));
    assert!(says(json!({"set": "lfw", "ranks": [0]})).contains("`ranks`"));
    assert!(says(json!({"set": "lfw", "definitions": "exact"})).contains("definitions"));
}

#[test]
fn every_choice_names_a_file_of_this_crate() {
    let kind = Evaluate.describe();
    for (value, choice) in kind.choices.values().flatten() {
        assert!(choice.code.values().all(|d| d != "missing"), "{value}: {:?}", choice.code);
        assert!(!choice.code.is_empty());
    }
    // What no choice names counts for all: the cut of `exact` serves the groups.
    assert!(kind.code.contains_key("evaluate/src/definition/exact.rs"));
    assert!(!kind.code.contains_key("evaluate/src/protocol/lfw.rs"));
}
