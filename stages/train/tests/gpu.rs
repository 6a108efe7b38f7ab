//! What only a GPU can show. Each test is skipped with a notice where there is none.

#![allow(clippy::unwrap_used)] // helpers of tests stop the test

use std::path::{Path, PathBuf};

use lfs_faces::dataset::{Crop, Face, Info, Writer};
use lfs_faces::image::{Pixels, encode_png};
use lfs_network::device;
use lfs_network::gpu::CudaGraph;
use lfs_train::checkpoint::{self, State};
use lfs_train::epoch::{self, EpochIn, EpochSpec};
use serde_json::{Value, json};

const SIDE: u32 = 32;

/// So many GPUs, or a notice.
fn gpus(wanted: i64) -> bool {
    device::load_gpu_library();
    lfs_testing::gpus(wanted, tch::Cuda::device_count())
}

fn dataset(folder: &Path) {
    let mut writer = Writer::create(folder).unwrap();
    for number in 0..20 * 16 {
        let (identity, image) = (number % 20, number / 20);
        let shade = |p: u32| {
            let (x, y) = (f64::from(p / 3 % SIDE), f64::from(p / 3 / SIDE));
            let angle = f64::from(identity) * 0.7;
            let wave = ((x * angle.cos() + y * angle.sin()) * 0.6 + f64::from(image) * 0.9).sin();
            (128.0 + 70.0 * wave + 30.0 * (f64::from(p + image) * 12.9898).sin()) as u8
        };
        let rgb = (0..SIDE * SIDE * 3).map(shade).collect();
        let image = encode_png(&Pixels { width: SIDE, height: SIDE, rgb }).unwrap();
        writer
            .push(&Face { image, identity, name: number.to_string(), points: None, group: None, flags: 0 })
            .unwrap();
    }
    let identities = (0..20).map(|i| i.to_string()).collect();
    let crop = Some(Crop { size: SIDE, width: None, template: "arcface-112".into(), encoding: "png".into() });
    writer.finish(Info { identities, crop, ..Info::default() }).unwrap();
}

/// One epoch of 20 steps; its state, its checkpoint, and whether it ended with recorded steps, where that can be.
fn epoch(dir: &Path, name: &str, more: Value) -> (State, PathBuf, Option<f64>) {
    let data = dir.join("data");
    if !data.exists() {
        dataset(&data);
    }
    let mut spec = json!({
        "epoch": 0, "seed": 1, "form": { "am-softmax": { "margin": 0.2, "easy-margin": false } }, "scale": 32.0,
        "backbone": { "resnet-small": { "widths": [8, 16] } }, "embedding": 16, "batch": 16,
        "lr": { "from": 0.02, "to": 0.02 }, "precision": "float32", "gradient": "true", "sub-centres": 1, "class-sample": 1.0,
        "momentum": 0.9, "weight-decay": 5e-4, "flip": 0.5, "holdout": null, "pairs": 100, "threads": 1, "device": "cuda",
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let spec: EpochSpec = serde_json::from_value(spec).unwrap();
    let folder = dir.join(name);
    let input = EpochIn {
        spec: &spec,
        dataset: &data,
        validation: None,
        start: None,
        after: &[],
        folder: &folder,
        threads: 2,
    };
    let mut recorded = None;
    let state = epoch::run(&input, &mut |now| recorded = now.figures.get("recorded").copied()).unwrap();
    // What the last step was.
    (state, folder, recorded)
}

fn loss(state: &State) -> f64 {
    state.figures.as_ref().unwrap().loss
}

/// The largest difference of a weight, by the largest weight.
fn apart(one: &Path, two: &Path) -> f64 {
    let read = |folder: &Path| checkpoint::read(folder, tch::Device::Cpu).unwrap();
    let (one, two) = (read(one), read(two));
    let pairs = one.network.iter().zip(&two.network).chain(one.head.iter().zip(&two.head));
    let apart = pairs.map(|((name, a), (other, b))| {
        assert_eq!(name, other);
        (a - b).abs().max().double_value(&[]) / a.abs().max().double_value(&[]).max(1e-3)
    });
    apart.fold(0.0, f64::max)
}

#[test]
fn an_epoch_on_a_gpu_is_nearly_one_on_the_processor() {
    if !gpus(1) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (here, ..) = epoch(dir.path(), "here", json!({ "device": "cpu" }));
    let (there, ..) = epoch(dir.path(), "there", json!({}));
    assert!((loss(&here) / loss(&there) - 1.0).abs() < 0.02, "{} {}", loss(&here), loss(&there));
    let (rounded, ..) = epoch(dir.path(), "rounded", json!({ "precision": "bfloat16" }));
    assert!((loss(&here) / loss(&rounded) - 1.0).abs() < 0.05, "{} {}", loss(&here), loss(&rounded));
}

#[test]
fn an_epoch_on_a_gpu_gives_the_same_bits_again_recorded_or_not() {
    if !gpus(1) {
        return;
    }
    assert!(CudaGraph::can(tch::Device::Cuda(0)), "{:?}", lfs_network::gpu::missing());
    let dir = tempfile::tempdir().unwrap();
    // Every step but the first three is recorded; with a loss that counts its steps none is.
    let (one, first, recorded) = epoch(dir.path(), "one", json!({}));
    let (two, second, _) = epoch(dir.path(), "two", json!({}));
    assert_eq!(recorded, Some(1.0), "no step was recorded");
    assert_eq!((loss(&one), apart(&first, &second)), (loss(&two), 0.0));
    let form = |annealing: bool| {
        json!({ "form": { "a-softmax": {
            "margin": 1, "annealing": annealing, "lambda-start": 0.0, "lambda-least": 0.0, "lambda-decay": 0.1,
            "lambda-power": 1.0 } } })
    };
    // lambda is 0 with and without annealing: the same loss, once recorded and once not.
    let (one, first, recorded) = epoch(dir.path(), "recorded", form(false));
    let (two, second, single) = epoch(dir.path(), "single", form(true));
    assert_eq!((recorded, single), (Some(1.0), Some(0.0)));
    assert!((loss(&one) - loss(&two)).abs() < 1e-5 && apart(&first, &second) < 1e-4);
}

#[test]
fn two_gpus_share_a_batch_as_two_turns_on_the_processor_do() {
    if !gpus(2) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (here, ..) = epoch(dir.path(), "here", json!({ "device": "cpu", "replicas": 2 }));
    let (there, ..) = epoch(dir.path(), "there", json!({ "replicas": 2 }));
    assert!((loss(&here) / loss(&there) - 1.0).abs() < 0.02, "{} {}", loss(&here), loss(&there));
}
