use std::fs;
use std::path::Path;

use super::*;

/// A folder of lists.
fn lists(files: &[(&str, String)]) -> (tempfile::TempDir, Lists) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let lists = Lists::open(dir.path()).unwrap();
    (dir, lists)
}

fn error(result: Result<Vec<Pair>>) -> String {
    result.unwrap_err().to_string()
}

fn counts(pairs: &[Pair]) -> Vec<(usize, usize)> {
    let folds = pairs.iter().map(|p| p.fold + 1).max().unwrap_or(0);
    let of = |f: u32, same: bool| pairs.iter().filter(|p| p.fold == f && p.same == same).count();
    (0..folds).map(|f| (of(f, true), of(f, false))).collect()
}

#[test]
fn lfw_pairs_have_names_labels_and_folds() {
    let text = "2\t1\nAnn_Lee\t1\t4\nAnn_Lee\t1\tBob\t12\nCid\t2\t3\nCid\t1\tDan\t1\n";
    let (_dir, lists) = lists(&[("pairs.txt", text.into())]);
    let pairs = lfw::read(&lists).unwrap();
    let first = Pair {
        a: "Ann_Lee/Ann_Lee_0001.jpg".into(),
        b: "Ann_Lee/Ann_Lee_0004.jpg".into(),
        same: true,
        fold: 0,
    };
    assert_eq!(pairs[0], first);
    assert_eq!(pairs[1].b, "Bob/Bob_0012.jpg");
    assert_eq!((pairs[3].same, pairs[3].fold), (false, 1));
}

#[test]
fn lfw_faults_name_the_line_and_what_was_expected() {
    let says = |text: &str| error(lfw::read(&lists(&[("pairs.txt", text.into())]).1));
    assert!(says("").contains("empty"));
    assert!(says("ten\t300\n").contains("line 1"));
    assert!(says("1\t1\nAnn\t1\t4\nAnn\tx\tBob\t2\n").contains("line 3: expected the number of an image"));
    assert!(says("1\t1\nAnn\t1\tBob\t2\nAnn\t1\t4\n").contains("line 2: expected a pair of one person"));
    assert!(says("1\t2\nAnn\t1\t4\nAnn\t1\t3\nAnn\t1\tBob\t2\n").contains("4 pairs; 3 follow"));
    assert!(says("1\t1\nAnn 4\n").contains("line 2: expected `Name<tab>i<tab>j`"));
    let none = error(lfw::read(&lists(&[("pair_SLLFW.txt", String::new())]).1));
    assert!(none.contains("no `pairs.txt`; it has pair_SLLFW.txt"), "{none}");
}

#[test]
fn a_list_reads_the_same_in_every_form_in_which_people_save_it() {
    let text = "2\t1\nAnn_Lee\t1\t4\nAnn_Lee\t1\tBob\t12\nCid\t2\t3\nCid\t1\tDan\t1\n";
    let want = lfw::read(&lists(&[("pairs.txt", text.into())]).1).unwrap();
    let marked = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    for other in [marked, text.replace('\t', " "), text.replace('\t', ",")] {
        assert_eq!(lfw::read(&lists(&[("pairs.txt", other.clone())]).1).unwrap(), want, "{other}");
    }
    let (dir, _) = lists(&[(".DS_Store", String::new())]);
    let wide: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(dir.path().join("pairs.txt"), wide).unwrap();
    let lists = Lists::open(dir.path()).unwrap();
    assert_eq!((lfw::read(&lists).unwrap(), lists.files()), (want, &["pairs.txt".to_owned()][..]));
    fs::write(dir.path().join("pairs.txt"), b"1\t1\nJos\xe9\t1\t2\n").unwrap();
    let text = error(lfw::read(&lists));
    assert!(text.contains("pairs.txt: line 2: expected text in UTF-8"), "{text}");
}

#[test]
fn sllfw_reads_names_with_blanks_and_whatever_stands_behind_them() {
    let fold =
        ["Ann Lee/Ann Lee_0001.jpg", "Ann Lee/Ann Lee_0002.jpg", "Ann Lee/Ann Lee_0001.jpg", "Ann Ray/1.jpg"];
    for label in ["", " 1", "\t1", ",1"] {
        let text = fold.map(|l| format!("{l}{label}\n")).concat().repeat(10);
        let pairs = sllfw::read(&lists(&[("pair_SLLFW.txt", text)]).1).unwrap();
        assert_eq!((pairs[0].b.as_str(), pairs[0].same), ("Ann Lee/Ann Lee_0002.jpg", true), "{label:?}");
        assert_eq!((pairs[1].b.as_str(), pairs[1].same), ("Ann Ray/1.jpg", false), "{label:?}");
    }
}

#[test]
fn sllfw_takes_the_label_from_the_folders() {
    let fold = "Ann/Ann_0001.jpg\nAnn/Ann_0002.jpg\nAnn/Ann_0001.jpg\nBob/Bob_0001.jpg\n";
    let (_dir, found) = lists(&[("pair_SLLFW.txt", fold.repeat(10))]);
    let pairs = sllfw::read(&found).unwrap();
    assert_eq!(counts(&pairs), [(1, 1); 10]);
    assert_eq!(pairs[3].b, "Bob/Bob_0001.jpg");
    // An order other than LFW's is detected: all pairs of one person first.
    let (same, different) = fold.split_at(34);
    let (_dir, blocks) = lists(&[("pair_SLLFW.txt", same.repeat(10) + &different.repeat(10))]);
    assert!(error(sllfw::read(&blocks)).contains("fold 1 has 2 pairs of one person and 0 of two"));
}

#[test]
fn calfw_and_cplfw_folds_do_not_depend_on_the_order_of_the_blocks() {
    let same = |k: usize| format!("A_{k}.jpg {k}\nB_{k}.jpg {k}\n");
    let different = |k: usize| format!("C_{k}.jpg 0\nD_{k}.jpg 0\n");
    let blocks: String = (1..=20).map(same).chain((1..=20).map(different)).collect();
    let folds: String = (0..10)
        .map(|f| {
            let two = [2 * f + 1, 2 * f + 2];
            two.map(same).concat() + &two.map(different).concat()
        })
        .collect();
    let read = |text: &str| calfw::read(&lists(&[("pairs_CALFW.txt", text.into())]).1).unwrap();
    let (mut a, mut b) = (read(&blocks), read(&folds));
    assert_eq!(counts(&a), [(2, 2); 10]);
    a.sort_by(|x, y| x.a.cmp(&y.a));
    b.sort_by(|x, y| x.a.cmp(&y.a));
    assert_eq!(a, b);
    let (_dir, found) = lists(&[("pairs_CPLFW.txt", blocks)]);
    assert_eq!(cplfw::read(&found).unwrap().len(), 40);
}

#[test]
fn calfw_labels_that_disagree_and_an_odd_line_are_refused() {
    let says = |text: &str| error(calfw::read(&lists(&[("pairs_CALFW.txt", text.into())]).1));
    assert!(says("a.jpg 1\nb.jpg 0\n").contains("line 2: expected the label of the pair's first line, 1"));
    assert!(says("a.jpg 1\nb.jpg 1\nc.jpg 1\n").contains("line 3: expected a second image"));
    assert!(says("a.jpg 1\nb.jpg 1\n").contains("multiples of ten"));
}

#[test]
fn cfp_indices_point_into_the_image_lists() {
    let mut files = vec![
        (
            "Protocol/Pair_list_F.txt".to_owned(),
            "1 ../Data/Images/001/frontal/01.jpg\n2 ../F2.jpg\n".to_owned(),
        ),
        (
            "Protocol/Pair_list_P.txt".to_owned(),
            "1 ../Data/Images/001/profile/01.jpg\n2 ../P2.jpg\n".to_owned(),
        ),
    ];
    for fold in 1..=10 {
        for split in ["FF", "FP"] {
            files.push((format!("Protocol/Split/{split}/{fold:02}/same.txt"), "1,1\n".into()));
            files.push((format!("Protocol/Split/{split}/{fold:02}/diff.txt"), "1,2\n".into()));
        }
    }
    let refs: Vec<(&str, String)> = files.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let (_dir, found) = lists(&refs);
    let fp = cfp::read_fp(&found).unwrap();
    assert_eq!(
        (fp[0].a.as_str(), fp[0].b.as_str()),
        ("../Data/Images/001/frontal/01.jpg", "../Data/Images/001/profile/01.jpg")
    );
    assert_eq!(cfp::read_ff(&found).unwrap()[1].b, "../F2.jpg");
    files[2].1 = "1,9\n".into();
    let refs: Vec<(&str, String)> = files.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let (_dir, found) = lists(&refs);
    assert!(error(cfp::read_ff(&found)).contains("the image list has no 9"));
}

#[test]
fn rfw_has_a_list_for_each_group() {
    let text = "m.01\t1\t2\nm.01\t1\tm.02\t3\n".repeat(10);
    let files: Vec<(String, String)> = ["African", "Asian", "Caucasian", "Indian"]
        .iter()
        .map(|g| (format!("txts/{g}/{g}_pairs.txt"), text.clone()))
        .collect();
    let refs: Vec<(&str, String)> = files.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let (_dir, found) = lists(&refs);
    let groups = rfw::read(&found).unwrap();
    assert_eq!(groups.len(), 4);
    let asian = groups.iter().find(|g| g.name == "Asian").unwrap();
    assert_eq!(asian.pairs[1].b, "Asian/m.02/m.02_0003.jpg");
    assert_eq!(counts(&asian.pairs), [(1, 1); 10]);
    let (_dir, three) = lists(&refs[1..]);
    assert!(rfw::read(&three).unwrap_err().message.contains("African_pairs.txt"));
}

#[test]
fn megaface_takes_noise_out_and_chooses_the_list_of_the_size() {
    let big = r#"{"path": ["0/a/1.jpg", "0/b/2.jpg", "0/c/3.jpg"], "id": ["a", "b", "c"]}"#;
    let (_dir, found) = lists(&[
        (
            "facescrub_features_list.json",
            r#"{"path": ["Ann/Ann_1.jpg", "Ann/Ann_2.jpg", "Bob/Bob_1.jpg"], "id": ["Ann", "Ann", "Bob"]}"#
                .into(),
        ),
        ("megaface_features_list.json_2_1", r#"{"path": ["0/a/1.jpg", "0/b/2.jpg"], "id": [1, 2]}"#.into()),
        ("megaface_features_list.json_10_1", big.into()),
        ("facescrub_noises.txt", "# which\nAnn_2.jpg\n".into()),
        ("megaface_noises.txt", "# why and which\nno face\t0/b/2.jpg\n".into()),
    ]);
    let all = megaface::read(&found, 0).unwrap();
    assert_eq!(all.probes, [("Ann/Ann_1.jpg".to_owned(), 0), ("Bob/Bob_1.jpg".to_owned(), 1)]);
    assert_eq!(all.gallery, [("0/a/1.jpg".to_owned(), -1), ("0/c/3.jpg".to_owned(), -1)]);
    assert_eq!((all.noisy_probes, all.noisy_distractors), (1, 1));
    assert_eq!(megaface::read(&found, 2).unwrap().gallery.len(), 1);
    let why = megaface::read(&found, 5).unwrap_err();
    assert!(why.help.unwrap().contains("[2, 10]"));
}

#[test]
fn trillion_pairs_labels_have_roles() {
    let (_dir, found) = lists(&[(
        "labels.tsv",
        "elfw/1/1.jpg\tprobe\t1\nelfw/1/2.jpg\tgallery\t1\ndelfw/0/1.jpg\tgallery\t-1\n".into(),
    )]);
    let got = trillion_pairs::read(&found).unwrap();
    assert_eq!((got.probes.len(), got.gallery.len(), got.gallery[1].1), (1, 2, -1));
    let says =
        |text: &str| trillion_pairs::read(&lists(&[("labels.tsv", text.into())]).1).unwrap_err().message;
    assert!(says("a\tprobe\t-1\n").contains("line 1: expected a probe with an identity"));
    assert!(says("a\tmate\t1\n").contains("the role"));
    assert!(says("a\tprobe\t1\n").contains("1 probes and 0 gallery"));
}

#[test]
fn agedb_reads_the_splits_of_a_matlab_file() {
    use lfs_formats::mat::{Value, write};
    let fold = |k: usize, labels: Vec<f64>| {
        let names = (0..2 * labels.len()).map(|i| Value::text(format!("{k}_{i}_P_30_m.jpg"))).collect();
        vec![Value::Cells { dims: vec![2, labels.len()], items: names }, Value::row(labels)]
    };
    let file = |items: Vec<Vec<Value>>| {
        let fields = vec!["pairs".to_owned(), "labels".to_owned()];
        write(&[("splits".to_owned(), Value::Structs { dims: vec![1, items.len()], fields, items })]).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let read = |bytes: Vec<u8>| {
        fs::write(dir.path().join("splits.mat"), bytes).unwrap();
        agedb::read(&Lists::open(dir.path()).unwrap())
    };
    let pairs = read(file(vec![fold(0, vec![1.0, -1.0]), fold(1, vec![1.0, -1.0])])).unwrap();
    assert_eq!(counts(&pairs), [(1, 1); 2]);
    assert_eq!((pairs[1].a.as_str(), pairs[1].b.as_str()), ("0_2_P_30_m.jpg", "0_3_P_30_m.jpg"));
    assert!(error(read(file(vec![fold(0, vec![1.0, 3.0])]))).contains("split 1: expected labels +1 and -1"));
    assert!(error(read(vec![0; 50])).starts_with("splits.mat"));
}

#[test]
fn the_official_lfw_list_is_read_whole() {
    let Some(data) = lfs_testing::data("") else { return };
    let dir = tempfile::tempdir().unwrap();
    fs::copy(data.join("lists/lfw_pairs.txt"), dir.path().join("pairs.txt")).unwrap();
    let pairs = lfw::read(&Lists::open(dir.path()).unwrap()).unwrap();
    assert_eq!(counts(&pairs), [(300, 300); 10]);
}

#[test]
fn the_official_cfp_splits_are_read_whole() {
    let Some(data) = lfs_testing::data("") else { return };
    let lists = Lists::open(&Path::new(&data).join("cfp/Protocol")).unwrap();
    for pairs in [cfp::read_fp(&lists).unwrap(), cfp::read_ff(&lists).unwrap()] {
        assert_eq!(counts(&pairs), [(350, 350); 10]);
    }
}
