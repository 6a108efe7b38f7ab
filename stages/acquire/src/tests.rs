mod archives;
mod as_found;
mod landmarks;
mod layouts;
mod lists;
mod real;

use std::collections::BTreeMap;
use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_stage::{Binding, Job, Reply, Result, run_in_place};
use serde_json::Value;

use crate::Acquire;

/// Runs the stage; its outputs are `out/dataset` and `out/lists`.
fn acquire(source: &Path, landmarks: Option<&Path>, out: &Path, parameters: Value) -> Result<()> {
    acquire_saying(source, landmarks, out, parameters).map(|_| ())
}

/// The warnings.
fn warned(said: &[Reply]) -> Vec<String> {
    let text = |r: &Reply| if let Reply::Warning { text } = r { Some(text.clone()) } else { None };
    said.iter().filter_map(text).collect()
}

/// Runs the stage, and returns its messages.
fn acquire_saying(
    source: &Path,
    landmarks: Option<&Path>,
    out: &Path,
    parameters: Value,
) -> Result<Vec<Reply>> {
    let scratch = out.join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let mut inputs = BTreeMap::from([("source".to_owned(), Binding::One(source.to_owned()))]);
    if let Some(path) = landmarks {
        inputs.insert("landmarks".to_owned(), Binding::One(path.to_owned()));
    }
    let job = Job {
        node: "acquire".to_owned(),
        kind: "acquire".to_owned(),
        parameters,
        inputs,
        outputs: ["dataset", "lists", "report"].map(|n| (n.to_owned(), out.join(n))).into(),
        scratch,
        threads: 2,
        earlier: BTreeMap::new(),
    };
    let (done, said) = run_in_place(&Acquire, &job);
    done.map(|_| said)
}

fn put(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// `name|identity|group|known points` of each face.
fn rows(out: &Path) -> Vec<String> {
    let set = Dataset::open(&out.join("dataset")).unwrap();
    set.iter()
        .map(|f| {
            let points =
                f.points.map_or("-".to_owned(), |p| lfs_faces::dataset::known(&p).count().to_string());
            let identity = &set.info().identities[f.identity as usize];
            format!("{}|{identity}|{}|{points}", f.name, f.group.unwrap_or("-"))
        })
        .collect()
}

/// The files of `lists`, sorted.
fn lists(out: &Path) -> Vec<String> {
    crate::tree::Tree::new(&out.join("lists")).all_files().unwrap()
}
