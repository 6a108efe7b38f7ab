//! The chain of epochs, through the public contract.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests stop the test

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use lfs_faces::dataset::{Crop, Face, Info, Writer};
use lfs_faces::image::{Pixels, encode_png};
use lfs_stage::{
    Binding, Context, Failure, Input, Job, Kind, Output, Reply, Source, Stage, Step, run_in_place,
};
use lfs_train::checkpoint::{self, Diverged, State};
use lfs_train::epoch::{self, EpochIn, EpochSpec};
use lfs_train::{Train, chain};
use serde_json::{Value, json};

const SIDE: u32 = 32;

/// Stripes whose direction and colour are the identity's, with a phase and noise of the image's own.
fn crop(identity: u32, image: u32) -> Vec<u8> {
    let (angle, phase) = (f64::from(identity) * 0.7, f64::from(image) * 0.9);
    let mut rgb = Vec::new();
    for y in 0..SIDE {
        for x in 0..SIDE {
            let along = f64::from(x) * angle.cos() + f64::from(y) * angle.sin();
            for channel in 0..3 {
                let wave = (along * 0.6 + phase + f64::from(channel * identity)).sin();
                let noise = (f64::from(x * 31 + y * 17 + image * 7 + channel) * 12.9898).sin();
                rgb.push((128.0 + 70.0 * wave + 40.0 * noise) as u8);
            }
        }
    }
    rgb
}

fn dataset(folder: &Path, identities: u32, images: u32) {
    let mut writer = Writer::create(folder).unwrap();
    for identity in 0..identities {
        for image in 0..images {
            let pixels = Pixels { width: SIDE, height: SIDE, rgb: crop(identity, image) };
            let name = format!("person{identity}/{image}.png");
            let image = encode_png(&pixels).unwrap();
            writer.push(&Face { image, identity, name, points: None, group: None, flags: 0 }).unwrap();
        }
    }
    let names = (0..identities).map(|i| format!("person{i}")).collect();
    let crop = Some(Crop { size: SIDE, width: None, template: "arcface-112".into(), encoding: "png".into() });
    writer.finish(Info { identities: names, crop, ..Info::default() }).unwrap();
}

fn params(method: &str, more: Value) -> Value {
    let mut all = json!({
        "method": method, "epochs": 2, "milestones": [1], "batch": 16, "embedding": 16, "holdout": 0.25,
        "pairs": 100, "resnet-small": { "widths": [8, 16] }, "device": "cpu",
    });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    // As a host would: every default filled in.
    let complete: lfs_train::spec::Params = serde_json::from_value(all).unwrap();
    serde_json::to_value(complete).unwrap()
}

struct Done {
    said: Vec<Reply>,
    result: Result<(), Failure>,
    folder: PathBuf,
}

impl Done {
    fn steps(&self) -> Vec<Vec<Step>> {
        let asked = self.said.iter().filter_map(|r| match r {
            Reply::Steps { steps } => Some(steps.clone()),
            _ => None,
        });
        asked.collect()
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(file)).unwrap()
    }
}

fn train(folder: &Path, data: &Path, parameters: Value, threads: usize) -> Done {
    train_as(&Train, folder, data, parameters, threads)
}

fn train_as(kind: &'static dyn Kind, folder: &Path, data: &Path, parameters: Value, threads: usize) -> Done {
    train_with(kind, folder, &[("dataset", data)], parameters, threads)
}

fn train_with(
    kind: &'static dyn Kind,
    folder: &Path,
    inputs: &[(&str, &Path)],
    parameters: Value,
    threads: usize,
) -> Done {
    let inputs = inputs.iter().map(|(name, path)| ((*name).to_owned(), Binding::One(path.to_path_buf())));
    let scratch = folder.join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let job = Job {
        node: "train".into(),
        kind: "train".into(),
        parameters,
        inputs: inputs.collect(),
        outputs: BTreeMap::from([("model".into(), folder.join("model")), ("log".into(), folder.join("log"))]),
        scratch,
        threads,
        earlier: BTreeMap::new(),
    };
    let (result, said) = run_in_place(kind, &job);
    Done { said, result, folder: folder.to_owned() }
}

#[test]
fn a_training_starts_from_the_network_of_another_with_a_head_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    dataset(&first, 12, 8);
    dataset(&second, 5, 8);
    let before = train(&dir.path().join("before"), &first, params("softmax", json!({})), 1);
    before.result.clone().unwrap();
    let start = before.folder.join("model");
    // A learning rate that moves no weight.
    let still = params("am-softmax", json!({"lr": 1e-20, "weight-decay": 0.0}));
    let inputs = [("dataset", second.as_path()), ("start", start.as_path())];
    let after = train_with(&Train, &dir.path().join("after"), &inputs, still.clone(), 1);
    after.result.clone().unwrap();
    let weights = |folder: &Path| {
        let file = folder.join("model.safetensors");
        lfs_network::weights::read(&file, tch::Device::Cpu).unwrap()
    };
    let (theirs, own) = (weights(&start), weights(&after.folder.join("model")));
    let same: Vec<&String> = theirs.keys().filter(|name| theirs[*name].equal(&own[*name])).collect();
    // Running statistics follow the new images.
    assert!(same.iter().any(|name| name.ends_with("weight")) && same.len() < theirs.len(), "{same:?}");
    let scratch = train(&dir.path().join("scratch"), &second, still, 1);
    let new = weights(&scratch.folder.join("model"));
    assert!(theirs.iter().any(|(name, tensor)| name.ends_with("weight") && !tensor.equal(&new[name])));
    // The network is part of the first step's key; later steps have it through the checkpoint.
    let inputs: Vec<Vec<String>> = after.steps().iter().map(|s| s[0].inputs.clone()).collect();
    assert_eq!(inputs, [vec!["dataset", "start"], vec!["dataset"]]);
    let wider = params("softmax", json!({"embedding": 24}));
    let inputs = [("dataset", second.as_path()), ("start", start.as_path())];
    let refused = train_with(&Train, &dir.path().join("wider"), &inputs, wider, 1).result.unwrap_err();
    assert!(refused.message.contains("has another embedding"), "{}", refused.message);
}

const FILES: [&str; 2] = ["checkpoint.safetensors", "note.json"];

#[test]
fn two_epochs_are_one_epoch_and_another_one_in_a_fresh_process() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data, 12, 8);
    let straight = train(&dir.path().join("straight"), &data, params("am-softmax", json!({})), 1);
    straight.result.clone().unwrap();
    let spec = dir.path().join("spec.json");
    std::fs::write(&spec, straight.steps()[1][0].spec.to_string()).unwrap();
    let resumed = dir.path().join("resumed");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "one_epoch_for_another_process", "--nocapture", "--ignored"])
        .env("ONE_EPOCH_SPEC", &spec)
        .env("ONE_EPOCH_DATA", &data)
        .env("ONE_EPOCH_AFTER", straight.folder.join("scratch/steps/0"))
        .env("ONE_EPOCH_FOLDER", &resumed)
        .status()
        .unwrap();
    assert!(status.success());
    for file in FILES {
        let found = std::fs::read(resumed.join(file)).unwrap();
        assert!(found == straight.bytes(&format!("scratch/steps/1/{file}")), "{file} differs");
    }
}

#[test]
#[ignore = "the other process of the test above"]
fn one_epoch_for_another_process() {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let spec = path("ONE_EPOCH_SPEC").unwrap();
    let spec: EpochSpec = serde_json::from_slice(&std::fs::read(spec).unwrap()).unwrap();
    let (data, after) = (path("ONE_EPOCH_DATA").unwrap(), path("ONE_EPOCH_AFTER").unwrap());
    let folder = path("ONE_EPOCH_FOLDER").unwrap();
    let after = [after.as_path()];
    let input = EpochIn {
        spec: &spec,
        dataset: &data,
        validation: None,
        start: None,
        after: &after,
        folder: &folder,
        threads: 2,
    };
    epoch::run(&input, &mut |_| {}).unwrap();
}

#[test]
fn replicas_share_a_batch_and_its_gradient_whatever_the_method() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data, 12, 8);
    let loss = |done: &Done, epoch: usize| {
        let log: Value = serde_json::from_slice(&done.bytes("log/epochs.json")).unwrap();
        log["epochs"][epoch]["candidates"][0]["state"]["figures"]["softmax-loss"].as_f64().unwrap()
    };
    for method in lfs_train::table::Method::ALL.iter().filter(|method| method.name() != "centre-loss") {
        let search = json!({ "candidates": 2, "fixed-epochs": 1 });
        let more = json!({ "epochs": 3, "milestones": [2], "replicas": 2, "batch": 16, "lr": 0.05, "search-softmax": search, "search": search, "am-lfs": search });
        let run = |name: &str, more: &Value| {
            let folder = dir.path().join(method.name()).join(name);
            let done = train(&folder, &data, params(method.name(), more.clone()), 1);
            done.result.clone().unwrap_or_else(|e| panic!("{method:?}: {e}"));
            done
        };
        let (one, two) = (run("one", &more), run("two", &more));
        assert!(one.bytes("model/model.safetensors") == two.bytes("model/model.safetensors"), "{method:?}");
        if !["am-lfs", "triplet", "contrastive"].contains(&method.name()) {
            assert!(loss(&one, 2) < loss(&one, 0), "{method:?}");
        }
    }
    // The first step sees the same images by the same weights; only whose statistics normalise them differs.
    let one_step = |replicas: u32| {
        let more =
            json!({ "replicas": replicas, "batch": 66, "epochs": 1, "milestones": [], "holdout": 0.3 });
        let done = train(&dir.path().join(format!("step{replicas}")), &data, params("softmax", more), 1);
        done.result.clone().unwrap();
        loss(&done, 0)
    };
    let (one, three) = (one_step(1), one_step(3));
    assert!(one != three && (one - three).abs() < 0.1 * one, "{one} {three}");
    let refused = lfs_train::spec::Params {
        replicas: 3,
        ..serde_json::from_value(params("softmax", json!({}))).unwrap()
    };
    assert!(refused.check().unwrap_err().message.contains("batch = 16 cannot be shared by replicas = 3"));
}

#[test]
fn every_method_trains_to_the_same_bytes_again_and_its_softmax_loss_falls() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data, 12, 8);
    for method in lfs_train::table::Method::ALL {
        let search = json!({ "candidates": 2, "fixed-epochs": 1 });
        let more = json!({ "epochs": 3, "milestones": [2], "lr": 0.05, "search-softmax": search, "search": search, "am-lfs": search });
        let run = |name: &str, threads| {
            let folder = dir.path().join(method.name()).join(name);
            let done = train(&folder, &data, params(method.name(), more.clone()), threads);
            done.result.clone().unwrap_or_else(|e| panic!("{method:?}: {e}"));
            done
        };
        let (one, two) = (run("one", 1), run("two", 2));
        for file in ["model/model.safetensors", "model/model.json", "log/epochs.csv", "log/epochs.json"] {
            assert!(one.bytes(file) == two.bytes(file), "{method:?}: {file} differs");
        }
        let log: Value = serde_json::from_slice(&one.bytes("log/epochs.json")).unwrap();
        let loss = |epoch: usize| {
            log["epochs"][epoch]["candidates"][0]["state"]["figures"]["softmax-loss"].as_f64().unwrap()
        };
        // What AM-LFS draws may well make it rise; losses of images alone do not train the class weights.
        if !["am-lfs", "triplet", "contrastive"].contains(&method.name()) {
            assert!(loss(2) < loss(0), "{method:?}: {} {}", loss(0), loss(2));
        }
        for step in one.steps().concat() {
            let travelled: Value = serde_json::from_str(&step.spec.to_string()).unwrap();
            assert_eq!(travelled, step.spec, "{method:?}: a step changes on its way to another process");
        }
        let counts: Vec<usize> = one.steps().iter().map(Vec::len).collect();
        let expected = if ["am-lfs", "search", "search-softmax"].contains(&method.name()) {
            [1, 2, 2]
        } else {
            [1, 1, 1]
        };
        assert_eq!(counts, expected, "{method:?}");
    }
}

#[test]
fn a_longer_training_and_a_later_change_of_the_rate_begin_with_the_same_steps() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data, 12, 8);
    let steps = |name: &str, more: Value| {
        let done = train(&dir.path().join(name), &data, params("softmax", more), 1);
        done.result.clone().unwrap();
        done.steps().concat().into_iter().map(|s| s.spec).collect::<Vec<Value>>()
    };
    let short = steps("short", json!({ "milestones": [] }));
    let long = steps("long", json!({ "milestones": [], "epochs": 3 }));
    let changed = steps("changed", json!({ "milestones": [1] }));
    assert_eq!(short, long[..2]);
    assert_eq!(short[0], changed[0]);
    assert_ne!(short[1], changed[1]);
}

#[test]
fn each_candidate_keeps_its_own_momentum_where_the_winner_s_is_not_copied() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data, 12, 8);
    let after = |copy: bool| {
        let search = json!({ "candidates": 3, "fixed-epochs": 0, "copy-momentum": copy });
        let folder = dir.path().join(copy.to_string());
        let done = train(&folder, &data, params("search-softmax", json!({ "search-softmax": search })), 1);
        done.result.clone().unwrap();
        let mut counts: Vec<usize> = done.steps()[1].iter().map(|s| s.after.len()).collect();
        counts.sort_unstable();
        counts
    };
    assert_eq!(after(true), [1, 1, 1]);
    assert_eq!(after(false), [1, 2, 2]);
}

#[test]
fn candidates_that_came_out_alike_are_trained_once() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data, 12, 8);
    // Without a spread all draws are the mean.
    let search = json!({ "candidates": 4, "fixed-epochs": 0, "sigma": 0.0 });
    let done = train(
        &dir.path().join("alike"),
        &data,
        params("search-softmax", json!({ "search-softmax": search })),
        1,
    );
    done.result.clone().unwrap();
    assert_eq!(done.steps().iter().map(Vec::len).collect::<Vec<usize>>(), [1, 1]);
    let log: Value = serde_json::from_slice(&done.bytes("log/epochs.json")).unwrap();
    assert_eq!(log["epochs"][1]["candidates"].as_array().unwrap().len(), 4);
}

#[test]
fn what_cannot_work_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data, 6, 4);
    let refused = |name: &str, method: &str, more: Value| {
        let done = train(&dir.path().join(name), &data, params(method, more), 1);
        done.result.unwrap_err().to_string()
    };
    let message = refused("best", "softmax", json!({ "holdout": 0.0, "keep": "best-epoch" }));
    assert!(message.contains("keep = \"best-epoch\" of method softmax chooses by reward"), "{message}");
    let message =
        refused("images-per-identity", "triplet", json!({ "triplet": { "images-per-identity": 9 } }));
    assert!(message.contains("a batch of 9 images holds 9 of each identity"), "{message}");
    let message = refused("holdout", "search-softmax", json!({ "holdout": 0.0 }));
    assert!(message.contains("holdout = 0") && message.contains("`validation`"), "{message}");
    let message = refused("share", "softmax", json!({ "holdout": 0.9 }));
    assert!(message.contains("holdout = 0.9 takes 5 identities"), "{message}");
    let message = refused("milestones", "softmax", json!({ "milestones": [3, 3] }));
    assert!(message.contains("milestones must rise"), "{message}");
    let message = refused("margin", "am-softmax", json!({ "am-softmax": { "margin": 5.0 } }));
    assert!(message.contains("am-softmax.margin is 5"), "{message}");
}

#[test]
fn bfloat16_trains_to_the_same_bytes_again_and_its_loss_falls_as_that_of_float32_does() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data, 12, 8);
    let losses = |name: &str, backbone: &str, precision: &str| -> (Vec<f64>, Vec<u8>) {
        let more = json!({ "precision": precision, "epochs": 4, "milestones": [], "lr": 0.01,
            "backbone": backbone, "arithmetic": "fastest" });
        let done = train(&dir.path().join(name), &data, params("am-softmax", more), 1);
        done.result.clone().unwrap();
        let log: Value = serde_json::from_slice(&done.bytes("log/epochs.json")).unwrap();
        let of = |e: &Value| e["candidates"][0]["state"]["figures"]["softmax-loss"].as_f64().unwrap();
        (log["epochs"].as_array().unwrap().iter().map(of).collect(), done.bytes("model/model.safetensors"))
    };
    for backbone in ["resnet-small", "mobilefacenet"] {
        let (float, exact) = losses(&format!("{backbone} float32"), backbone, "float32");
        let (half, rounded) = losses(&format!("{backbone} bfloat16"), backbone, "bfloat16");
        let (again, same) = losses(&format!("{backbone} again"), backbone, "bfloat16");
        assert!(rounded == same && half == again, "{backbone}");
        assert!(rounded != exact, "{backbone}: nothing was rounded");
        for losses in [&half, &float] {
            assert!(losses[3] < 0.5 * losses[0], "{backbone}: {half:?} and {float:?}");
        }
        // Before the two part.
        assert!((half[0] - float[0]).abs() < 0.2 * float[0], "{backbone}: {half:?} and {float:?}");
    }
}

#[test]
fn a_loss_that_is_no_number_stops_the_epoch_and_names_it() {
    for method in ["softmax", "am-lfs", "curricularface", "triplet", "adaface"] {
        a_loss_that_is_no_number_stops(method);
    }
}

fn a_loss_that_is_no_number_stops(method: &str) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data, 12, 8);
    let done = train(&dir.path().join("good"), &data, params(method, json!({})), 1);
    done.result.clone().unwrap();
    let checkpoint = done.folder.join("scratch/steps/0/checkpoint.safetensors");
    let mut tensors = lfs_network::weights::read(&checkpoint, tch::Device::Cpu).unwrap();
    let name = "network.embedding.weight";
    let broken = tensors[name].full_like(f64::NAN);
    tensors.insert(name.to_owned(), broken);
    lfs_network::weights::write(&checkpoint, &tensors).unwrap();
    let spec: EpochSpec = serde_json::from_value(done.steps()[1][0].spec.clone()).unwrap();
    let (after, folder) = (done.folder.join("scratch/steps/0"), dir.path().join("broken"));
    let after = [after.as_path()];
    let input = EpochIn {
        spec: &spec,
        dataset: &data,
        validation: None,
        start: None,
        after: &after,
        folder: &folder,
        threads: 1,
    };
    let state = epoch::run(&input, &mut |_| {}).unwrap();
    let diverged = state.diverged.clone().unwrap();
    let message = format!("{} {}", diverged.message, diverged.help);
    assert!(
        message.contains("the loss became NaN in epoch 1, by step 0")
            && message.contains("lower `lr`")
            && message.contains(".png`"),
        "{method}: {message}"
    );
    // Of such an epoch only the state stays.
    assert_eq!(checkpoint::state(&folder).unwrap(), state);
    assert!(!folder.join("checkpoint.safetensors").exists());
}

/// Trains, but for candidates whose name holds a word: these diverge.
#[derive(Clone, Copy)]
struct Stumbling<const EPOCH: u32>;

impl<const EPOCH: u32> Stage for Stumbling<EPOCH> {
    const KIND: &'static str = "train";
    const SUMMARY: &'static str = "";
    const CODE: &'static [&'static [Source]] = &[];
    const INPUTS: &'static [Input] = Train::INPUTS;
    const OUTPUTS: &'static [Output] = Train::OUTPUTS;
    type Params = lfs_train::spec::Params;

    fn run(params: &Self::Params, cx: &mut Context<'_>) -> Result<(), Failure> {
        chain::run(params, cx)
    }

    fn step(
        params: &Self::Params,
        step: &Step,
        after: &[&Path],
        folder: &Path,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        chain::step(params, step, after, folder, cx)?;
        let epoch = step.spec["epoch"].as_u64().unwrap();
        if epoch == u64::from(EPOCH) && (step.name.contains("m = 0.300") || EPOCH == 0) {
            let (message, help) = ("the loss became NaN".to_owned(), "lower `lr`".to_owned());
            let diverged = Some(Diverged { message, help });
            let state = State { reward: None, figures: None, diverged, ..checkpoint::state(folder)? };
            std::fs::remove_dir_all(folder).unwrap();
            checkpoint::write_state(folder, &state)?;
        }
        Ok(())
    }
}

#[test]
fn a_candidate_that_diverges_is_out_of_the_race_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data, 12, 8);
    for mode in ["grid", "population"] {
        let search = json!({ "loss": "am-softmax", "mode": mode, "candidates": 3, "low": 0.1, "high": 0.5,
            "law": "uniform" });
        let parameters = params("search", json!({ "search": search, "epochs": 3 }));
        let folder = dir.path().join(mode);
        let done = train_as(&Stumbling::<1>, &folder, &data, parameters, 1);
        done.result.clone().unwrap();
        let log: Value = serde_json::from_slice(&done.bytes("log/epochs.json")).unwrap();
        let epochs = log["epochs"].as_array().unwrap();
        if mode == "grid" {
            let second = epochs[1]["candidates"].as_array().unwrap();
            assert_eq!(second[1]["state"]["diverged"]["message"], "the loss became NaN");
            let winner = epochs[1]["winner"].as_u64().unwrap();
            assert_ne!(winner, 1);
            // It stays out: the others alone go on.
            assert_eq!((done.steps()[1].len(), done.steps()[2].len()), (3, 2));
            assert_eq!(epochs[2]["candidates"][1]["state"], second[1]["state"]);
            assert!(second[1]["state"].get("figures").is_none());
            let told = |r: &Reply| matches!(r, Reply::Note { text } if text.contains("is out of the race"));
            assert!(done.said.iter().any(told));
        }
        assert!(folder.join("model/model.safetensors").is_file());
    }
}

#[test]
fn where_all_candidates_diverge_the_training_stops_and_names_the_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data, 12, 8);
    let done = train_as(&Stumbling::<0>, &dir.path().join("first"), &data, params("softmax", json!({})), 1);
    let message = done.result.unwrap_err().to_string();
    assert!(message.contains("the loss became NaN; there was no epoch before"), "{message}");
    let search = json!({ "loss": "am-softmax", "mode": "grid", "candidates": 1, "low": 0.3, "high": 0.3 });
    let parameters = params("search", json!({ "search": search }));
    let done = train_as(&Stumbling::<1>, &dir.path().join("second"), &data, parameters, 1);
    let message = done.result.unwrap_err().to_string();
    assert!(
        message.contains("NaN; the last good checkpoint is /") && message.contains("lower `lr`"),
        "{message}"
    );
}

#[test]
fn what_cannot_be_rewarded_is_told_before_the_epoch_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data, 6, 2);
    let done = train(&dir.path().join("few"), &data, params("softmax", json!({ "batch": 2 })), 1);
    let message = done.result.unwrap_err().to_string();
    assert!(message.contains("pairs of one identity"), "{message}");
    assert!(!done.said.iter().any(|r| matches!(r, Reply::Progress { .. })), "images were trained on");
}

#[test]
fn a_validation_input_gives_the_reward_and_leaves_every_identity_in_training() {
    let dir = tempfile::tempdir().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    dataset(&data, 12, 8);
    dataset(&other, 5, 6);
    let folder = dir.path().join("run");
    let scratch = folder.join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let inputs = [("dataset", data), ("validation", other)];
    let job = Job {
        node: "train".into(),
        kind: "train".into(),
        parameters: params("search-softmax", json!({ "holdout": 0.0 })),
        inputs: inputs.map(|(name, path)| (name.to_owned(), Binding::One(path))).into(),
        outputs: BTreeMap::from([("model".into(), folder.join("model")), ("log".into(), folder.join("log"))]),
        scratch,
        threads: 1,
        earlier: BTreeMap::new(),
    };
    run_in_place(&Train, &job).0.unwrap();
    let log: Value = serde_json::from_slice(&std::fs::read(folder.join("log/epochs.json")).unwrap()).unwrap();
    let state = &log["epochs"][0]["candidates"][0]["state"];
    assert_eq!(state["classes"], 12);
    assert!(state["reward"].as_f64().unwrap() > 0.3);
    let model: Value =
        serde_json::from_slice(&std::fs::read(folder.join("model/model.json")).unwrap()).unwrap();
    assert!(model.get("selected-on").is_none());
}

#[test]
fn a_reward_that_is_taken_on_a_test_set_is_warned_of_and_written_beside_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    dataset(&data, 12, 8);
    dataset(&other, 5, 6);
    let about = other.join("dataset.json");
    let mut info: Value = serde_json::from_slice(&std::fs::read(&about).unwrap()).unwrap();
    info["notes"] = json!({ "layout": "lfw" });
    std::fs::write(&about, info.to_string()).unwrap();
    for (method, chosen) in [("search-softmax", true), ("softmax", false)] {
        let folder = dir.path().join(method);
        let scratch = folder.join("scratch");
        std::fs::create_dir_all(&scratch).unwrap();
        let inputs = [("dataset", data.clone()), ("validation", other.clone())];
        let outputs = ["model", "log"].map(|name| (name.to_owned(), folder.join(name)));
        let job = Job {
            node: "train".into(),
            kind: "train".into(),
            parameters: params(method, json!({ "holdout": 0.0 })),
            inputs: inputs.map(|(name, path)| (name.to_owned(), Binding::One(path))).into(),
            outputs: outputs.into(),
            scratch,
            threads: 1,
            earlier: BTreeMap::new(),
        };
        let (result, said) = run_in_place(&Train, &job);
        result.unwrap();
        let warned =
            said.iter().any(|r| matches!(r, Reply::Warning { text } if text.contains("lfw, a test set")));
        assert_eq!(warned, chosen, "{method}");
        let model = std::fs::read(folder.join("model/model.json")).unwrap();
        let model: Value = serde_json::from_slice(&model).unwrap();
        assert_eq!(model.get("selected-on").and_then(Value::as_str), chosen.then_some("lfw"), "{method}");
    }
}

#[test]
fn the_description_names_real_files_and_leaves_declarations_out_of_every_key() {
    let info = Train.describe();
    let choices: Vec<_> = info.choices.values().flat_map(BTreeMap::iter).collect();
    for (value, choice) in &choices {
        assert!(choice.code.values().all(|digest| digest != "missing"), "{value}: {:?}", choice.code);
    }
    assert!(info.code.contains_key("train/src/epoch.rs"));
    for file in [
        "train/src/table.rs",
        "train/src/spec.rs",
        "train/src/loss/am_softmax.rs",
        "network/src/backbone/mod.rs",
    ] {
        assert!(!info.code.contains_key(file), "{file}");
    }
    let methods = &info.choices["method"];
    assert!(methods["am-softmax"].code.contains_key("train/src/loss/am_softmax.rs"));
    assert!(!methods["softmax"].code.contains_key("train/src/loss/am_softmax.rs"));
    for method in lfs_train::table::Method::ALL {
        let when = &info.parameters["properties"][method.name()]["x-when"]["method"];
        assert_eq!(*when, json!([method.name()]), "{method:?}");
    }
    for backbone in lfs_network::backbone::Backbone::ALL {
        let when = &info.parameters["properties"][backbone.name()]["x-when"]["backbone"];
        assert_eq!(*when, json!([backbone.name()]), "{backbone:?}");
    }
}
