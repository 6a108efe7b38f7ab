//! Descriptions of small sets, and a check of the Croissant file with the official library.

#![allow(clippy::unwrap_used, clippy::panic)] // test helpers fail the test

use std::collections::BTreeMap;
use std::path::Path;

use lfs_describe::{Describe, Description};
use lfs_faces::image::{Pixels, encode_jpeg};
use lfs_stage::{Binding, Job, Result, run_in_place};
use serde_json::{Value, json};

fn image(rgb: [u8; 3], side: u32) -> Vec<u8> {
    let pixels = rgb.repeat((side * side) as usize);
    encode_jpeg(&Pixels { width: side, height: side, rgb: pixels }, 95).unwrap()
}

fn put(root: &Path, files: &[(&str, &[u8])]) {
    for (name, bytes) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// Describes `in` below a folder, into `description`.
fn describe(root: &Path, parameters: Value) -> Result<Description> {
    let scratch = root.join("own");
    std::fs::create_dir_all(&scratch).unwrap();
    let job = Job {
        node: "describe".to_owned(),
        kind: "describe".to_owned(),
        parameters,
        inputs: BTreeMap::from([("source".to_owned(), Binding::One(root.join("in")))]),
        outputs: BTreeMap::from([("description".to_owned(), root.join("description"))]),
        scratch,
        threads: 2,
        earlier: BTreeMap::new(),
    };
    run_in_place(&Describe, &job).0?;
    let text = std::fs::read(root.join("description/description.json")).unwrap();
    Ok(serde_json::from_slice(&text).unwrap())
}

#[test]
fn a_folder_is_counted_and_what_is_odd_in_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (skin, other) = (image([200, 150, 120], 20), image([201, 151, 121], 30));
    put(
        &dir.path().join("in"),
        &[
            ("Ann/1.jpg", &skin),
            ("Ann/2.jpg", &other),
            ("Ann/3.jpg", &skin),
            ("Bo/1.jpg", &skin),
            ("Bo/2.jpg", &skin[..skin.len() / 2]),
            ("Bo/notes.doc", b"a note"),
            ("Bo/\"odd\", name.jpg", &other),
        ],
    );
    let found = describe(dir.path(), json!({ "name": "mine", "licence": "CC-BY-4.0" })).unwrap();
    assert_eq!(
        (found.format.as_str(), found.images, found.identities, found.pairs),
        ("folders", 6, Some(2), 0)
    );
    assert_eq!(found.unreadable, 1);
    assert_eq!(found.unreadable_images[0].name, "Bo/2.jpg");
    assert_eq!(found.passed_over[0].name, "Bo/notes.doc");
    let duplicates = found.duplicates.unwrap();
    assert_eq!((duplicates.within_identities, duplicates.across_identities), (1, 2));
    let widths = found.widths.unwrap();
    assert_eq!((widths.min, widths.max), (20, 30));
    assert_eq!((found.colour_order.as_str(), found.licence.as_deref()), ("rgb", Some("CC-BY-4.0")));
    let page = std::fs::read_to_string(dir.path().join("description/description.html")).unwrap();
    assert!(page.contains("Bo/notes.doc") && page.contains("<svg"));
    let rows = std::fs::read_to_string(dir.path().join("description/faces.csv")).unwrap();
    assert_eq!(rows.lines().count(), 7);
    assert!(rows.contains("\"Bo/\"\"odd\"\", name.jpg\",Bo"));
}

#[test]
fn groups_are_counted_and_drawn_the_largest_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = lfs_faces::dataset::Writer::create(&dir.path().join("in")).unwrap();
    for (k, group) in ["Asian", "African", "African", "Indian", "African"].into_iter().enumerate() {
        let face = lfs_faces::dataset::Face {
            image: image([200, 150, 120 + k as u8], 20),
            identity: 0,
            name: format!("{k}.jpg"),
            points: None,
            group: Some(group.to_owned()),
            flags: 0,
        };
        writer.push(&face).unwrap();
    }
    let info = lfs_faces::dataset::Info { identities: vec!["Ann".to_owned()], ..Default::default() };
    writer.finish(info).unwrap();
    let found = describe(dir.path(), json!({})).unwrap();
    let counts: Vec<(&str, u64)> = found.groups.iter().map(|(k, n)| (k.as_str(), *n)).collect();
    assert_eq!(counts, [("African", 3), ("Asian", 1), ("Indian", 1)]);
    let page = std::fs::read_to_string(dir.path().join("description/description.html")).unwrap();
    let place = |text: &str| page.rfind(text).unwrap();
    assert!(page.contains("Images of each group"));
    assert!(
        place("width:100.0%") < place("width:33.3%") && place("<td>African") < place("<td>Asian"),
        "{page}"
    );
}

#[test]
fn the_same_images_have_one_digest_in_any_container() {
    let dir = tempfile::tempdir().unwrap();
    let skin = image([200, 150, 120], 20);
    put(&dir.path().join("in"), &[("Ann/1.jpg", &skin), ("Bo/1.jpg", &skin)]);
    let folder = describe(dir.path(), json!({})).unwrap();
    let packed = tempfile::tempdir().unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    for name in ["Ann/1.jpg", "Bo/1.jpg"] {
        let mut header = tar::Header::new_ustar();
        header.set_size(skin.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, skin.as_slice()).unwrap();
    }
    std::fs::write(packed.path().join("in"), tar.into_inner().unwrap()).unwrap();
    let packed = describe(packed.path(), json!({})).unwrap();
    assert_eq!((packed.format.as_str(), packed.digest), ("tar", folder.digest));
}

#[test]
fn the_formats_of_lists_and_matrices_are_recognised() {
    let cases: [(&[u8], &str); 4] = [
        (b"2\t1\nAnn\t1\t2\nAnn\t1\tBo\t1\nAnn\t1\t3\nAnn\t2\tBo\t1\n", "lfw-pairs"),
        (b"a.jpg 1\nb.jpg 1\nc.jpg 0\nd.jpg 0\n", "labelled-pairs"),
        (b"a.jpg\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10\n", "landmark-list"),
        (b"\x02\0\0\0\x02\0\0\0\x08\0\0\0\x05\0\0\0aaaabbbbccccdddd", "feature-matrix"),
    ];
    for (bytes, format) in cases {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("in"), bytes).unwrap();
        assert_eq!(describe(dir.path(), json!({})).unwrap().format, format);
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("in"), b"nothing that is known").unwrap();
    assert!(describe(dir.path(), json!({})).unwrap_err().message.contains("is no supported container"));
}

#[test]
fn the_croissant_file_passes_its_makers_validator_and_loads() {
    let Some(python) = lfs_testing::python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let skin = image([200, 150, 120], 20);
    put(&dir.path().join("in"), &[("Ann, B./1.jpg", &skin), ("Bo/1.jpg", &skin), ("Bo/2.jpg", b"broken")]);
    describe(dir.path(), json!({ "origin": "https://example.org/set", "limits": "Two persons." })).unwrap();
    let script = "import mlcroissant as mlc\nd = mlc.Dataset(jsonld='croissant.json')\nassert not d.metadata.issues.errors, d.metadata.issues.errors\nr = list(d.records('faces'))\nassert [x['faces/identity'].decode() for x in r] == ['Ann, B.', 'Bo', 'Bo'], r\nassert d.metadata.to_json()['rai:dataLimitations'] == 'Two persons.'\nprint(len(r))";
    let run = std::process::Command::new(python)
        .args(["-c", script])
        .current_dir(dir.path().join("description"))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(String::from_utf8_lossy(&run.stdout).trim(), "3");
}
