//! From an InsightFace folder to the table: `pipelines/insightface.toml` on generated sets, in the three variants of packed
//! training sets, and the mistakes that are refused before a training starts.

#![allow(clippy::unwrap_used, clippy::panic)] // test helpers fail the test

mod made;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use made::{Dialect, PERSONS, test_set, training_set};
use serde_json::Value;

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with the layout of InsightFace's distributions, with three test sets.
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
            // The same images in the same order: the trainings on the first set are cache hits.
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
fn red_and_blue_are_exchanged_if_the_parameter_colours_is_bgr() {
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
