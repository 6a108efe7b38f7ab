//! Protocol lists that name one image in two ways, or omit images.

use std::path::Path;

use serde_json::json;

use super::{acquire, put, rows, warned};

fn says(source: &Path, layout: &str) -> String {
    let out = tempfile::tempdir().unwrap();
    acquire(source, None, out.path(), json!({"layout": layout})).unwrap_err().to_string()
}

#[test]
fn one_image_under_two_extensions_in_a_list_is_refused_in_either_order() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &[("A/A_0001.png", ""), ("A/A_0002.png", ""), ("B/B_0001.png", "")]);
    let lines = ["A/A_0001.jpg\nA/A_0002.png\n", "A/A_0001.png\nB/B_0001.png\n"];
    for order in [[0, 1], [1, 0]] {
        put(dir.path(), &[("pair_SLLFW.txt", &order.map(|k| lines[k]).concat())]);
        let text = says(dir.path(), "sllfw");
        assert!(text.contains("is written `A/A_0001.") && text.contains("write it in one way"), "{text}");
    }
}

#[test]
fn names_with_blanks_and_labels_behind_them_are_read_from_two_lines_a_pair() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &[("Ann Lee/Ann Lee_0001.jpg", ""), ("Bo/Bo_0001.jpg", "")]);
    for label in ["", " 1", "\t1", ",1", ", same"] {
        let text = format!("Ann Lee/Ann Lee_0001.jpg{label}\nBo/Bo_0001.jpg{label}\n");
        put(dir.path(), &[("pair_SLLFW.txt", &text)]);
        let out = tempfile::tempdir().unwrap();
        acquire(dir.path(), None, out.path(), json!({"layout": "sllfw"})).unwrap();
        assert_eq!(rows(out.path()).len(), 2, "{label:?}");
    }
}

#[test]
fn megafaces_entries_have_an_image_of_their_own_and_one_id() {
    let dir = tempfile::tempdir().unwrap();
    let probes = |paths: &[&str]| json!({"path": paths, "id": vec!["A"; paths.len()]}).to_string();
    let put_lists = |probe: &str, distractors: &str| {
        put(
            dir.path(),
            &[("facescrub_features_list.json", probe), ("megaface_features_list.json_2_1", distractors)],
        );
    };
    put(dir.path(), &[("facescrub/A/1.png", ""), ("facescrub/A/2.jpg", ""), ("distractors/0/1.jpg", "")]);
    let one = r#"{"path": ["0/1.jpg", "0/1.jpg"], "id": ["7", "7"]}"#;
    put_lists(&probes(&["A/1.png"]), one);
    let out = tempfile::tempdir().unwrap();
    let said = super::acquire_saying(dir.path(), None, out.path(), json!({"layout": "megaface"})).unwrap();
    assert_eq!(rows(out.path()).len(), 2);
    assert_eq!(warned(&said), ["1 images are in no list and are skipped"]);
    put_lists(&probes(&["A/1.png", "A/1.jpg"]), one);
    let text = says(dir.path(), "megaface");
    assert!(text.contains("entry 2: `facescrub/A/1.jpg` is the file `facescrub/A/1.png`"), "{text}");
    put_lists(&probes(&["A/1.png"]), &one.replace(r#""7", "7""#, r#""7", "8""#));
    let text = says(dir.path(), "megaface");
    assert!(text.contains("has the id `distractor:8`, and `distractor:7`"), "{text}");
}

#[test]
fn trillion_pairs_counts_the_files_that_are_in_no_list() {
    let dir = tempfile::tempdir().unwrap();
    let ten = "38 51 73 52 56 71 41 92 70 91";
    put(dir.path(), &[("testdata/elfw/1/a.jpg", ""), ("testdata/f/b.png", ""), ("testdata/f/c.jpg", "")]);
    put(dir.path(), &[("testdata_lmk.txt", &format!("elfw/1/a.jpg {ten}\nf/b.jpg {ten}\n"))]);
    let out = tempfile::tempdir().unwrap();
    let parameters = json!({"layout": "trillion-pairs"});
    let said = super::acquire_saying(dir.path(), None, out.path(), parameters).unwrap();
    assert!(warned(&said).contains(&"1 images are in no list and are skipped".to_owned()));
    put(dir.path(), &[("testdata_lmk.txt", &format!("f/b.png {ten}\nf/b.jpg {ten}\n"))]);
    assert!(says(dir.path(), "trillion-pairs").contains("and so is the entry `f/b.png`"));
    put(dir.path(), &[("testdata_lmk.txt", &format!("elfw/1/a.jpg {ten}\n"))]);
    put(dir.path(), &[("labels.tsv", "elfw/1/a.jpg\tprobe\t1\nelfw/1/a.jpg\tprobe\t2\n")]);
    assert!(says(dir.path(), "trillion-pairs").contains("line 2: expected one identity for each path"));
}

#[test]
fn one_person_in_two_cases_or_two_ways_to_write_an_accent_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["Jos\u{e9}", "Jose\u{301}", "ann lee", "Ann Lee", "Bo"] {
        put(dir.path(), &[(&format!("{name}/{}.jpg", name.len()), "")]);
    }
    let out = tempfile::tempdir().unwrap();
    let said = super::acquire_saying(dir.path(), None, out.path(), json!({"layout": "folders"})).unwrap();
    let want = "2 names belong to several identities that differ only in case, or in how letters with accents are written: \
                `Ann Lee` and `ann lee`, `Jose\u{301}` and `Jos\u{e9}`";
    assert_eq!(warned(&said), [want]);
}
