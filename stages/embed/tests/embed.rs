//! Tests of the kind `embed` through the public contract.

#![allow(clippy::unwrap_used, clippy::panic)] // test helpers fail the test

use std::collections::BTreeMap;
use std::path::Path;

use lfs_embed::{EMBEDDINGS_FILE, Embed, EmbeddingsInfo, INFO_FILE};
use lfs_faces::dataset::{Crop, Face, Info, Writer};
use lfs_faces::image::{Pixels, encode_png};
use lfs_network::arithmetic::Arithmetic;
use lfs_network::backbone::Backbone;
use lfs_network::device;
use lfs_network::model::{Model, ModelInfo, Plan};
use lfs_network::weights::{self, Tensors};
use lfs_stage::{Binding, Failure, Job, Kind, run_in_place};
use serde_json::{Value, json};

const CPU: tch::Device = tch::Device::Cpu;

fn crop(size: u32) -> Crop {
    Crop { size, width: None, template: "arcface-112".into(), encoding: "png".into() }
}

/// `mirrored`: every image flipped left to right.
fn dataset(folder: &Path, crop: Crop, count: u32, mirrored: bool) {
    let mut writer = Writer::create(folder).unwrap();
    let side = crop.size;
    for image in 0..count {
        let mut rgb = Vec::new();
        for y in 0..side {
            for x in 0..side {
                let x = if mirrored { side - 1 - x } else { x };
                rgb.extend((0..3).map(|c| ((x * 5 + y * 3 + c * 40 + image * 29) % 251) as u8));
            }
        }
        let image_bytes = encode_png(&Pixels { width: side, height: side, rgb }).unwrap();
        let name = format!("a/{image}.png");
        writer
            .push(&Face { image: image_bytes, identity: 0, name, points: None, group: None, flags: 0 })
            .unwrap();
    }
    writer.finish(Info { identities: vec!["a".into()], crop: Some(crop), ..Info::default() }).unwrap();
}

fn model(folder: &Path, size: u32) {
    // As in a worker, this precedes the first tensor.
    device::prepare(device::Device::Cpu, 1, Arithmetic::default()).unwrap();
    let network = Plan { backbone: Backbone::ResnetSmall.with_defaults(), size, embedding: 16 };
    let tensors = Model::seeded(&network, 3, CPU).unwrap().tensors();
    let info = ModelInfo {
        network,
        crop: crop(size),
        method: "am-softmax".into(),
        parameters: Value::Null,
        selected_on: None,
    };
    Model::save(&tensors, &info, folder).unwrap();
}

fn embed(dir: &Path, data: &str, name: &str, parameters: Value, threads: usize) -> Result<Tensors, Failure> {
    let (scratch, out) = (dir.join("scratch"), dir.join(name));
    std::fs::create_dir_all(&scratch).unwrap();
    let inputs = [("model", "model"), ("dataset", data)];
    let job = Job {
        node: "embed".into(),
        kind: "embed".into(),
        parameters,
        inputs: inputs.map(|(input, folder)| (input.to_owned(), Binding::One(dir.join(folder)))).into(),
        outputs: BTreeMap::from([("embeddings".into(), out.clone())]),
        scratch,
        threads,
        earlier: BTreeMap::new(),
    };
    run_in_place(&Embed, &job).0?;
    weights::read(&out.join(EMBEDDINGS_FILE), CPU)
}

#[test]
fn every_image_gets_its_row_whatever_the_batch_and_the_bytes_do_not_depend_on_the_job_s_threads() {
    let dir = tempfile::tempdir().unwrap();
    model(&dir.path().join("model"), 32);
    dataset(&dir.path().join("data"), crop(32), 11, false);
    let whole = embed(dir.path(), "data", "whole", json!({}), 1).unwrap();
    assert_eq!(whole["embeddings"].size(), [11, 16]);
    assert_eq!(whole.len(), 1);
    let small = embed(dir.path(), "data", "small", json!({ "batch": 3 }), 1).unwrap();
    let difference = (&whole["embeddings"] - &small["embeddings"]).abs().max().double_value(&[]);
    assert!(difference < 1e-4, "{difference}");
    embed(dir.path(), "data", "again", json!({}), 2).unwrap();
    let bytes = |name: &str| std::fs::read(dir.path().join(name).join(EMBEDDINGS_FILE)).unwrap();
    assert!(bytes("whole") == bytes("again"));
    let text = std::fs::read_to_string(dir.path().join("whole").join(INFO_FILE)).unwrap();
    let info: EmbeddingsInfo = serde_json::from_str(&text).unwrap();
    assert_eq!((info.n, info.d, info.crop.size, info.flip), (11, 16, 32, false));
}

#[test]
fn the_flipped_embeddings_are_those_of_the_mirrored_images() {
    let dir = tempfile::tempdir().unwrap();
    model(&dir.path().join("model"), 32);
    dataset(&dir.path().join("data"), crop(32), 5, false);
    dataset(&dir.path().join("mirrored"), crop(32), 5, true);
    let both = embed(dir.path(), "data", "both", json!({ "flip": true }), 1).unwrap();
    let mirrored = embed(dir.path(), "mirrored", "other", json!({}), 1).unwrap();
    assert!(both["flipped"].equal(&mirrored["embeddings"]));
    assert!(!both["flipped"].equal(&both["embeddings"]));
}

#[test]
fn crops_of_another_size_or_template_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    model(&dir.path().join("model"), 32);
    dataset(&dir.path().join("large"), crop(40), 2, false);
    let message = embed(dir.path(), "large", "out", json!({}), 1).unwrap_err().to_string();
    assert!(
        message.contains("takes crops of 32 x 32 pixels, but the dataset holds crops of 40 x 40"),
        "{message}"
    );
    assert!(message.contains("size = 32"), "{message}");
    dataset(&dir.path().join("other"), Crop { template: "eyes".into(), ..crop(32) }, 2, false);
    let message = embed(dir.path(), "other", "out", json!({}), 1).unwrap_err().to_string();
    assert!(message.contains("template `arcface-112`") && message.contains("`eyes`"), "{message}");
}

#[test]
fn the_description_names_real_files_and_counts_every_network() {
    let info = Embed.describe();
    for (value, choice) in info.choices.values().flat_map(BTreeMap::iter) {
        assert!(choice.code.values().all(|digest| digest != "missing"), "{value}: {:?}", choice.code);
    }
    assert!(Backbone::ALL.iter().all(|b| info.code.contains_key(b.source())));
}
