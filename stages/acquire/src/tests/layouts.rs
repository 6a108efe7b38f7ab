use std::path::Path;

use lfs_formats::mat::{self, Value as Mat};
use proptest::prelude::*;
use serde_json::json;

use super::{acquire, lists, put, rows};

const TEN: &str = "1\t2\t3\t4\t5\t6\t7\t8\t9\t10";

#[test]
fn folders_take_their_landmarks_from_the_list_beside_them_or_from_the_input() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(
        &src,
        &[
            ("b/2.jpg", "x"),
            ("a c/1.png", "broken bytes travel"),
            ("b/.DS_Store", ""),
            ("b/notes.txt", ""),
            ("landmarks.tsv", &format!("a c/1.png\t{TEN}\n")),
        ],
    );
    acquire(&src, None, &out, json!({"layout": "folders"})).unwrap();
    assert_eq!(rows(&out), ["a c/1.png|a c|-|5", "b/2.jpg|b|-|-"]);
    assert_eq!(lists(&out), ["README.txt"]);
    let list = dir.path().join("other.txt");
    std::fs::write(&list, format!("/data/set/b/2.jpg\t{TEN}\n")).unwrap();
    let out = dir.path().join("out2");
    acquire(&src, Some(&list), &out, json!({"layout": "folders"})).unwrap();
    assert_eq!(rows(&out), ["a c/1.png|a c|-|-", "b/2.jpg|b|-|5"]);
    std::fs::write(&list, format!("b/3.jpg\t{TEN}\n")).unwrap();
    let text = acquire(&src, Some(&list), &dir.path().join("o"), json!({"layout": "folders"}))
        .unwrap_err()
        .to_string();
    assert!(text.contains("no line for any of the 2 images") && text.contains("`b/3.jpg`"), "{text}");
}

#[test]
fn lfw_needs_every_listed_image() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(
        &src,
        &[
            ("A_B/A_B_0001.jpg", "1"),
            ("A_B/A_B_0002.jpg", "2"),
            ("C/C_0001.jpg", "3"),
            ("pairs.txt", "1\t1\nA_B\t1\t2\nA_B\t2\tC\t1\n"),
        ],
    );
    acquire(&src, None, &out, json!({"layout": "lfw"})).unwrap();
    assert_eq!(rows(&out), ["A_B/A_B_0001.jpg|A_B|-|-", "A_B/A_B_0002.jpg|A_B|-|-", "C/C_0001.jpg|C|-|-"]);
    assert_eq!(lists(&out), ["pairs.txt"]);
    let fails = |pairs: &str, wanted: &str| {
        put(&src, &[("pairs.txt", pairs)]);
        let text =
            acquire(&src, None, &dir.path().join("bad"), json!({"layout": "lfw"})).unwrap_err().to_string();
        assert!(text.contains(wanted), "{text}");
    };
    fails("1\t1\nA_B\t1\t2\nA_B\t2\tC\t7\n", "pairs.txt, line 3: the image `C/C_0007.jpg` is missing");
    fails("1\t2\nA_B\t1\t2\n", "4 in all; found 1");
    fails("A_B\t1\t2\n", "expected a header");
    fails("1\t1\nA_B\t1\n", "line 2: expected `Name i j`");
}

#[test]
fn sllfw_calfw_and_cplfw_have_two_lines_a_pair() {
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("sllfw");
    put(
        &src,
        &[("A/A_0001.jpg", ""), ("B/B_0001.jpg", ""), ("pair_SLLFW.txt", "A/A_0001.jpg\nB/B_0001.jpg\n")],
    );
    let out = dir.path().join("out");
    acquire(&src, None, &out, json!({"layout": "sllfw"})).unwrap();
    assert_eq!((rows(&out).len(), lists(&out)), (2, vec!["pair_SLLFW.txt".to_owned()]));
    for (set, folder, list) in
        [("calfw", "CA_landmarks", "pairs_CALFW.txt"), ("cplfw", "CP_landmarks", "pairs_CPLFW.txt")]
    {
        let (src, out) = (dir.path().join(set), dir.path().join(format!("out-{set}")));
        put(
            &src,
            &[
                ("images/A_B_1.jpg", ""),
                ("images/C_2.jpg", ""),
                (&format!("{folder}/A_B_1_5loc_attri.txt"), "1 2\n3 4\n5 6\n7 8\n9 10\n"),
                (list, "A_B_1.jpg 0\nC_2.jpg 0\n"),
            ],
        );
        acquire(&src, None, &out, json!({"layout": set})).unwrap();
        assert_eq!(rows(&out), ["A_B_1.jpg|A_B|-|5", "C_2.jpg|C|-|-"]);
        put(&src, &[(list, "A_B_1.jpg 1\nC_2.jpg 0\n")]);
        let text =
            acquire(&src, None, &dir.path().join("bad"), json!({"layout": set})).unwrap_err().to_string();
        assert!(text.contains("line 2: expected the label of the pair's first line"), "{text}");
        put(&src, &[(list, "A_B_1.jpg 1\nD_2.jpg 1\n")]);
        let text =
            acquire(&src, None, &dir.path().join("bad2"), json!({"layout": set})).unwrap_err().to_string();
        assert!(text.contains("line 2: the image `D_2.jpg` is missing"), "{text}");
    }
}

#[test]
fn agedb_reads_its_matlab_splits_and_68_points() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    let pts: String = (0..68).map(|k| format!("{k} {k}\n")).collect();
    put(
        &src,
        &[
            ("AgeDB/0_AnnaBelo_30_f.jpg", ""),
            ("AgeDB/1_Cy_40_m.jpg", ""),
            ("landmarks/1_Cy_40_m.pts", &format!("version: 1\nn_points: 68\n{{\n{pts}}}\n")),
        ],
    );
    let splits = |second: &str| {
        let pairs = vec![Mat::text("0_AnnaBelo_30_f.jpg"), Mat::text(second)];
        let fold = vec![Mat::Cells { dims: vec![2, 1], items: pairs }, Mat::row(vec![-1.0])];
        let fields = vec!["pairs".to_owned(), "labels".to_owned()];
        mat::write(&[("splits".to_owned(), Mat::Structs { dims: vec![1, 1], fields, items: vec![fold] })])
            .unwrap()
    };
    std::fs::write(src.join("splits.mat"), splits("1_Cy_40_m.jpg")).unwrap();
    acquire(&src, None, &out, json!({"layout": "agedb"})).unwrap();
    assert_eq!(rows(&out), ["0_AnnaBelo_30_f.jpg|AnnaBelo|-|-", "1_Cy_40_m.jpg|Cy|-|5"]);
    std::fs::write(src.join("splits.mat"), splits("2_Cy_40_m.jpg")).unwrap();
    let text =
        acquire(&src, None, &dir.path().join("bad"), json!({"layout": "agedb"})).unwrap_err().to_string();
    assert!(text.contains("splits.mat, split 1, pair 1: the image `2_Cy_40_m.jpg` is missing"), "{text}");
}

#[test]
fn rfw_groups_are_races_and_identities_ids() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(
        &src,
        &[
            ("data/Asian/m.01/m.01_0001.jpg", ""),
            ("data/Asian/m.01/m.01_0002.jpg", ""),
            ("data/Indian/m.02/m.02_0001.jpg", ""),
            ("txts/Asian/Asian_pairs.txt", "m.01\t1\t2\n"),
            ("txts/Asian/Asian_lmk.txt", &format!("Asian/m.01/m.01_0001.jpg\t0\t{TEN}\n")),
            ("txts/Indian/Indian_pairs.txt", ""),
        ],
    );
    acquire(&src, None, &out, json!({"layout": "rfw"})).unwrap();
    let want = [
        "Asian/m.01/m.01_0001.jpg|m.01|Asian|5",
        "Asian/m.01/m.01_0002.jpg|m.01|Asian|-",
        "Indian/m.02/m.02_0001.jpg|m.02|Indian|-",
    ];
    assert_eq!(rows(&out), want);
    assert_eq!(lists(&out), ["txts/Asian/Asian_pairs.txt", "txts/Indian/Indian_pairs.txt"]);
}

#[test]
fn megaface_distractors_are_persons_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(
        &src,
        &[
            ("facescrub/A_B/A_B_1.jpg", ""),
            ("distractors/000/9@N00/1_0.jpg", ""),
            ("distractors/000/9@N00/2_0.jpg", ""),
            ("facescrub_features_list.json", r#"{"path": ["A_B/A_B_1.jpg"], "id": ["A_B"]}"#),
            ("megaface_features_list.json_1_1", r#"{"path": ["000/9@N00/1_0.jpg"], "id": ["7"]}"#),
            (
                "megaface_features_list.json_2_1",
                r#"{"path": ["000/9@N00/1_0.jpg", "000/9@N00/2_0.jpg"], "id": ["7", "8"]}"#,
            ),
            ("facescrub_noises.txt", "# none\n"),
            ("megaface_noises.txt", "# none\n"),
        ],
    );
    acquire(&src, None, &out, json!({"layout": "megaface"})).unwrap();
    let want = [
        "distractors/000/9@N00/1_0.jpg|distractor:7|-|-",
        "distractors/000/9@N00/2_0.jpg|distractor:8|-|-",
        "facescrub/A_B/A_B_1.jpg|A_B|-|-",
    ];
    assert_eq!(rows(&out), want);
    assert_eq!(lists(&out).len(), 5);
    put(&src, &[("megaface_features_list.json_3_1", r#"{"path": ["../x.jpg"], "id": ["1"]}"#)]);
    let text =
        acquire(&src, None, &dir.path().join("bad"), json!({"layout": "megaface"})).unwrap_err().to_string();
    assert!(text.contains("json_3_1, entry 1: the image `distractors/../x.jpg` is missing"), "{text}");
}

#[test]
fn trillion_pairs_takes_identities_from_the_labels_if_present() {
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("src");
    let ten = TEN.replace('\t', " ");
    put(
        &src,
        &[
            ("testdata/elfw/0000001/1.jpg", ""),
            ("testdata/delfw/000/0000000.jpg", ""),
            ("testdata_lmk.txt", &format!("elfw/0000001/1.jpg {ten}\ndelfw/000/0000000.jpg {ten}\n")),
        ],
    );
    let run = |out: &str| {
        acquire(&src, None, &dir.path().join(out), json!({"layout": "trillion-pairs"})).unwrap();
        rows(&dir.path().join(out))
    };
    let distractor = "delfw/000/0000000.jpg|distractor:delfw/000/0000000.jpg|-|5";
    assert_eq!(run("a"), [distractor, "elfw/0000001/1.jpg|0000001|-|5"]);
    put(&src, &[("labels.tsv", "elfw/0000001/1.jpg\tprobe\t42\ndelfw/000/0000000.jpg\tgallery\t-1\n")]);
    assert_eq!(run("b"), [distractor, "elfw/0000001/1.jpg|42|-|5"]);
}

#[test]
fn a_source_of_another_layout_is_refused_with_its_content() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &[("src/inner/A/1.jpg", ""), ("src/readme", "")]);
    for layout in ["calfw", "cplfw", "agedb", "cfp", "rfw", "megaface", "trillion-pairs", "lfw", "sllfw"] {
        let text = acquire(&dir.path().join("src"), None, &dir.path().join("out"), json!({"layout": layout}));
        let text = text.unwrap_err().to_string();
        // For layouts with folders of persons, they are found one folder deeper.
        let wanted = if matches!(layout, "lfw" | "sllfw") { "`within = \"inner\"`" } else { "inner, readme" };
        assert!(text.contains(wanted), "{layout}: {text}");
    }
    let out = dir.path().join("within");
    acquire(&dir.path().join("src"), None, &out, json!({"layout": "folders", "within": "inner"})).unwrap();
    assert_eq!(rows(&out), ["A/1.jpg|A|-|-"]);
    for within in ["../src", "/etc", "a//b"] {
        let text =
            acquire(Path::new("."), None, &out, json!({"layout": "folders", "within": within})).unwrap_err();
        assert!(text.to_string().contains("relative path"), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_list_is_read_or_refused(text in "[A-C0-9_./\t\n -]{0,120}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), &[("A/A_0001.jpg", ""), ("images/A_1.jpg", ""), ("AgeDB/0_A_1_m.jpg", ""), ("data/R/A/A_0001.jpg", "")]);
        let lists = [
            "pairs.txt", "pair_SLLFW.txt", "pairs_CALFW.txt", "pairs_CPLFW.txt", "splits.mat", "txts/R/R_pairs.txt", "txts/R/R_lmk.txt",
            "testdata_lmk.txt", "labels.tsv", "facescrub_features_list.json", "Data/list_name.txt", "Protocol/Pair_list_F.txt",
        ];
        for content in [text.as_bytes(), &bytes] {
            for list in lists {
                put(dir.path(), &[(list, "")]);
                std::fs::write(dir.path().join(list), content).unwrap();
            }
            let tree = crate::tree::Tree::new(dir.path());
            for layout in ["lfw", "sllfw", "calfw", "cplfw", "agedb", "cfp", "rfw", "megaface", "trillion-pairs"] {
                let layout = serde_json::from_value(json!(layout)).unwrap();
                let _ = crate::layout::plan(layout, &tree, true, false);
            }
        }
    }
}

#[test]
fn xqlfw_is_lfw_with_a_list_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    let images = "lfw_original_imgs_min_qual0.85variant11";
    put(
        &src,
        &[
            (&format!("{images}/A/A_0001.jpg"), "1"),
            (&format!("{images}/A/A_0002.jpg"), "2"),
            (&format!("{images}/C/C_0001.jpg"), "3"),
            ("xqlfw_pairs.txt", "1\t1\nA\t1\t2\nA\t2\tC\t1\n"),
            ("xqlfw_scores.txt", "A_0001.jpg 0.5"),
        ],
    );
    acquire(&src, None, &out, json!({"layout": "xqlfw"})).unwrap();
    assert_eq!(rows(&out), ["A/A_0001.jpg|A|-|-", "A/A_0002.jpg|A|-|-", "C/C_0001.jpg|C|-|-"]);
    assert_eq!(lists(&out), ["xqlfw_pairs.txt"]);
}

#[test]
fn ijb_has_templates_landmarks_and_subjects_in_its_lists() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    let points = TEN.replace('\t', " ");
    put(
        &src,
        &[
            ("loose_crop/1.jpg", "1"),
            ("loose_crop/2.jpg", "2"),
            ("loose_crop/10.jpg", "3"),
            ("meta/ijbc_face_tid_mid.txt", "1.jpg 7 1\n2.jpg 7 2\n10.jpg 8 3\n"),
            ("meta/ijbc_template_pair_label.txt", "7 8 0\n"),
            ("meta/ijbc_name_5pts_score.txt", &format!("1.jpg {points} 0.9\n2.jpg {points} 0.8\n")),
            ("meta/ijbc_1N_probe_mixed.csv", "TEMPLATE_ID,SUBJECT_ID\n7,42\n"),
        ],
    );
    acquire(&src, None, &out, json!({"layout": "ijb-c"})).unwrap();
    assert_eq!(rows(&out), ["1.jpg|42|-|5", "10.jpg|template-8|-|-", "2.jpg|42|-|5"]);
    assert_eq!(lists(&out).len(), 4);
    let says = |parameters| acquire(&src, None, &dir.path().join("o"), parameters).unwrap_err().to_string();
    assert!(says(json!({"layout": "ijb-b"})).contains("ijbb_face_tid_mid.txt"));
    put(&src, &[("meta/ijbc_face_tid_mid.txt", "1.jpg 7 1\n11.jpg 7 2\n")]);
    let text = says(json!({"layout": "ijb-c"}));
    assert!(text.contains("the image `11.jpg` is missing"), "{text}");
}

#[test]
fn tinyface_has_probes_mates_and_distractors() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(
        &src,
        &[
            ("Testing_Set/Probe/3_1.jpg", "1"),
            ("Testing_Set/Gallery_Match/3_2.jpg", "2"),
            ("Testing_Set/Gallery_Distractor/a.jpg", "3"),
            ("Testing_Set/readme.txt", ""),
        ],
    );
    let list = |what: &str, image: &str| {
        let set = Mat::Cells { dims: vec![1, 1], items: vec![Mat::text(image)] };
        mat::write(&[(format!("{what}_ids"), Mat::row(vec![3.0])), (format!("{what}_set"), set)]).unwrap()
    };
    let write =
        |name: &str, bytes: Vec<u8>| std::fs::write(src.join("Testing_Set").join(name), bytes).unwrap();
    write("probe_img_ID_pairs.mat", list("probe", "3_1.jpg"));
    write("gallery_match_img_ID_pairs.mat", list("gallery", "3_2.jpg"));
    acquire(&src, None, &out, json!({"layout": "tinyface"})).unwrap();
    let wanted = [
        "Gallery_Distractor/a.jpg|distractor:a.jpg|-|-",
        "Gallery_Match/3_2.jpg|3|-|-",
        "Probe/3_1.jpg|3|-|-",
    ];
    assert_eq!(rows(&out), wanted);
    assert_eq!(lists(&out).len(), 2);
    write("gallery_match_img_ID_pairs.mat", list("gallery", "3_9.jpg"));
    let text =
        acquire(&src, None, &dir.path().join("o"), json!({"layout": "tinyface"})).unwrap_err().to_string();
    assert!(text.contains("`Gallery_Match/3_9.jpg` is missing"), "{text}");
}

#[test]
fn an_own_gallery_has_images_in_any_folders() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    let list = "image\trole\tperson\nx/1.jpg\tgallery\tAnn\n2.jpg\tprobe\tAnn\nx/y/3.jpg\tgallery\t-\n";
    put(
        &src,
        &[("x/1.jpg", "1"), ("2.jpg", "2"), ("x/y/3.jpg", "3"), ("x/4.jpg", "4"), ("labels.tsv", list)],
    );
    acquire(&src, None, &out, json!({"layout": "gallery"})).unwrap();
    assert_eq!(rows(&out), ["2.jpg|Ann|-|-", "x/1.jpg|Ann|-|-", "x/y/3.jpg|distractor:x/y/3.jpg|-|-"]);
    assert_eq!(lists(&out), ["labels.tsv"]);
    let says = |list: &str| {
        put(&src, &[("labels.tsv", list)]);
        acquire(&src, None, &dir.path().join("o"), json!({"layout": "gallery"})).unwrap_err().to_string()
    };
    assert!(says("x/9.jpg\tprobe\tAnn\n").contains("labels.tsv, line 1: the image `x/9.jpg` is missing"));
    assert!(says("2.jpg\tprobe\tAnn\n2.jpg\tprobe\tBo\n").contains("one person for each image"));
    assert!(says("2.jpg\tboth\tAnn\n").contains("`probe` or `gallery`"));
}

#[test]
fn every_test_set_has_a_layout() {
    for set in lfs_faces::TestSet::ALL {
        let layout = serde_json::from_value::<crate::options::Layout>(serde_json::json!(set.name()));
        assert!(layout.is_ok(), "{}", set.name());
    }
}
