//! Published containers are read back image for image, by this project's readers and by the original libraries.

#![allow(clippy::unwrap_used, clippy::panic)] // test helpers fail the test

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lfs_faces::DataError;
use lfs_faces::dataset::{Face, Info, Writer};
use lfs_faces::image::{Pixels, encode_jpeg};
use lfs_formats::container::{self, Item, Sink};
use lfs_publish::Publish;
use lfs_stage::{Binding, Job, Result, run_in_place};
use serde_json::json;
use sha2::{Digest, Sha256};

const FORMATS: [&str; 5] = ["folders", "recordio", "webdataset", "parquet", "arrow"];

fn crop(n: u32, side: u32) -> Vec<u8> {
    let rgb = (0..side * side * 3).map(|k| (k * 7 + n * 31) as u8).collect();
    let mut image = encode_jpeg(&Pixels { width: side, height: side, rgb }, 95).unwrap();
    if n == 3 {
        // The magic number of RecordIO in a comment of the picture, at several alignments.
        let comment = [&[0xff, 0xfe, 0, 22][..], &0xced7_230a_u32.to_le_bytes().repeat(5)].concat();
        image.splice(2..2, comment);
    }
    image
}

/// Seven faces of three persons, unsorted; some with landmarks.
fn faces() -> Vec<Face> {
    let persons = [2, 0, 1, 0, 2, 1, 0];
    let points = |n: u32| n.is_multiple_of(2).then(|| std::array::from_fn(|k| [n as f32 + k as f32, 2.5]));
    let face = |(n, identity): (u32, u32)| Face {
        image: crop(n, 16),
        identity,
        name: format!("person {identity}/{n}.jpg"),
        points: points(n),
        group: None,
        flags: 0,
    };
    (0..).zip(persons).map(face).collect()
}

/// Runs the kind in a new folder; returns the folder and the path of the published container.
fn publish(format: &str, faces: &[Face]) -> (tempfile::TempDir, Result<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(&dir.path().join("in")).unwrap();
    for face in faces {
        writer.push(face).unwrap();
    }
    let identities = ["Ann Lee", "Bo/Ray", "Ünal"].map(str::to_owned).to_vec();
    writer.finish(Info { identities, ..Info::default() }).unwrap();
    let out = dir.path().join("published");
    let scratch = dir.path().join("own");
    std::fs::create_dir(&scratch).unwrap();
    let job = Job {
        node: "publish".to_owned(),
        kind: "publish".to_owned(),
        parameters: json!({ "format": format }),
        inputs: BTreeMap::from([("dataset".to_owned(), Binding::One(dir.path().join("in")))]),
        outputs: BTreeMap::from([("published".to_owned(), out.clone())]),
        scratch,
        threads: 1,
        earlier: BTreeMap::new(),
    };
    let done = run_in_place(&Publish, &job).0.map(|()| out);
    (dir, done)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The identity and digest of each face, sorted.
fn wanted(identity: impl Fn(&Face) -> String) -> Vec<String> {
    let mut all: Vec<String> = faces().iter().map(|f| format!("{} {}", identity(f), hex(&f.image))).collect();
    all.sort();
    all
}

struct Keep(Vec<String>, usize);

impl Sink for Keep {
    fn item(&mut self, item: Item<'_>) -> std::result::Result<(), DataError> {
        self.0.push(format!("{} {}", item.identity.unwrap(), hex(item.image)));
        self.1 += usize::from(item.points.is_some());
        Ok(())
    }

    fn pair(&mut self, _: &str, _: &str, _: bool) -> std::result::Result<(), DataError> {
        panic!("there are no pairs")
    }

    fn passed_over(&mut self, _: &str, _: &str) {}
}

#[test]
fn every_container_that_is_written_is_read_back_image_for_image() {
    for format in FORMATS.into_iter().filter(|f| *f != "arrow") {
        let (_dir, out) = publish(format, &faces());
        let out = out.unwrap();
        let classes = std::fs::read_to_string(out.join("classes.txt")).unwrap();
        assert_eq!(classes, "Ann Lee\nBo/Ray\nÜnal\n");
        let (found, container) = container::open(&out).unwrap();
        assert_eq!(found.name, format);
        let mut keep = Keep(Vec::new(), 0);
        container.read(&mut keep).unwrap();
        keep.0.sort();
        let names = ["Ann Lee", "Bo/Ray", "Ünal"];
        let wanted = match format {
            "folders" => wanted(|f| names[f.identity as usize].replace('/', "_")),
            "parquet" => wanted(|f| names[f.identity as usize].to_owned()),
            // `key.cls` and the class of the record have the number; the JSON file has the name.
            "webdataset" => {
                let both =
                    [wanted(|f| f.identity.to_string()), wanted(|f| names[f.identity as usize].to_owned())];
                both.into_iter().find(|w| *w == keep.0).unwrap_or_default()
            }
            _ => wanted(|f| f.identity.to_string()),
        };
        assert_eq!(keep.0, wanted, "{format}");
    }
}

#[test]
fn the_same_faces_give_the_same_bytes() {
    let all = |format: &str| {
        let (_dir, out) = publish(format, &faces());
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for entry in std::fs::read_dir(out.unwrap()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                files.push((
                    path.display().to_string().rsplit('/').next().unwrap().to_owned(),
                    std::fs::read(&path).unwrap(),
                ));
            }
        }
        files.sort();
        files
    };
    for format in FORMATS {
        assert!(all(format) == all(format), "{format}");
    }
}

#[test]
fn records_of_several_sizes_are_refused_with_the_first_that_differs() {
    let mut faces = faces();
    faces[4].image = crop(4, 24);
    let why = publish("recordio", &faces).1.unwrap_err();
    assert!(why.message.contains("`person 2/4.jpg` is 24x24 pixels"), "{why}");
    assert!(publish("webdataset", &faces).1.is_ok());
}

/// Runs a Python script that reads the container with the original library and prints `identity sha256` of each image.
fn referee(script: &str, folder: &Path) -> Option<Vec<String>> {
    let python = lfs_testing::python()?;
    let run = std::process::Command::new(python).arg("-c").arg(script).current_dir(folder).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut lines: Vec<String> = String::from_utf8(run.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    Some(lines)
}

#[test]
fn the_libraries_of_others_read_what_is_published() {
    let names = ["Ann Lee", "Bo/Ray", "Ünal"];
    let by_name = wanted(|f| names[f.identity as usize].to_owned());
    let scripts = [
        (
            "parquet",
            "import glob, hashlib, json\nimport pyarrow.parquet as pq\nfor f in sorted(glob.glob('*.parquet')):\n  t = pq.read_table(f)\n  n = json.loads(t.schema.metadata[b'huggingface'])['info']['features']['label']['names']\n  for r in t.to_pylist(): print(n[r['label']], hashlib.sha256(r['image']['bytes']).hexdigest())",
        ),
        (
            "arrow",
            "import glob, hashlib\nimport pyarrow as pa\nfor f in sorted(glob.glob('*.arrow')):\n  for r in pa.ipc.open_file(f).read_all().to_pylist(): print(r['identity'], hashlib.sha256(r['image']['bytes']).hexdigest())",
        ),
        (
            "webdataset",
            "import glob, hashlib, json\nimport webdataset as wds\nfor s in wds.WebDataset(sorted(glob.glob('*.tar')), shardshuffle=False):\n  j = json.loads(s['json']); assert int(s['cls']) == j['label']; print(j['identity'], hashlib.sha256(s['jpg']).hexdigest())",
        ),
    ];
    for (format, script) in scripts {
        let (_dir, out) = publish(format, &faces());
        let Some(read) = referee(script, &out.unwrap()) else { return };
        assert_eq!(read, by_name, "{format}");
    }
    // The records, by MXNet's own shared library: the rest of its package does not work with current NumPy.
    let script = r#"
import ctypes, hashlib, importlib.util, os, struct
lib = ctypes.CDLL(os.path.join(importlib.util.find_spec("mxnet").submodule_search_locations[0], "libmxnet.so"))
places = {int(at): int(key) for key, at in (line.split() for line in open("train.idx"))}
reader = ctypes.c_void_p()
assert lib.MXRecordIOReaderCreate(b"train.rec", ctypes.byref(reader)) == 0
while True:
    at, text, size = ctypes.c_size_t(), ctypes.c_char_p(), ctypes.c_size_t()
    assert lib.MXRecordIOReaderTell(reader, ctypes.byref(at)) == 0
    assert lib.MXRecordIOReaderReadRecord(reader, ctypes.byref(text), ctypes.byref(size)) == 0
    if not text: break
    record = ctypes.string_at(text, size.value)
    key, (flag, label) = places.pop(at.value), struct.unpack_from("<If", record)
    labels = struct.unpack_from("<%df" % flag, record, 24) if flag else (label,)
    image = record[24 + 4 * flag:]
    if image: print(int(labels[0]), hashlib.sha256(image).hexdigest())
    elif key == 0: assert labels == (8.0, 11.0), labels
assert not places, "the index names records that there are not"
"#;
    let (_dir, out) = publish("recordio", &faces());
    let Some(read) = referee(script, &out.unwrap()) else { return };
    assert_eq!(read, wanted(|f| f.identity.to_string()));
}
