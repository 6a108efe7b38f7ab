//! Networks of other programs, compared with onnxruntime. Needs `LFS_PYTHON`, a Python with the packages of `tests/referees.txt`.

#![allow(clippy::unwrap_used)] // a test can only stop with a message

use std::collections::BTreeMap;
use std::path::Path;

use lfs_embed::{EMBEDDINGS_FILE, Embed, EmbeddingsInfo, INFO_FILE};
use lfs_faces::dataset::{Crop, Face, Info, Writer};
use lfs_faces::image::{Pixels, encode_png};
use lfs_network::weights::{self, Tensors};
use lfs_stage::{Binding, Failure, Job, run_in_place};
use serde_json::{Value, json};

const SIDE: u32 = 16;
const IMAGES: u32 = 5;

/// The value of a pixel of an image.
fn pixel(x: u32, y: u32, c: u32, image: u32) -> u8 {
    ((x * 5 + y * 3 + c * 40 + image * 29) % 251) as u8
}

fn dataset(folder: &Path, side: u32) {
    let mut writer = Writer::create(folder).unwrap();
    for image in 0..IMAGES {
        let at = |y: u32| (0..side).flat_map(move |x| (0..3).map(move |c| pixel(x, y, c, image)));
        let rgb: Vec<u8> = (0..side).flat_map(at).collect();
        let bytes = encode_png(&Pixels { width: side, height: side, rgb }).unwrap();
        let name = format!("a/{image}.png");
        writer.push(&Face { image: bytes, identity: 0, name, points: None, group: None, flags: 0 }).unwrap();
    }
    let crop = Crop { size: side, width: None, template: "own".into(), encoding: "png".into() };
    writer.finish(Info { identities: vec!["a".into()], crop: Some(crop), ..Info::default() }).unwrap();
}

fn embed(dir: &Path, model: &str, parameters: Value) -> Result<Tensors, Failure> {
    let out = dir.join("out");
    if out.is_dir() {
        std::fs::remove_dir_all(&out).unwrap();
    }
    let inputs = [("model", model), ("dataset", "data")];
    let job = Job {
        node: "embed".into(),
        kind: "embed".into(),
        parameters,
        inputs: inputs.map(|(input, file)| (input.to_owned(), Binding::One(dir.join(file)))).into(),
        outputs: BTreeMap::from([("embeddings".into(), out.clone())]),
        scratch: dir.to_owned(),
        threads: 1,
        earlier: BTreeMap::new(),
    };
    run_in_place(&Embed, &job).0?;
    weights::read(&out.join(EMBEDDINGS_FILE), tch::Device::Cpu)
}

/// Networks, and what onnxruntime computes with them for the images of [`dataset`].
const NETWORKS: &str = r#"
import numpy as np, onnx, onnxruntime
from onnx import TensorProto as T, helper as h, numpy_helper as n
side, images = 16, 5
y, x, c, k = np.meshgrid(np.arange(side), np.arange(side), np.arange(3), np.arange(images), indexing="ij")
pixels = ((x * 5 + y * 3 + c * 40 + k * 29) % 251).transpose(3, 2, 0, 1).astype(np.float32)
rng = np.random.default_rng(3)
weights = [n.from_array(rng.standard_normal(s).astype(np.float32) * 0.2, name) for name, s in
           (("conv", (8, 3, 3, 3)), ("bias", (8,)), ("slope", (8, 1, 1)), ("last", (6, 8 * 49)))]
nodes = [h.make_node("Conv", ["x", "conv", "bias"], ["a"], strides=[2, 2]), h.make_node("PRelu", ["a", "slope"], ["b"]),
         h.make_node("Flatten", ["b"], ["f"]), h.make_node("Gemm", ["f", "last"], ["e"], transB=1)]
def save(name, shape, before=[], outputs=["e"]):
    into = h.make_tensor_value_info("crops", T.FLOAT, shape)
    outs = [h.make_tensor_value_info(o, T.FLOAT, None) for o in outputs]
    first = before or [h.make_node("Identity", ["crops"], ["x"])]
    graph = h.make_graph(first + nodes, "g", [into], outs, weights)
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 13)], ir_version=8), name)
    return name
def expect(name, x, size):
    run = onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])
    full = np.concatenate([x, x[-1:]]) if size == 2 else x
    out = np.concatenate([run.run(None, {"crops": full[i:i + size]})[0] for i in range(0, len(full), size)])[:images]
    np.savetxt(name + ".txt", out.astype(np.float64), fmt="%.9g")
usual = (pixels - 127.5) / 127.5
expect(save("free.onnx", ["n", 3, side, side]), usual, images)
expect(save("fixed.onnx", [2, 3, side, side]), usual, 2)
inner = save("inner.onnx", ["n", side, side, 3], [h.make_node("Transpose", ["crops"], ["x"], perm=[0, 3, 1, 2])])
expect(inner, usual.transpose(0, 2, 3, 1).copy(), images)
expect(save("blue.onnx", ["n", 3, side, side]), (pixels / 255)[:, ::-1].copy(), images)
expect(save("mirrored.onnx", ["n", 3, side, side]), usual[..., ::-1].copy(), images)
save("two.onnx", ["n", 3, side, side], outputs=["e", "f"])
save("other.onnx", ["n", 3, 24, 24])
import zipfile
with zipfile.ZipFile("state.pth", "w") as z: z.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
"#;

#[test]
fn onnx_networks_give_the_embeddings_of_onnxruntime() {
    let Some(python) = lfs_testing::python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run =
        std::process::Command::new(python).args(["-c", NETWORKS]).current_dir(dir.path()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    dataset(&dir.path().join("data"), SIDE);
    let usual = json!({"batch": 3});
    for (name, parameters, tensor) in [
        ("free", usual.clone(), "embeddings"),
        ("fixed", usual.clone(), "embeddings"),
        ("inner", usual.clone(), "embeddings"),
        ("blue", json!({"mean": 0.0, "std": 255.0, "channels": "bgr"}), "embeddings"),
        ("mirrored", json!({"flip": true}), "flipped"),
    ] {
        let found = embed(dir.path(), &format!("{name}.onnx"), parameters).unwrap();
        let found = Vec::<f32>::try_from(found[tensor].flatten(0, -1)).unwrap();
        let text = std::fs::read_to_string(dir.path().join(format!("{name}.onnx.txt"))).unwrap();
        let wanted: Vec<f32> = text.split_whitespace().map(|x| x.parse().unwrap()).collect();
        assert_eq!(found.len(), wanted.len(), "{name}");
        for (f, w) in found.iter().zip(&wanted) {
            assert!((f - w).abs() < 1e-5 * w.abs().max(1.0), "{name}: {f}, not {w}");
        }
    }
    let info = std::fs::read_to_string(dir.path().join("out").join(INFO_FILE)).unwrap();
    let info: EmbeddingsInfo = serde_json::from_str(&info).unwrap();
    assert_eq!((info.n, info.d, info.method.as_str()), (5, 6, "mirrored"));
    let says = |model: &str| embed(dir.path(), model, json!({})).unwrap_err();
    assert!(says("two.onnx").message.contains("2 outputs: `e`, `f`"));
    let other = says("other.onnx");
    assert!(
        other.message.contains("24 x 24 pixels") && other.help.unwrap().contains("size = 24"),
        "{}",
        other.message
    );
    let state = says("state.pth");
    assert!(state.message.contains("no TorchScript") && state.help.unwrap().contains("torch.jit.trace"));
    std::fs::write(dir.path().join("text.onnx"), "not a network").unwrap();
    assert!(says("text.onnx").message.contains("no network in the ONNX format"));
}
