//! The kind as a whole: files of another program in, embeddings of a stage out.

#![allow(clippy::unwrap_used)] // a test can only stop with a message

use std::collections::BTreeMap;
use std::path::Path;

use lfs_embeddings::{Embeddings, Imported};
use lfs_faces::dataset::{Face, Info, Writer};
use lfs_formats::vectors::Vectors;
use lfs_stage::{Binding, Failure, Job, Reply, run_in_place};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

const ROWS: [[f64; 2]; 3] = [[3.0, 4.0], [0.0, 1.0], [1.0, 0.0]];

/// A file of float64 embeddings, also of mirror images, in a new folder.
fn source(rows: &[[f64; 2]]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let bytes = |of: &dyn Fn(f64) -> f64| -> Vec<u8> {
        rows.as_flattened().iter().flat_map(|x| of(*x).to_le_bytes()).collect()
    };
    let (plain, flipped) = (bytes(&|x| x), bytes(&|x| -x));
    let view = |bytes| TensorView::new(Dtype::F64, vec![rows.len(), 2], bytes).unwrap();
    let file =
        safetensors::serialize([("embeddings", view(&plain)), ("flipped", view(&flipped))], None).unwrap();
    std::fs::write(dir.path().join("source"), file).unwrap();
    dir
}

fn dataset(at: &Path, names: &[&str]) {
    let mut writer = Writer::create(&at.join("dataset")).unwrap();
    for name in names {
        let name = (*name).to_owned();
        writer
            .push(&Face { image: vec![1], identity: 0, name, points: None, group: None, flags: 0 })
            .unwrap();
    }
    writer.finish(Info { identities: vec!["Ann".to_owned()], ..Info::default() }).unwrap();
}

fn run(dir: &Path, parameters: Value) -> (Result<Vectors, Failure>, Vec<Reply>) {
    let there = ["source", "names", "dataset"].map(|n| (n.to_owned(), dir.join(n))).into_iter();
    let inputs = there.filter(|(_, p)| p.exists()).map(|(n, p)| (n, Binding::One(p)));
    let out = dir.join("embeddings");
    let job = Job {
        node: "embeddings".into(),
        kind: "embeddings".into(),
        parameters,
        inputs: inputs.collect(),
        outputs: BTreeMap::from([("embeddings".to_owned(), out.clone())]),
        scratch: dir.join("scratch"),
        threads: 1,
        earlier: BTreeMap::new(),
    };
    let (result, said) = run_in_place(&Embeddings, &job);
    (result.map(|()| Vectors::open(&out).unwrap()), said)
}

fn all(v: &Vectors) -> Vec<[f64; 2]> {
    (0..v.len())
        .map(|i| {
            let mut row = [0.0; 2];
            v.raw(i, &mut row);
            row
        })
        .collect()
}

#[test]
fn rows_keep_their_numbers_and_their_names() {
    let dir = source(&ROWS);
    std::fs::write(dir.path().join("names"), "b/2.jpg\na/1.jpg Ann\nc/3.jpg\n").unwrap();
    let v = run(dir.path(), json!({"method": "theirs", "flip": true})).0.unwrap();
    assert_eq!(all(&v), ROWS);
    let names = v.names().unwrap();
    assert_eq!((names[0].image.as_str(), names[1].person.as_deref()), ("b/2.jpg", Some("Ann")));
    let flipped = Vectors::open_flipped(&dir.path().join("embeddings")).unwrap().unwrap();
    assert_eq!(all(&flipped)[0], [-3.0, -4.0]);
    let info = std::fs::read_to_string(dir.path().join("embeddings/embeddings.json")).unwrap();
    let info: Imported = serde_json::from_str(&info).unwrap();
    assert_eq!(info, Imported { n: 3, d: 2, flip: true, method: "theirs".to_owned() });
}

#[test]
fn rows_are_put_into_the_order_of_a_data_set_by_name() {
    let dir = source(&ROWS);
    std::fs::write(dir.path().join("names"), "x/b/2.jpg\nx/a/1.jpg\nx/c/3.jpg\n").unwrap();
    dataset(dir.path(), &["c/3.jpg", "b/2.jpg"]);
    let v = run(dir.path(), json!({})).0.unwrap();
    assert_eq!((all(&v), v.names()), (vec![ROWS[2], ROWS[0]], None));
}

#[test]
fn images_without_an_embedding_are_named_the_first_ten() {
    let dir = source(&ROWS);
    std::fs::write(dir.path().join("names"), "a/2.jpg\na/1.jpg\na/0.jpg\n").unwrap();
    let names: Vec<String> = (0..15).map(|i| format!("a/{i}.jpg")).collect();
    dataset(dir.path(), &names.iter().map(String::as_str).collect::<Vec<_>>());
    let says = run(dir.path(), json!({})).0.err().unwrap().message;
    assert!(
        says.starts_with("12 of 15 images of the data set have no embedding: `a/3.jpg`, `a/4.jpg`"),
        "{says}"
    );
    assert!(says.contains("`a/12.jpg` ..") && !says.contains("`a/13.jpg`"), "{says}");
}

#[test]
fn without_names_the_order_is_that_of_the_data_set_and_a_warning_says_so() {
    let dir = source(&ROWS);
    dataset(dir.path(), &["a/0.jpg", "a/1.jpg", "a/2.jpg"]);
    let (found, said) = run(dir.path(), json!({}));
    assert_eq!(all(&found.unwrap()), ROWS);
    assert!(
        said.iter().any(|r| matches!(r, Reply::Warning { text } if text.contains("order of the data set")))
    );
    let dir = source(&ROWS);
    dataset(dir.path(), &["a/0.jpg"]);
    assert!(
        run(dir.path(), json!({}))
            .0
            .err()
            .unwrap()
            .message
            .contains("3 embeddings for a data set of 1 images")
    );
}

#[test]
fn numbers_that_do_not_fit_into_float32_are_refused() {
    let dir = source(&[[1.0, 0.0], [1e300, 1.0], [1e-300, 0.0]]);
    let says = run(dir.path(), json!({})).0.err().unwrap().message;
    assert!(says.contains("2 of 3 rows have no direction: row 1 is not finite, row 2 is zero"), "{says}");
}
