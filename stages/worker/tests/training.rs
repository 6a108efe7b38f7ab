//! Trainings under the runner. A training is a chain of steps, so that a killed one resumes, and a longer one or one that changes
//! late reuses known steps.

#![allow(clippy::unwrap_used, clippy::panic)] // test helpers fail the test

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lfs_faces::dataset::{Crop, Face, Info, Writer};
use lfs_faces::image::{Pixels, encode_png};
use serde_json::Value;

const SIDE: u32 = 32;

/// Stripes whose direction and colour are specific to the identity, with a phase and noise specific to the image.
fn dataset(folder: &Path, identities: u32, images: u32) {
    let mut writer = Writer::create(folder).unwrap();
    for (identity, image) in (0..identities).flat_map(|i| (0..images).map(move |j| (i, j))) {
        let (angle, phase) = (f64::from(identity) * 0.7, f64::from(image) * 0.9);
        let mut rgb = Vec::new();
        for (x, y) in (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y))) {
            let along = f64::from(x) * angle.cos() + f64::from(y) * angle.sin();
            for channel in 0..3 {
                let wave = (along * 0.6 + phase + f64::from(channel * identity)).sin();
                let noise = (f64::from(x * 31 + y * 17 + image * 7 + channel) * 12.9898).sin();
                rgb.push((128.0 + 70.0 * wave + 40.0 * noise) as u8);
            }
        }
        let image_bytes = encode_png(&Pixels { width: SIDE, height: SIDE, rgb }).unwrap();
        let name = format!("person{identity}/{image}.png");
        let face = Face { image: image_bytes, identity, name, points: None, group: None, flags: 0 };
        writer.push(&face).unwrap();
    }
    let names = (0..identities).map(|i| format!("person{i}")).collect();
    let crop = Some(Crop { size: SIDE, width: None, template: "arcface-112".into(), encoding: "png".into() });
    writer.finish(Info { identities: names, crop, ..Info::default() }).unwrap();
}

struct Project(tempfile::TempDir);

impl Project {
    fn new(train: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        dataset(&dir.path().join("data"), 12, 8);
        let manifest = format!(
            "[stage.train]\nkind = \"train\"\nbatch = 16\nembedding = 16\nholdout = 0.25\npairs = 100\n\
             device = \"cpu\"\nresnet-small = {{ widths = [8, 16] }}\ninput.dataset = {{ path = \"data\" }}\n{train}"
        );
        std::fs::write(dir.path().join("pipeline.toml"), manifest).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let worker = Path::new(env!("CARGO_BIN_EXE_lfs-stages"));
        let runner = worker.with_file_name("lfs-pipe");
        assert!(runner.is_file(), "{} is not there: build the workspace", runner.display());
        let mut command = Command::new(runner);
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null()).stderr(Stdio::null());
        command.env_remove("LFS_CACHE").env_remove("LFS_WORKER");
        command
    }

    fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    /// Runs to the end, and returns the numbers of computed and of known steps.
    fn run(&self, args: &[&str]) -> (usize, usize) {
        let events = self.path("events.jsonl");
        let mut all = vec!["run", "--events", events.to_str().unwrap()];
        all.extend(args);
        let out = self.command(&all).stderr(Stdio::piped()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = std::fs::read_to_string(&events).unwrap();
        let steps: Vec<bool> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|event| event["event"] == "node-step")
            .map(|event| event["known"].as_bool().unwrap())
            .collect();
        let known = steps.iter().filter(|known| **known).count();
        (steps.len() - known, known)
    }

    /// All outputs of the training, by name.
    fn left(&self) -> BTreeMap<String, Vec<u8>> {
        let mut out = BTreeMap::new();
        for part in ["model/model.safetensors", "model/model.json", "log/epochs.csv", "log/epochs.json"] {
            out.insert(part.to_owned(), std::fs::read(self.path("out/train").join(part)).unwrap());
        }
        out
    }
}

const SEARCH: &str = "method = \"search-softmax\"\nepochs = 6\nmilestones = [4]\n\
                      search-softmax = { candidates = 3, fixed-epochs = 1 }\n";

#[test]
fn a_search_that_is_killed_again_and_again_ends_with_the_bytes_of_one_that_was_not() {
    let undisturbed = Project::new(SEARCH);
    assert_eq!(undisturbed.run(&[]), (16, 0));
    let killed = Project::new(SEARCH);
    let mut times = 0;
    // Each attempt runs a little longer than the one before, so that the end is reached eventually.
    for life in 0..40 {
        let mut child = killed.start(&["run", "--quiet"]);
        std::thread::sleep(Duration::from_millis(350 + 120 * life));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        times += 1;
    }
    let (computed, _) = killed.run(&[]);
    assert!(times > 0 && computed < 16, "killed {times} times, and {computed} steps were left");
    assert!(killed.left() == undisturbed.left(), "the result depends on the kills");
}

#[test]
fn twelve_epochs_after_eight_are_four() {
    let project = Project::new("method = \"am-softmax\"\nmilestones = []\nepochs = 8\n");
    assert_eq!(project.run(&[]), (8, 0));
    assert_eq!(project.run(&["--set", "train.epochs=12"]), (4, 8));
    let straight = Project::new("method = \"am-softmax\"\nmilestones = []\nepochs = 12\n");
    straight.run(&[]);
    assert!(project.left()["model/model.safetensors"] == straight.left()["model/model.safetensors"]);
}

#[test]
fn a_rate_that_changes_at_the_sixth_epoch_keeps_the_six_before_and_one_that_changes_at_the_first_keeps_none()
{
    let project = Project::new("method = \"softmax\"\nmilestones = []\nepochs = 8\n");
    project.run(&[]);
    assert_eq!(project.run(&["--set", "train.milestones=[6]"]), (2, 6));
    assert_eq!(project.run(&["--set", "train.lr=0.05"]), (8, 0));
    assert_eq!(project.run(&["--set", "train.milestones=[6]", "--set", "train.gamma=0.5"]), (2, 6));
}

/// The state of a loss and the classes that a step samples are part of the chain, too.
#[test]
fn stateful_losses_and_class_sampling_resume() {
    for more in [
        "method = \"curricularface\"\n",
        "method = \"adaface\"\n",
        "method = \"centre-loss\"\n",
        "method = \"am-softmax\"\nclass-sample = 0.5\nsub-centres = 2\n",
        "method = \"triplet\"\n",
        "method = \"search\"\nsearch = { mode = \"population\", candidates = 4, law = \"uniform\" }\n",
        "method = \"search\"\nsearch = { mode = \"grid\", loss = \"arc-softmax\", low = 0.1, high = 0.5, candidates = 3 }\n",
    ] {
        let project = |epochs: u32| Project::new(&format!("{more}milestones = []\nepochs = {epochs}\n"));
        let (grown, straight) = (project(2), project(4));
        let (first, _) = grown.run(&[]);
        let (rest, known) = grown.run(&["--set", "train.epochs=4"]);
        assert_eq!((rest, known), (first, first), "{more}");
        straight.run(&[]);
        assert!(grown.left()["log/epochs.json"] == straight.left()["log/epochs.json"], "{more}");
        assert!(
            grown.left()["model/model.safetensors"] == straight.left()["model/model.safetensors"],
            "{more}"
        );
    }
}

#[test]
fn a_collection_leaves_what_a_longer_training_begins_with() {
    let project = Project::new("method = \"softmax\"\nmilestones = []\nepochs = 3\n");
    project.run(&[]);
    assert!(
        project
            .command(&["cache", "gc", "--keep-runs", "1"])
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(project.run(&["--set", "train.epochs=5"]), (2, 3));
}

/// The number of checkpoints with weights in the cache.
fn checkpoints(project: &Project) -> usize {
    let objects = project.path("cache/objects");
    let folders =
        std::fs::read_dir(objects).unwrap().flatten().flat_map(|e| std::fs::read_dir(e.path()).unwrap());
    folders.flatten().filter(|e| e.path().join("checkpoint.safetensors").is_file()).count()
}

#[test]
fn what_lost_leaves_the_cache_and_its_note_and_what_a_longer_search_needs_stay() {
    for more in ["", ", variant = \"released-code\""] {
        let search = SEARCH.replace("fixed-epochs = 1", &format!("fixed-epochs = 1{more}"));
        let project = Project::new(&search);
        let (computed, _) = project.run(&[]);
        // The winners of six epochs, and the two losing candidates of the last.
        let distinct = checkpoints(&project);
        assert!((6..=8).contains(&distinct), "{more}: {distinct} of {computed}");
        let out = project.command(&["cache", "verify"]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
        // All steps are known, though most weights have been removed.
        let left = project.left();
        let (again, known) = project.run(&["--set", "train.epochs=5"]);
        assert!(again == 0 && known > 0 && known < computed, "{again}, {known} of {computed}");
        assert_eq!(project.run(&[]), (0, 0));
        assert!(project.left() == left);
        // A longer search continues from the last epoch.
        let (rest, known) = project.run(&["--set", "train.epochs=8"]);
        assert_eq!(known, computed);
        let straight = Project::new(&search);
        assert_eq!(straight.run(&["--set", "train.epochs=8"]).0, computed + rest);
        assert!(project.left() == straight.left());
    }
}

#[test]
fn removed_weights_that_are_needed_are_computed_again() {
    let project = Project::new(
        "method = \"search\"\nepochs = 3\nmilestones = []\n\
        search = { mode = \"grid\", loss = \"am-softmax\", low = 0.0, high = 0.4, candidates = 3 }\n",
    );
    assert_eq!(project.run(&[]), (9, 0));
    // Another rate from the second epoch on: it starts from all three candidates of the first, of which one still has its weights.
    let (again, _) = project.run(&["--set", "train.milestones=[1]"]);
    assert_eq!(again, 6 + 2);
    let straight = Project::new(
        "method = \"search\"\nepochs = 3\nmilestones = [1]\n\
        search = { mode = \"grid\", loss = \"am-softmax\", low = 0.0, high = 0.4, candidates = 3 }\n",
    );
    straight.run(&[]);
    assert!(project.left() == straight.left());
}
