//! An exported network gives the embeddings of the network: in libtorch, and in Python where PyTorch is.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::Path;
use std::process::Command;

use lfs_export::{ExportInfo, INFO_FILE, SCRIPT_FILE, write};
use lfs_network::backbone::Backbone;
use lfs_network::model::{Model, ModelInfo, Plan};
use tch::{CModule, Kind, Tensor};

const CPU: tch::Device = tch::Device::Cpu;
const SIDE: u32 = 40;

fn noise(n: i64) -> Tensor {
    let side = i64::from(SIDE);
    (Tensor::arange(n * 3 * side * side, (Kind::Float, CPU)) * 0.37).sin().view([n, 3, side, side])
}

/// A network that has seen two batches, exported; and the embeddings of some images.
fn exported(backbone: Backbone, folder: &Path, n: i64) -> Tensor {
    let plan = Plan { backbone: backbone.with_defaults(), size: SIDE, embedding: 48 };
    let info = serde_json::json!({
        "network": plan, "crop": { "size": SIDE, "template": "arcface-112", "encoding": "png" }, "method": "softmax", "parameters": null,
    });
    let info: ModelInfo = serde_json::from_value(info).unwrap();
    let model = Model::seeded(&plan, 5, CPU).unwrap();
    let embeddings = tch::no_grad(|| {
        let _ = model.forward(&noise(4), true);
        let _ = model.forward(&(noise(6) * 0.5), true);
        model.forward(&noise(n), false)
    });
    write(&model, &info, folder).unwrap();
    embeddings
}

fn apart(a: &Tensor, b: &Tensor) -> f64 {
    let largest = b.abs().max().double_value(&[]);
    (a - b).abs().max().double_value(&[]) / largest
}

#[test]
fn every_network_gives_the_same_embeddings_of_any_number_of_images_after_export() {
    for &backbone in Backbone::ALL {
        let dir = tempfile::tempdir().unwrap();
        for n in [1, 5] {
            let expected = exported(backbone, dir.path(), n);
            let script = CModule::load(dir.path().join(SCRIPT_FILE)).unwrap();
            let found = tch::no_grad(|| script.forward_ts(&[noise(n)])).unwrap();
            assert!(apart(&found, &expected) < 1e-5, "{backbone:?}");
        }
        let text = std::fs::read_to_string(dir.path().join(INFO_FILE)).unwrap();
        let info: ExportInfo = serde_json::from_str(&text).unwrap();
        assert_eq!((info.input, info.output), ([-1, 3, 40, 40], [-1, 48]));
    }
}

/// The program that a reader would write.
const READER: &str = r#"
import json, sys, numpy, torch
folder = sys.argv[1]
info = json.load(open(f"{folder}/export.json"))
network = torch.jit.load(f"{folder}/model.pt")
pixels = torch.from_numpy(numpy.fromfile(f"{folder}/pixels", dtype=numpy.float32)).view(info["input"])
with torch.no_grad():
    found = network((pixels - info["less"]) / info["divided-by"])
assert list(found.shape)[1] == info["output"][1]
found.numpy().tofile(f"{folder}/found")
"#;

#[test]
fn pytorch_loads_an_exported_network_and_gives_the_same_embeddings() {
    let python = std::env::var("LFS_PYTORCH").unwrap_or_else(|_| "python3".to_owned());
    let there = Command::new(&python).args(["-c", "import numpy, torch"]).output();
    if !there.is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: no Python with PyTorch (name one with LFS_PYTORCH)");
        return;
    }
    for &backbone in Backbone::ALL {
        let dir = tempfile::tempdir().unwrap();
        let expected = exported(backbone, dir.path(), 5);
        let pixels = Vec::<f32>::try_from((noise(5) * 128.0 + 127.5).flatten(0, -1)).unwrap();
        let bytes: Vec<u8> = pixels.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(dir.path().join("pixels"), bytes).unwrap();
        let ran = Command::new(&python).args(["-c", READER]).arg(dir.path()).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let bytes = std::fs::read(dir.path().join("found")).unwrap();
        let found: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let found = Tensor::from_slice(&found).view_as(&expected);
        assert!(apart(&found, &expected) < 1e-5, "{backbone:?}: {}", apart(&found, &expected));
    }
}
