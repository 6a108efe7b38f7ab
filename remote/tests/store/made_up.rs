//! Stores that an attacker has filled: what they hold is sealed and named correctly, but is not a result.

use std::path::Path;

use lfs_core::digest::Digest;

use super::wrong::{filled, held, pulls, runs};

fn digest(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

/// Writes a text of the store as the store does: after its own digest, which anyone can compute.
fn write_sealed(path: &Path, json: &serde_json::Value) {
    let text = json.to_string();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("{}\n{text}", digest(text.as_bytes()))).unwrap();
}

/// Forges records: each is changed and sealed again.
fn make_up(store: &Path, change: impl Fn(&mut serde_json::Value)) {
    for path in held(store, "records") {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
        change(&mut json["record"]["outputs"]);
        write_sealed(&path, &json);
    }
}

#[test]
fn a_result_that_calls_itself_larger_than_the_disk_is_not_begun() {
    let (dir, _) = filled();
    make_up(dir.path(), |outputs| outputs["o"]["bytes"] = u64::MAX.into());
    let said = runs(&dir.path().display().to_string(), "sizes");
    assert!(said.contains("are free here"), "{said}");
}

#[test]
fn a_record_with_other_outputs_than_its_node_has_is_not_used() {
    for other in
        [serde_json::json!({}), serde_json::json!({ "x": null }), serde_json::json!({ "o": null, "x": null })]
    {
        let (dir, _) = filled();
        make_up(dir.path(), |outputs| {
            let stored = outputs["o"].clone();
            *outputs = other.clone();
            outputs.as_object_mut().unwrap().values_mut().for_each(|o| *o = stored.clone());
        });
        let url = dir.path().display().to_string();
        let said = runs(&url, &other.to_string());
        assert!(said.contains("has other outputs") && said.contains(&url), "{other}: {said}");
        pulls(&url, &other.to_string());
    }
}

#[test]
fn a_list_with_names_that_no_files_can_have_spoils_its_own_result_alone() {
    let (long, deep) = ("n".repeat(300), "d/".repeat(3000) + "d");
    let lists: [&[&str]; 8] = [
        &[&long],
        &[&deep],
        &["a", "a/b"],
        &["a/b", "a"],
        &["a", "a"],
        &["nul\0"],
        &["../a"],
        &["/tmp/a-name-that-must-not-appear"],
    ];
    for names in lists {
        let (dir, _) = filled();
        let name_of = |kind: &str, digest: &Digest| {
            let digits = digest.to_string();
            dir.path().join(kind).join(&digits[..2]).join(&digits[2..])
        };
        let pack = "xy".repeat(names.len());
        let files =
            names.iter().map(|name| serde_json::json!({ "name": name, "digest": digest(b"xy"), "bytes": 2 }));
        let list = serde_json::json!({
            "files": files.collect::<Vec<_>>(),
            "packs": [{ "digest": digest(pack.as_bytes()), "files": names.len() }],
        });
        let folder = lfs_core::digest::fold(names.iter().map(|name| (*name, false, digest(b"xy"))));
        write_sealed(&name_of("folders", &folder), &list);
        let blob = name_of("blobs", &digest(pack.as_bytes()));
        std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
        std::fs::write(blob, &pack).unwrap();
        make_up(dir.path(), |outputs| {
            if outputs["o"]["folder"] == true {
                outputs["o"]["digest"] = serde_json::to_value(folder).unwrap();
                outputs["o"]["bytes"] = pack.len().into();
            }
        });
        let what = names.join(", ").chars().take(40).collect::<String>();
        let said = runs(&dir.path().display().to_string(), &what);
        assert!(
            said.contains("warning: folder is computed") && said.contains("1 results fetched"),
            "{what}: {said}"
        );
        assert!(!Path::new("/tmp/a-name-that-must-not-appear").exists());
    }
}
