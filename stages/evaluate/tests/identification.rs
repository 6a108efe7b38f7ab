//! Galleries, TinyFace and IJB: numbers worked out by hand, and compared with a plain implementation of InsightFace's evaluation.

#![allow(clippy::unwrap_used)] // a test can only stop with a message

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use lfs_evaluate::Evaluate;
use lfs_formats::mat::{self, Value as Mat};
use lfs_metrics::Metrics;
use lfs_stage::{Binding, Failure, Job, Reply, run_in_place};
use serde_json::{Value, json};

/// An `.npy` file of float32 [n, d].
fn npy(rows: &[Vec<f32>]) -> Vec<u8> {
    let head = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}\n",
        rows.len(),
        rows.first().map_or(0, Vec::len)
    );
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((head.len() as u16).to_le_bytes());
    out.extend(head.as_bytes());
    out.extend(rows.iter().flatten().flat_map(|x| x.to_le_bytes()));
    out
}

/// A folder with `E.npy`, `names` and the folder `lists`.
fn setting(rows: &[(&str, Vec<f32>)], lists: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let vectors: Vec<Vec<f32>> = rows.iter().map(|r| r.1.clone()).collect();
    fs::write(dir.path().join("E.npy"), npy(&vectors)).unwrap();
    let names: String = rows.iter().map(|r| format!("{}\n", r.0)).collect();
    fs::write(dir.path().join("names"), names).unwrap();
    fs::create_dir(dir.path().join("lists")).unwrap();
    for (name, text) in lists {
        fs::write(dir.path().join("lists").join(name), text).unwrap();
    }
    dir
}

fn run(dir: &Path, parameters: Value) -> (Result<Metrics, Failure>, Vec<Reply>) {
    let inputs = [("embeddings", "E.npy"), ("names", "names"), ("lists", "lists")];
    let out = dir.join("metrics.json");
    let job = Job {
        node: "evaluate".into(),
        kind: "evaluate".into(),
        parameters,
        inputs: inputs.map(|(name, file)| (name.to_owned(), Binding::One(dir.join(file)))).into(),
        outputs: BTreeMap::from([("metrics".to_owned(), out.clone())]),
        scratch: dir.to_owned(),
        threads: 2,
        earlier: BTreeMap::new(),
    };
    let (result, said) = run_in_place(&Evaluate, &job);
    (result.map(|()| serde_json::from_str(&fs::read_to_string(out).unwrap()).unwrap()), said)
}

fn metrics(dir: &Path, parameters: Value) -> Metrics {
    run(dir, parameters).0.unwrap()
}

fn values(metrics: &Metrics) -> Vec<(&str, Option<f64>)> {
    metrics.columns.iter().map(|c| (c.name.as_str(), c.value)).collect()
}

fn at(degrees: f64) -> Vec<f32> {
    vec![3.0 * degrees.to_radians().cos() as f32, 3.0 * degrees.to_radians().sin() as f32]
}

#[test]
fn an_own_gallery_gives_ranks_and_a_rate_over_searches_without_a_mate() {
    let rows =
        [("a1", 0.0), ("a2", 10.0), ("b1", 90.0), ("b2", 130.0), ("x", 200.0), ("y", 120.0), ("z", 300.0)];
    let rows: Vec<(&str, Vec<f32>)> = rows.iter().map(|(n, d)| (*n, at(*d))).collect();
    let list = "image role person\na1 gallery A\nb1 gallery B\ny gallery -\n\
                a2 probe A\nb2 probe B\nx probe X\nz probe Z\n";
    let dir = setting(&rows, &[("labels.tsv", list.into())]);
    // A's probe is at 10 degrees from its mate. B's is 40 from its mate, and 10 from the distractor.
    let found =
        metrics(dir.path(), json!({"set": "gallery", "ranks": [1, 2], "identification-fars": [0.5, 0.1]}));
    assert_eq!(
        values(&found),
        [
            ("Gallery rank-1", Some(0.5)),
            ("Gallery rank-2", Some(1.0)),
            // X is 80 from y, Z is 60 from a1: one of two may be accepted, so that the threshold is 80 degrees.
            ("Gallery TPIR@FPIR=5e-1", Some(0.5)),
            ("Gallery TPIR@FPIR=1e-1", None),
        ]
    );
    let counts = &found.details.counts;
    assert_eq!((counts["searches-with-mate"], counts["impostor-searches"], counts["gallery"]), (2, 2, 3));
    let says = |list: &str| {
        fs::write(dir.path().join("lists/labels.tsv"), list).unwrap();
        run(dir.path(), json!({"set": "gallery"})).0.unwrap_err().message
    };
    assert!(says("a1 gallery A\na2 probe -\n").contains("line 2: expected the person of a probe"));
    assert!(says("a1 gallery A\na2 gallery A\n").contains("0 probes and 2 gallery images"));
    assert!(says("a1 gallery A\nb2 probe B\n").contains("no mate pair"));
    let none = setting(&[], &[("labels.tsv", list.into())]);
    let head = String::from_utf8_lossy(&npy(&[at(0.0)])[10..]).replace("(1, 2)", "(0, 2)");
    let head = head.split_once('\n').unwrap().0.to_owned() + "\n";
    let empty =
        [b"\x93NUMPY\x01\x00".as_slice(), &(head.len() as u16).to_le_bytes(), head.as_bytes()].concat();
    fs::write(none.path().join("E.npy"), empty).unwrap();
    let why = run(none.path(), json!({"set": "gallery"})).0.unwrap_err().message;
    assert!(why.contains("there are no embeddings"), "{why}");
    let other = run(dir.path(), json!({"set": "gallery", "definition": "paper"})).0.unwrap_err();
    assert!(other.help.unwrap().contains("`exact` and `insightface`"));
}

#[test]
fn tinyface_searches_a_gallery_with_all_distractors_of_the_folder() {
    let rows = [
        ("Testing_Set/Probe/1_1.jpg", 0.0),
        ("Testing_Set/Probe/2_1.jpg", 90.0),
        ("Testing_Set/Gallery_Match/1_2.jpg", 20.0),
        ("Testing_Set/Gallery_Match/1_3.jpg", 50.0),
        ("Testing_Set/Gallery_Match/2_2.jpg", 150.0),
        ("Testing_Set/Gallery_Distractor/d1.jpg", 330.0),
        ("Testing_Set/Gallery_Distractor/d2.jpg", 80.0),
    ];
    let rows: Vec<(&str, Vec<f32>)> = rows.iter().map(|(n, d)| (*n, at(*d))).collect();
    let list = |what: &str, of: &[(f64, &str)]| {
        let items: Vec<Mat> = of.iter().map(|(_, name)| Mat::text(*name)).collect();
        let cells = Mat::Cells { dims: vec![items.len(), 1], items };
        let ids = Mat::row(of.iter().map(|(id, _)| *id).collect());
        mat::write(&[(format!("{what}_ids"), ids), (format!("{what}_set"), cells)]).unwrap()
    };
    let probes = list("probe", &[(1.0, "1_1.jpg"), (2.0, "2_1.jpg")]);
    let gallery = list("gallery", &[(1.0, "1_2.jpg"), (1.0, "1_3.jpg"), (2.0, "2_2.jpg")]);
    let lists = [("probe_img_ID_pairs.mat", probes), ("gallery_match_img_ID_pairs.mat", gallery)];
    let dir = setting(&rows, &lists);
    // Probe 1: mates at 20 and 50, others from 30 on. Probe 2: its mate at 60, others at 10, 40, 70.
    let found = metrics(dir.path(), json!({"set": "tinyface", "ranks": [1, 2, 3]}));
    assert_eq!(
        values(&found)[..3].iter().map(|v| v.1).collect::<Vec<_>>(),
        [Some(0.5), Some(0.5), Some(1.0)]
    );
    assert_eq!(found.columns[0].name, "TinyFace rank-1");
    assert_eq!(found.details.counts["gallery"], 5);
}

/// Numbers from 0 to 1.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Made data in the layout of IJB-C: persons with templates of photographs and videos, all pairs of templates, two galleries.
fn ijb(with_scores: bool) -> tempfile::TempDir {
    const PERSONS: i64 = 24;
    let mut draw = Draw(7);
    let mut rows: Vec<(String, Vec<f32>)> = Vec::new();
    let (mut tid_mid, mut scores) = (String::new(), String::new());
    let mut owners = Vec::new();
    for person in 0..PERSONS {
        let centre: Vec<f64> = (0..8).map(|_| draw.next() - 0.5).collect();
        for _ in 0..4 {
            let template = 1000 - owners.len() as i64;
            owners.push((template, person));
            for media in 0..2 {
                // The second media is a video of three frames.
                for _ in 0..1 + 2 * media {
                    let image = format!("{}.jpg", rows.len() + 1);
                    let length = 0.5 + 2.0 * draw.next();
                    let row =
                        centre.iter().map(|c| (length * (c + 1.2 * (draw.next() - 0.5))) as f32).collect();
                    let _ = writeln!(tid_mid, "{image} {template} {}", 10 * template + media);
                    let _ = writeln!(scores, "{image} 1 2 3 4 5 6 7 8 9 10 {:.3}", 0.2 + 0.8 * draw.next());
                    rows.push((image, row));
                }
            }
        }
    }
    let mut pairs = String::new();
    for (i, (a, p)) in owners.iter().enumerate() {
        for (b, q) in &owners[..i] {
            let _ = writeln!(pairs, "{a} {b} {}", u8::from(p == q));
        }
    }
    let csv = |of: &dyn Fn(usize, i64) -> bool| {
        let some = owners.iter().enumerate().filter(|(k, o)| of(k % 4, o.1));
        // A line for each image: the second one of a template is to be ignored.
        some.fold("TEMPLATE_ID,SUBJECT_ID,FILENAME\n".to_owned(), |all, (_, (t, p))| {
            format!("{all}{t},{p},a.png\n{t},{p},b.png\n")
        })
    };
    let mut lists = vec![
        ("ijbc_face_tid_mid.txt", tid_mid.into_bytes()),
        ("ijbc_template_pair_label.txt", pairs.into_bytes()),
        ("ijbc_1N_gallery_G1.csv", csv(&|k, p| k == 0 && p % 2 == 0).into_bytes()),
        ("ijbc_1N_gallery_G2.csv", csv(&|k, p| k == 0 && p % 2 == 1).into_bytes()),
        ("ijbc_1N_probe_mixed.csv", csv(&|k, _| k > 0).into_bytes()),
    ];
    if with_scores {
        lists.push(("ijbc_name_5pts_score.txt", scores.into_bytes()));
    }
    let rows: Vec<(&str, Vec<f32>)> = rows.iter().map(|(n, r)| (n.as_str(), r.clone())).collect();
    setting(&rows, &lists)
}

/// A plain implementation of InsightFace's evaluation of IJB and of NIST's two galleries, with whole matrices.
const REFEREE: &str = r#"
import json, sys
import numpy as np
e = np.load("E.npy").astype(float)
table = lambda name: [l.split() for l in open("lists/" + name)]
members = [(int(t), int(m)) for _, t, m in table("ijbc_face_tid_mid.txt")]
weight = np.array([float(l[-1]) for l in table("ijbc_name_5pts_score.txt")])
order = sorted({t for t, _ in members})
place = {t: k for k, t in enumerate(order)}
def pooled(rows):
    out = []
    for t in order:
        media = sorted({m for u, m in members if u == t})
        out.append(sum(np.mean([rows[i] for i, tm in enumerate(members) if tm == (t, m)], axis=0) for m in media))
    out = np.array(out)
    return out / np.linalg.norm(out, axis=1, keepdims=True)
pairs = [(place[int(a)], place[int(b)], l == "1") for a, b, l in table("ijbc_template_pair_label.txt")]
same = np.array([l for _, _, l in pairs])
def subjects(name):
    seen = {}
    for l in open("lists/" + name).read().split()[1:]:
        seen[place[int(l.split(",")[0])]] = int(l.split(",")[1])
    return list(seen), np.array(list(seen.values()))
galleries = [subjects(f"ijbc_1N_gallery_G{k}.csv") for k in (1, 2)]
probes, who = subjects("ijbc_1N_probe_mixed.csv")
found = {}
for name in ("exact", "insightface"):
    t = pooled(e * weight[:, None]) if name == "insightface" else pooled(e / np.linalg.norm(e, axis=1, keepdims=True))
    score = np.array([t[a] @ t[b] for a, b, _ in pairs])
    out = []
    for far in (1e-3, 1e-2, 1e-1):
        if name == "exact":
            ranked = np.sort(score[~same])[::-1]
            cut = ranked[int(far * len(ranked) + 1e-9)]
            out.append(np.mean(score[same] > cut))
        else:
            cuts = np.unique(score)[::-1]
            fp = np.array([np.sum(score[~same] >= c) for c in cuts]); tp = np.array([np.sum(score[same] >= c) for c in cuts])
            keep = np.r_[True, (np.diff(fp, 2) != 0) | (np.diff(tp, 2) != 0), True]
            fpr = np.r_[0, fp[keep]] / np.sum(~same); tpr = np.r_[0, tp[keep]] / np.sum(same)
            gap = np.abs(fpr - far)
            out.append(tpr[np.flatnonzero(gap == gap.min())[-1]])
    if name == "exact":
        rank, open_set = {1: [], 5: []}, {0.1: []}
        for rows, ids in galleries:
            s = t[probes] @ t[rows].T
            mated = np.isin(who, ids)
            mate = np.array([s[i, list(ids).index(who[i])] for i in np.flatnonzero(mated)])
            others = s[mated].copy(); others[ids[None, :] == who[mated][:, None]] = -2
            best = np.sort(others, axis=1)[:, ::-1]
            for k in rank: rank[k].append(np.mean(mate >= best[:, k - 1]))
            impostors = np.sort(s[~mated].max(axis=1))[::-1]
            for f in open_set: open_set[f].append(np.mean((mate > best[:, 0]) & (mate > impostors[int(f * len(impostors) + 1e-9)])))
        out += [np.mean(v) for v in rank.values()] + [np.mean(v) for v in open_set.values()]
    else:
        rows, ids = galleries[0][0] + galleries[1][0], np.r_[galleries[0][1], galleries[1][1]]
        s = t[probes] @ t[rows].T
        mask = np.array([list(ids).index(w) for w in who])
        order_ = np.argsort(-s, axis=1)
        out += [np.mean([mask[i] in order_[i, :k] for i in range(len(who))]) for k in (1, 5)]
        mate = s[np.arange(len(who)), mask]
        others = s.copy(); others[np.arange(len(who)), mask] = -2
        ranked = np.sort(others[others > -2])[::-1]
        out.append(np.mean(mate > ranked[int(np.ceil(0.1 * len(who))) - 1]))
    found[name] = out
json.dump(found, sys.stdout)
"#;

#[test]
fn ijb_gives_the_numbers_of_a_plain_implementation_by_both_definitions() {
    let dir = ijb(true);
    let Some(python) = lfs_testing::python() else { return };
    let ran =
        std::process::Command::new(python).args(["-c", REFEREE]).current_dir(dir.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let wanted: BTreeMap<String, Vec<f64>> = serde_json::from_slice(&ran.stdout).unwrap();
    for (definition, wanted) in wanted {
        let found = metrics(
            dir.path(),
            json!({"set": "ijb-c", "definition": definition, "flip": "none", "fars": [1e-3, 1e-2, 1e-1],
                   "ranks": [1, 5], "identification-fars": [0.1]}),
        );
        let names = ["TPR@FAR=1e-3", "TPR@FAR=1e-2", "TPR@FAR=1e-1", "rank-1", "rank-5", "TPIR@FPIR=1e-1"];
        let is: Vec<(&str, Option<f64>)> = values(&found);
        assert_eq!(is.iter().map(|v| v.0).collect::<Vec<_>>(), names.map(|n| format!("IJB-C {n}")));
        for ((name, value), wanted) in is.iter().zip(&wanted) {
            assert!((value.unwrap() - wanted).abs() < 1e-12, "{definition}, {name}: {value:?}, not {wanted}");
        }
        // The case is not trivial.
        assert!(wanted.iter().all(|w| (0.05..1.0).contains(w)), "{wanted:?}");
        for column in &found.columns {
            let [low, high] = column.interval.unwrap();
            assert!(low < column.value.unwrap() && column.value.unwrap() < high, "{column:?}");
        }
        assert!(!found.details.official);
    }
}

#[test]
fn templates_without_their_images_are_an_error_or_left_out() {
    let dir = ijb(false);
    let plain = metrics(dir.path(), json!({"set": "ijb-c", "bootstrap": 0}));
    let unresolved: Vec<&str> =
        plain.columns.iter().filter(|c| c.value.is_none()).map(|c| c.name.as_str()).collect();
    assert_eq!(
        unresolved,
        ["IJB-C TPR@FAR=1e-6", "IJB-C TPR@FAR=1e-5", "IJB-C TPR@FAR=1e-4", "IJB-C TPIR@FPIR=1e-2"]
    );
    let (theirs, said) =
        run(dir.path(), json!({"set": "ijb-c", "definition": "insightface", "bootstrap": 0}));
    assert!(theirs.is_ok());
    assert!(
        said.iter()
            .any(|r| matches!(r, Reply::Warning { text } if text.contains("no list of detector scores")))
    );
    // The first template has the images 1 to 4.
    let names = fs::read_to_string(dir.path().join("names")).unwrap();
    let names: String = names
        .lines()
        .enumerate()
        .map(|(k, n)| if k < 4 { format!("other-{n}\n") } else { format!("{n}\n") })
        .collect();
    fs::write(dir.path().join("names"), names).unwrap();
    let why = run(dir.path(), json!({"set": "ijb-c"})).0.unwrap_err().message;
    assert!(why.contains("4 of 384 images of the templates have no embedding: `1.jpg`, `2.jpg`"), "{why}");
    let (found, said) = run(dir.path(), json!({"set": "ijb-c", "missing": "skip", "bootstrap": 0}));
    let found = found.unwrap();
    assert!(said.iter().any(|r| matches!(r, Reply::Warning { text } if text.contains("1 of 96 templates") && text.contains("1000"))));
    assert_eq!(
        (found.columns[0].listed - found.columns[0].pairs, found.details.counts["missing-pairs"]),
        (95, 95)
    );
    let says = |name: &str, text: &str| {
        fs::write(dir.path().join("lists").join(name), text).unwrap();
        run(dir.path(), json!({"set": "ijb-c", "missing": "skip"})).0.unwrap_err().message
    };
    assert!(
        says("ijbc_1N_probe_mixed.csv", "T,S\n5,1\n")
            .contains("line 2: expected a template with images; 5 has none")
    );
    assert!(says("ijbc_template_pair_label.txt", "1000 999 2\n").contains("expected 1 or 0 at its end"));
    assert!(
        says("ijbc_face_tid_mid.txt", "1.jpg 1000\n").contains("line 1: expected `image template media`")
    );
}
