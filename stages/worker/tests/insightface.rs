//! An InsightFace folder in, the table out: `pipelines/insightface.toml` on sets that are written here, in the three ways in which
//! training sets are packed; and what is refused before a training starts.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lfs_faces::image::{Pixels, encode_jpeg};
use serde_json::Value;

const PERSONS: u32 = 14;
const IMAGES: u32 = 6;

/// A crop of a person: skin with stripes that are the person's, and noise of the image's own. `swapped`: blue for red.
fn crop(person: u32, image: u32, side: u32, swapped: bool) -> Vec<u8> {
    let angle = f64::from(person) * 0.7;
    let mut rgb = Vec::new();
    for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))) {
        let along = f64::from(x) * angle.cos() + f64::from(y) * angle.sin();
        let wave = 25.0 * (along * 0.6 + f64::from(image) * 0.4).sin();
        let noise = 12.0 * (f64::from(x * 31 + y * 17 + image * 7 + person) * 12.9898).sin();
        let mut pixel = [190.0, 140.0, 110.0].map(|tone: f64| (tone + wave + noise) as u8);
        if swapped {
            pixel.reverse();
        }
        rgb.extend(pixel);
    }
    encode_jpeg(&Pixels { width: side, height: side, rgb }, 95).unwrap()
}

/// How a training set is packed.
#[derive(Clone, Copy)]
enum Dialect {
    HeaderFirst,
    HeaderLast,
    NoHeader,
}

/// Writes records and their index.
#[derive(Default)]
struct Records {
    rec: Vec<u8>,
    idx: String,
}

impl Records {
    fn put(&mut self, key: u32, labels: &[f32], image: &[u8]) {
        let flag = if labels.len() == 1 { 0 } else { labels.len() as u32 };
        let mut record = [flag.to_le_bytes(), if flag == 0 { labels[0] } else { 0.0 }.to_le_bytes()].concat();
        record.extend(u64::from(key).to_le_bytes());
        record.extend([0; 8]);
        if flag > 0 {
            record.extend(labels.iter().flat_map(|l| l.to_le_bytes()));
        }
        record.extend(image);
        self.idx += &format!("{key}\t{}\n", self.rec.len());
        self.rec.extend(0xced7_230a_u32.to_le_bytes());
        self.rec.extend((record.len() as u32).to_le_bytes());
        self.rec.extend(&record);
        self.rec.resize(self.rec.len().next_multiple_of(4), 0);
    }
}

fn training_set(folder: &Path, dialect: Dialect, persons: u32, side: u32, swapped: bool) {
    let mut out = Records::default();
    let count = persons * IMAGES;
    let header = [(count + 1) as f32, (count + 1 + persons) as f32];
    if let Dialect::HeaderFirst = dialect {
        out.put(0, &header, &[]);
    }
    let first = u32::from(!matches!(dialect, Dialect::NoHeader));
    for k in 0..count {
        let image = crop(k / IMAGES, k % IMAGES, side, swapped);
        let class = (k / IMAGES) as f32;
        if first == 0 { out.put(k, &[class], &image) } else { out.put(k + 1, &[class, 1.0], &image) }
    }
    if first == 1 {
        for person in 0..persons {
            let from = person * IMAGES + 1;
            out.put(count + 1 + person, &[from as f32, (from + IMAGES) as f32], &[]);
        }
    }
    if let Dialect::HeaderLast = dialect {
        out.put(0, &header, &[]);
    }
    std::fs::write(folder.join("train.rec"), out.rec).unwrap();
    std::fs::write(folder.join("train.idx"), out.idx).unwrap();
    std::fs::write(folder.join("property"), format!("{persons},{side},{side}\n")).unwrap();
}

/// A verification set: a pickle of images and truth values, as Python 3 writes it.
fn test_set(path: &Path, pairs: u32, side: u32, swapped: bool) {
    let mut out = vec![0x80, 4, b']', 0x94, b'('];
    for pair in 0..pairs {
        let persons = if pair % 2 == 0 { [pair, pair] } else { [pair, pair + 1] };
        for (k, person) in persons.into_iter().enumerate() {
            let image = crop(PERSONS + person % 9, pair + 50 * k as u32, side, swapped);
            out.push(b'B');
            out.extend((image.len() as u32).to_le_bytes());
            out.extend(image);
        }
    }
    out.extend([b'e', b']', 0x94, b'(']);
    out.extend((0..pairs).map(|pair| if pair % 2 == 0 { 0x88 } else { 0x89 }));
    out.extend([b'e', 0x86, 0x94, b'.']);
    std::fs::write(path, out).unwrap();
}

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder as InsightFace hands it out, with three test sets.
    fn folder(&self, name: &str, dialect: Dialect) -> PathBuf {
        let folder = self.0.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        training_set(&folder, dialect, PERSONS, 32, false);
        for (set, pairs) in [("lfw", 40), ("cfp_fp", 33), ("my_own", 20)] {
            test_set(&folder.join(format!("{set}.bin")), pairs, 32, false);
        }
        folder
    }

    fn run(&self, data: &Path, more: &[&str]) -> Output {
        let worker = Path::new(env!("CARGO_BIN_EXE_lfs-stages"));
        let runner = worker.with_file_name("lfs-pipe");
        assert!(runner.is_file(), "{} is not there: build the workspace", runner.display());
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/insightface.toml");
        let mut command = Command::new(runner);
        command.arg("run").arg("-f").arg(manifest).args(["--set", &format!("data={}", data.display())]);
        command.args(["--set", "epochs=3", "--set", "milestones=[2]", "--set", "batch=32"]);
        command.args([
            "--set",
            "train.device=cpu",
            "--set",
            "train.resnet-small.widths=[8, 16]",
            "--set",
            "train.pairs=60",
        ]);
        command.args(more).stdin(Stdio::null()).current_dir(self.0.path());
        command.env("LFS_CACHE", self.0.path().join("cache")).env_remove("LFS_WORKER");
        command.arg("--out").arg(self.0.path().join("out")).output().unwrap()
    }

    fn table(&self) -> Value {
        let path = self.0.path().join("out/table/table.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }
}

#[test]
fn an_insightface_folder_gives_the_table_of_all_methods_however_it_is_packed() {
    let world = World::new();
    for (name, dialect) in
        [("first", Dialect::HeaderFirst), ("last", Dialect::HeaderLast), ("none", Dialect::NoHeader)]
    {
        let data = world.folder(name, dialect);
        let methods = if name == "none" { &["--set", "methods=[\"softmax\"]"][..] } else { &[] };
        let out = world.run(&data, methods);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{name}: {said}");
        let table = world.table();
        let columns: Vec<&str> =
            table["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(columns, ["LFW", "CFP-FP", "my_own"], "{name}");
        let rows = table["rows"].as_array().unwrap();
        assert_eq!(rows.len(), if name == "none" { 1 } else { 8 });
        for cell in rows.iter().flat_map(|r| r["cells"].as_array().unwrap()) {
            assert!((0.0..=1.0).contains(&cell["value"].as_f64().unwrap()));
        }
        if name == "last" {
            // The same images in the same order: what was trained on the first set is known.
            assert!(said.contains("8 cached") || !said.contains("train["), "{said}");
        }
    }
}

#[test]
fn mistakes_are_named_before_a_training_starts() {
    let world = World::new();
    let refused = |name: &str, spoil: &dyn Fn(&Path)| {
        let data = world.folder(name, Dialect::HeaderFirst);
        spoil(&data);
        let out = world.run(&data, &["--set", "methods=[\"softmax\"]"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{name}: {said}");
        assert!(!said.contains("train["), "{name}: {said}");
        said
    };
    let said = refused("no-index", &|f| std::fs::remove_file(f.join("train.idx")).unwrap());
    assert!(said.contains("`train.idx` is missing"), "{said}");
    let said = refused("larger", &|f| test_set(&f.join("lfw.bin"), 20, 48, false));
    assert!(said.contains("`lfw.bin` has images of 48x48 pixels, but `property` has 32x32"), "{said}");
    let said = refused("blue", &|f| training_set(f, Dialect::HeaderFirst, PERSONS, 32, true));
    assert!(said.contains("red and blue are exchanged"), "{said}");
    let said = refused("blue-test", &|f| test_set(&f.join("my_own.bin"), 20, 32, true));
    assert!(said.contains("my_own.bin: faces are blue"), "{said}");
    let said = refused("alone", &|f| training_set(f, Dialect::HeaderFirst, 1, 32, false));
    assert!(said.contains("two or more are needed"), "{said}");
    let said = refused("cut", &|f| {
        let path = f.join("train.rec");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() - 30]).unwrap();
    });
    assert!(said.contains("cut short") || said.contains("not whole") || said.contains("damaged"), "{said}");
    let said = refused("no-pickle", &|f| std::fs::write(f.join("lfw.bin"), b"not a set").unwrap());
    assert!(said.contains("lfw.bin is no verification set"), "{said}");
}

#[test]
fn blue_faces_are_put_right_where_it_is_said_that_they_are_blue() {
    let world = World::new();
    let data = world.folder("blue", Dialect::HeaderFirst);
    training_set(&data, Dialect::HeaderFirst, PERSONS, 32, true);
    for set in ["lfw", "cfp_fp", "my_own"] {
        test_set(&data.join(format!("{set}.bin")), 20, 32, true);
    }
    let said = |more: &[&str]| {
        let out = world.run(&data, &[&["crops"], more].concat());
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    assert_eq!(said(&[]).0, Some(1));
    let (code, text) = said(&["--set", "crops.colours=bgr"]);
    assert_eq!(code, Some(0), "{text}");
    let set = lfs_faces::dataset::Dataset::open(&world.0.path().join("out/crops/dataset")).unwrap();
    let pixels = lfs_faces::image::decode(set.face(0).image).unwrap();
    let sum = |channel: usize| pixels.rgb.iter().skip(channel).step_by(3).map(|v| u64::from(*v)).sum::<u64>();
    assert!(sum(0) > sum(2));
}
