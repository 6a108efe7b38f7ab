//! Sets in the state in which users have them: files of file managers, other extensions, other encodings, skipped entries.

use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_stage::Reply;
use serde_json::json;

use super::{acquire, put, rows, warned};

const TEN: &str = "38 51 73 52 56 71 41 92 70 91";

/// The warnings, and the notes of the data set.
fn told(out: &Path, said: &[Reply]) -> (Vec<String>, Vec<String>) {
    let notes = Dataset::open(&out.join("dataset")).unwrap().info().notes.clone();
    (warned(said), notes.into_iter().filter(|(k, _)| k != "layout").map(|(_, v)| v).collect())
}

#[test]
fn what_file_managers_leave_is_passed_over_in_every_layout() {
    let dir = tempfile::tempdir().unwrap();
    let sets: [(&str, &[(&str, &str)]); 5] = [
        (
            "cfp",
            &[
                ("Data/Images/001/frontal/01.jpg", ""),
                ("Data/Images/001/frontal/02.jpg", ""),
                ("Data/Images/001/profile/01.jpg", ""),
                ("Data/list_name.txt", "Ann\n"),
                ("Protocol/Pair_list_P.txt", "1 ../Data/Images/001/profile/01.jpg\n"),
                (
                    "Protocol/Pair_list_F.txt",
                    "1 ../Data/Images/001/frontal/01.jpg\n2 ../Data/Images/001/frontal/02.jpg\n",
                ),
                ("Protocol/Split/FF/01/same.txt", "1,2\n"),
                ("Protocol/Split/FF/01/diff.txt", "2,1\n"),
                ("Protocol/Split/FP/01/same.txt", "1,1\n"),
                ("Protocol/Split/FP/01/diff.txt", "2,1\n"),
            ],
        ),
        (
            "rfw",
            &[
                ("data/Asian/m.01/m.01_0001.jpg", ""),
                ("txts/Asian/Asian_pairs.txt", ""),
                ("txts/Asian/Asian_lmk.txt", ""),
            ],
        ),
        (
            "megaface",
            &[
                ("facescrub/A/A_1.jpg", ""),
                ("distractors/0/1.jpg", ""),
                ("facescrub_noises.txt", "# none\n"),
                ("facescrub_features_list.json", r#"{"path": ["A/A_1.jpg"], "id": ["A"]}"#),
                ("megaface_features_list.json_1_1", r#"{"path": ["0/1.jpg"], "id": ["7"]}"#),
            ],
        ),
        (
            "calfw",
            &[
                ("images/A_1.jpg", ""),
                ("images/B_2.jpg", ""),
                ("CA_landmarks/A_1_5loc_attri.txt", "1 2\n3 4\n5 6\n7 8\n9 10\n"),
                ("pairs_CALFW.txt", "A_1.jpg 0\nB_2.jpg 0\n"),
            ],
        ),
        ("folders", &[("A/1.jpg", ""), ("B/1.jpg", "")]),
    ];
    for (layout, files) in sets {
        let (clean, dirty) = (dir.path().join(layout), dir.path().join(format!("{layout}-dirty")));
        put(&clean, files);
        put(&dirty, files);
        let mut folders: Vec<String> = vec![String::new()];
        for (name, _) in files {
            folders.extend(name.match_indices('/').map(|(i, _)| format!("{}/", &name[..i])));
        }
        for folder in folders {
            for litter in
                [".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/._x.jpg", "._01.jpg", ".hidden/a/b.jpg"]
            {
                put(&dirty, &[(&format!("{folder}{litter}"), "\0\0")]);
            }
        }
        let (out, dirty_out) =
            (dir.path().join(format!("{layout}-out")), dir.path().join(format!("{layout}-dirty-out")));
        acquire(&clean, None, &out, json!({"layout": layout})).unwrap();
        acquire(&dirty, None, &dirty_out, json!({"layout": layout})).unwrap();
        for file in ["dataset/faces.arrow", "dataset/dataset.json"] {
            assert!(
                std::fs::read(out.join(file)).unwrap() == std::fs::read(dirty_out.join(file)).unwrap(),
                "{layout}: {file}"
            );
        }
        assert_eq!(super::lists(&out), super::lists(&dirty_out), "{layout}");
    }
}

#[test]
fn files_passed_over_are_counted_by_ending_and_persons_who_vanish_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(
        &src,
        &[
            ("anna/1.jpg", ""),
            ("anna/2.JFIF", ""),
            ("anna/3", ""),
            ("anna/4.gif", ""),
            ("bob/1.gif", ""),
            ("bob/subject01.happy", ""),
            ("README.txt", "not an image, and not in a person's folder"),
        ],
    );
    std::fs::create_dir(src.join("cid")).unwrap();
    let said = super::acquire_saying(&src, None, &out, json!({"layout": "folders"})).unwrap();
    assert_eq!(rows(&out), ["anna/1.jpg|anna|-|-", "anna/2.JFIF|anna|-|-"]);
    let want = [
        "4 files passed over, no images by their names: 2 .gif, 1 without an ending, 1 .happy",
        "2 folders have no image and give no identity: `bob`, `cid`",
    ];
    let (warnings, notes) = told(&out, &said);
    assert_eq!(warnings, want);
    assert_eq!(notes, want);
    assert_eq!(
        passed_over(&out),
        "name,why\nREADME.txt,not read in this layout\nanna/3,no image by its name\nanna/4.gif,no image by its name\nbob,a person's folder without an image\n\
         bob/1.gif,no image by its name\nbob/subject01.happy,no image by its name\ncid,a person's folder without an image\n"
    );
}

#[test]
fn every_file_of_the_source_is_an_image_a_list_that_was_read_or_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(
        &src,
        &[
            ("lfw/Ann/Ann_0001.jpg", ""),
            ("lfw/Ann/Ann_0002.jpg", ""),
            ("lfw/Ben/Ben_0001.jpg", ""),
            ("lfw/.DS_Store", ""),
            ("lfw/Ann/Thumbs.db", ""),
            ("pairs.txt", "1 1\nAnn 1 2\nAnn 1 Ben 1\n"),
            ("landmarks.tsv", "Ann/Ann_0001.jpg\t30\t30\t60\t30\t45\t50\t33\t70\t57\t70\n"),
            ("people.txt", ""),
            ("other/Cid/Cid_0001.jpg", ""),
        ],
    );
    std::os::unix::fs::symlink("nowhere", src.join("lost.jpg")).unwrap();
    super::acquire_saying(&src, None, &out, json!({"layout": "lfw"})).unwrap();
    assert_eq!(
        passed_over(&out),
        "name,why\nlfw/.DS_Store,\"hidden, or left by a file manager\"\n\
         lfw/Ann/Thumbs.db,\"hidden, or left by a file manager\"\nlost.jpg,cannot be read\n\
         other/Cid/Cid_0001.jpg,not read in this layout\npeople.txt,not read in this layout\n"
    );
}

/// The list of skipped entries.
fn passed_over(out: &Path) -> String {
    std::fs::read_to_string(out.join("report/passed-over.csv")).unwrap()
}

#[test]
fn every_entry_of_a_container_that_is_no_image_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    let others: Vec<String> = (0..30).map(|k| format!("a/note {k:02}, \"odd\".doc")).collect();
    let mut files: Vec<(&str, &str)> = others.iter().map(|name| (name.as_str(), "")).collect();
    files.extend([("a/1.jpg", "1"), ("b/1.jpg", "2")]);
    put(&src, &files);
    super::acquire_saying(&src, None, &out, json!({"layout": "container"})).unwrap();
    let list = passed_over(&out);
    assert_eq!(list.lines().count(), 31, "{list}");
    assert!(list.contains("\"a/note 29, \"\"odd\"\".doc\",no image by its ending\n"), "{list}");
}

#[test]
fn a_tree_that_is_not_identity_and_image_is_refused_and_names_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("src");
    let says = |source: &Path, parameters: serde_json::Value| {
        let out = tempfile::tempdir().unwrap();
        super::acquire_saying(source, None, out.path(), parameters)
            .map_err(|e| e.to_string())
            .map(|said| (rows(out.path()), warned(&said)))
    };
    put(&src, &[("VGG/train/n1/1.jpg", ""), ("VGG/train/n2/1.jpg", ""), ("VGG/test/n3/1.jpg", "")]);
    let text = says(&src, json!({"layout": "folders"})).unwrap_err();
    assert!(text.contains("every image lies 3 folders deep, like `VGG/test/n3/1.jpg`"), "{text}");
    assert!(
        text.contains("`within = \"VGG/test\"` (there are: `VGG/test`, `VGG/train`)")
            && text.contains("`nested = true`"),
        "{text}"
    );
    let text = says(&src, json!({"layout": "folders", "within": "VGG"})).unwrap_err();
    assert!(text.contains("`within = \"VGG/test\"`"), "{text}");
    assert_eq!(says(&src, json!({"layout": "folders", "within": "VGG/train"})).unwrap().0.len(), 2);
    let nested = says(&src, json!({"layout": "folders", "nested": true})).unwrap().0;
    assert_eq!(nested[0], "VGG/test/n3/1.jpg|VGG|-|-");
    let text = says(&src, json!({"layout": "folders", "within": "VGG/train/n1"})).unwrap_err();
    assert!(text.contains("lies at the top") && text.contains("`within`"), "{text}");
    // Folders of some persons may be deeper, which is reported.
    put(dir.path(), &[("mixed/A/1.jpg", ""), ("mixed/B/album/1.jpg", "")]);
    let (found, warnings) = says(&dir.path().join("mixed"), json!({"layout": "folders"})).unwrap();
    assert_eq!(found[1], "B/album/1.jpg|B|-|-");
    assert!(warnings[0].starts_with("1 of 2 images lie deeper"), "{warnings:?}");
}

#[test]
fn an_image_is_found_whatever_its_ending_and_called_as_the_list_calls_it() {
    let dir = tempfile::tempdir().unwrap();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(
        &src,
        &[
            ("A/A_0001.JPG", ""),
            ("A/A_0002.png", ""),
            ("B/B_0001.jpg", ""),
            ("pairs.txt", "1 1\nA 1 2\nA 2 B 1\n"),
            ("landmarks.tsv", &format!("A/A_0001.jpg {TEN}\nA\\A_0002.jpg {TEN}\n")),
        ],
    );
    acquire(&src, None, &out, json!({"layout": "lfw"})).unwrap();
    assert_eq!(rows(&out), ["A/A_0001.jpg|A|-|5", "A/A_0002.jpg|A|-|5", "B/B_0001.jpg|B|-|-"]);
    put(&src, &[("A/A_0002.bmp", "")]);
    let text = acquire(&src, None, &dir.path().join("o"), json!({"layout": "lfw"})).unwrap_err().to_string();
    assert!(text.contains("several"), "{text}");
    let src = dir.path().join("mega");
    put(
        &src,
        &[
            ("facescrub/A/A_1.PNG", ""),
            ("distractors/0/1.jpeg", ""),
            ("distractors/0/2.jpg", ""),
            ("facescrub_features_list.json", "\u{feff}{\"path\": [\"A\\\\A_1.jpg\"], \"id\": [\"A\"]}"),
            ("megaface_features_list.json_1_1", r#"{"path": ["0/1.jpg"], "id": ["7"]}"#),
        ],
    );
    let out = dir.path().join("mega-out");
    let said = super::acquire_saying(&src, None, &out, json!({"layout": "megaface"})).unwrap();
    assert_eq!(rows(&out), ["distractors/0/1.jpg|distractor:7|-|-", "facescrub/A/A_1.jpg|A|-|-"]);
    assert_eq!(told(&out, &said).1, ["1 images are in no list and are skipped"]);
}

#[test]
fn lines_that_fit_no_image_are_counted_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let (src, list) = (dir.path().join("src"), dir.path().join("list.txt"));
    put(&src, &[("Jose\u{301} M/1.jpg", ""), ("B/2.png", ""), ("B/000007.jpg", "")]);
    let mut text = format!("\u{feff}Jos\u{e9} M/1.jpg {TEN}\r\n/data/B/2.jpg {TEN}\r\n000007.jpg {TEN}\r\n");
    for k in 0..12 {
        text += &format!("C/{k}.jpg {TEN}\r\n");
    }
    std::fs::write(&list, &text).unwrap();
    let out = dir.path().join("out");
    let said = super::acquire_saying(&src, Some(&list), &out, json!({"layout": "folders"})).unwrap();
    assert_eq!(rows(&out).iter().filter(|r| r.ends_with("|5")).count(), 3, "{:?}", rows(&out));
    let (warnings, notes) = told(&out, &said);
    assert_eq!(warnings, notes);
    assert!(
        notes[0].starts_with("12 of 15 lines of the landmark list fit no image: `C/0.jpg`, ")
            && notes[0].ends_with("`C/9.jpg`, ..")
    );
    // A name that matches several images is an error.
    put(&src, &[("Jose\u{301} M/000007.jpg", "")]);
    let text = acquire(&src, Some(&list), &dir.path().join("o"), json!({"layout": "folders"}))
        .unwrap_err()
        .to_string();
    assert!(text.contains("`000007.jpg` fits several images"), "{text}");
}

#[test]
fn landmarks_as_fractions_are_refused_in_a_list_and_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("src");
    put(
        &src,
        &[
            ("images/A_1.jpg", ""),
            ("images/B_2.jpg", ""),
            ("pairs_CPLFW.txt", "A_1.jpg 0\nB_2.jpg 0\n"),
            ("CP_landmarks/A_1_5loc_attri.txt", "0.3 0.4\n0.7 0.4\n0.5 0.6\n0.4 0.8\n0.6 0.8\n"),
        ],
    );
    let text =
        acquire(&src, None, &dir.path().join("o"), json!({"layout": "cplfw"})).unwrap_err().to_string();
    assert!(text.contains("are these fractions of width and height?"), "{text}");
}
