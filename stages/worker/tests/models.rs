//! A network in every form in which it is handed out: as trained, as TorchScript, as ONNX here and in onnxruntime.

#![allow(clippy::unwrap_used)] // a test can only stop with a message

use std::collections::BTreeMap;
use std::path::Path;

use lfs_faces::dataset::{Crop, Face, Info, Writer};
use lfs_faces::image::{Pixels, encode_png};
use lfs_network::arithmetic::Arithmetic;
use lfs_network::backbone::{Architecture, Backbone};
use lfs_network::device;
use lfs_network::model::{Model, ModelInfo, Plan};
use lfs_network::weights;
use lfs_stage::{Binding, Job, Kind, run_in_place};
use serde_json::{Value, json};
use tch::Tensor;

const CPU: tch::Device = tch::Device::Cpu;
const SIDE: u32 = 32;
const IMAGES: u32 = 4;

fn pixel(x: u32, y: u32, c: u32, image: u32) -> u8 {
    ((x * 7 + y * 3 + c * 40 + image * 29) % 251) as u8
}

fn crop() -> Crop {
    Crop { size: SIDE, width: None, template: "arcface-112".into(), encoding: "png".into() }
}

fn dataset(folder: &Path) {
    let mut writer = Writer::create(folder).unwrap();
    for image in 0..IMAGES {
        let row = |y: u32| (0..SIDE).flat_map(move |x| (0..3).map(move |c| pixel(x, y, c, image)));
        let rgb: Vec<u8> = (0..SIDE).flat_map(row).collect();
        let bytes = encode_png(&Pixels { width: SIDE, height: SIDE, rgb }).unwrap();
        let name = format!("a/{image}.png");
        writer.push(&Face { image: bytes, identity: 0, name, points: None, group: None, flags: 0 }).unwrap();
    }
    writer.finish(Info { identities: vec!["a".into()], crop: Some(crop()), ..Info::default() }).unwrap();
}

/// A network with running statistics of some images.
fn model(folder: &Path, backbone: Architecture) {
    let network = Plan { backbone, size: SIDE, embedding: 16 };
    let model = Model::seeded(&network, 5, CPU).unwrap();
    let side = i64::from(SIDE);
    let noise = Tensor::arange(8 * 3 * side * side, (tch::Kind::Float, CPU)).sin().view([8, 3, side, side]);
    let _ = tch::no_grad(|| model.forward(&noise, true));
    let method = "am-softmax".into();
    let info = ModelInfo { network, crop: crop(), method, parameters: Value::Null, selected_on: None };
    Model::save(&model.tensors(), &info, folder).unwrap();
}

fn run(kind: &'static dyn Kind, at: &Path, inputs: &[(&str, &Path)]) {
    let info = kind.describe();
    let job = Job {
        node: info.name.clone(),
        kind: info.name.clone(),
        parameters: json!({}),
        inputs: inputs
            .iter()
            .map(|(name, path)| ((*name).to_owned(), Binding::One(path.to_path_buf())))
            .collect(),
        outputs: BTreeMap::from([(info.outputs[0].name.clone(), at.to_owned())]),
        scratch: at.with_extension("scratch"),
        threads: 1,
        earlier: BTreeMap::new(),
    };
    std::fs::create_dir_all(&job.scratch).unwrap();
    let (result, _) = run_in_place(kind, &job);
    result.map_err(|e| format!("{}: {e}", info.name)).unwrap();
}

const ONNXRUNTIME: &str = r#"
import sys, json, numpy as np, onnx, onnxruntime
info = json.load(open("export.json"))
onnx.checker.check_model("model.onnx", full_check=True)
y, x, c, k = np.meshgrid(np.arange(32), np.arange(32), np.arange(3), np.arange(4), indexing="ij")
pixels = ((x * 7 + y * 3 + c * 40 + k * 29) % 251).transpose(3, 2, 0, 1).astype(np.float32)
run = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
out = run.run(["embeddings"], {"crops": (pixels - np.float32(info["less"])) / np.float32(info["divided-by"])})[0]
print("\n".join("%.9g" % v for v in out.ravel()))
"#;

#[test]
fn every_form_of_every_network_gives_the_same_embeddings() {
    // As in a worker, this precedes the first tensor.
    device::prepare(device::Device::Cpu, 1, Arithmetic::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data);
    let mut all: Vec<Architecture> = Backbone::ALL.iter().map(|b| b.with_defaults()).collect();
    all.push(serde_json::from_value(json!({"iresnet": {"squeeze-excitation": true, "width": 8}})).unwrap());
    for (k, backbone) in all.into_iter().enumerate() {
        let at = dir.path().join(k.to_string());
        std::fs::create_dir(&at).unwrap();
        let path = |name: &str| at.join(name);
        let what = format!("{backbone:?}");
        model(&path("model"), backbone);
        run(&lfs_export::Export, &path("exported"), &[("model", &path("model"))]);
        let embed = |name: &str, network: &Path| {
            run(&lfs_embed::Embed, &path(name), &[("model", network), ("dataset", &data)]);
            let tensors = weights::read(&path(name).join("embeddings.safetensors"), CPU).unwrap();
            Vec::<f32>::try_from(tensors["embeddings"].flatten(0, -1)).unwrap()
        };
        let own = embed("own", &path("model"));
        assert_eq!(own.len(), 4 * 16);
        let largest = own.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        let compare = |form: &str, found: &[f32]| {
            let off = own.iter().zip(found).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(
                own.len() == found.len() && off <= 1e-5 * largest.max(1.0),
                "{what}, {form}: off by {off}"
            );
        };
        compare("TorchScript", &embed("script", &path("exported")));
        compare("ONNX", &embed("onnx", &path("exported").join("model.onnx")));
        let Some(python) = lfs_testing::python() else { continue };
        let ran = std::process::Command::new(python)
            .args(["-c", ONNXRUNTIME])
            .current_dir(path("exported"))
            .output()
            .unwrap();
        assert!(ran.status.success(), "{what}: {}", String::from_utf8_lossy(&ran.stderr));
        let text = String::from_utf8(ran.stdout).unwrap();
        let theirs: Vec<f32> = text.split_whitespace().map(|x| x.parse().unwrap()).collect();
        compare("onnxruntime", &theirs);
    }
}
