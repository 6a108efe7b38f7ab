use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lfs_faces::dataset::{Face, Info, Writer};
use lfs_faces::image::{Pixels, encode_jpeg};
use lfs_stage::{Binding, Job, Labels, Member, Reply, Result, run_in_place};
use serde_json::{Value, json};

use crate::Sheet;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A data set of images of one grey each, two of each identity.
    fn set(&self, name: &str, images: &[&str], side: u32) -> PathBuf {
        let folder = self.0.path().join(name);
        let mut writer = Writer::create(&folder).unwrap();
        for (k, image) in images.iter().enumerate() {
            let grey =
                Pixels { width: side, height: side, rgb: vec![10 * k as u8; (3 * side * side) as usize] };
            let jpeg = encode_jpeg(&grey, 90).unwrap();
            let jpeg = if image.contains("broken") { b"no picture".to_vec() } else { jpeg };
            let (name, identity) = ((*image).to_owned(), k as u32 / 2);
            writer.push(&Face { image: jpeg, identity, name, points: None, group: None, flags: 0 }).unwrap();
        }
        let identities = (0..images.len().div_ceil(2)).map(|k| format!("{name} person {k}")).collect();
        writer.finish(Info { identities, ..Info::default() }).unwrap();
        folder
    }

    fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.parent().unwrap().to_owned()
    }

    fn draw(&self, parameters: Value, inputs: &[(&str, Binding)]) -> (Result<()>, Vec<Reply>, String) {
        let page = self.0.path().join("sheet.html");
        let job = Job {
            node: "sheet".to_owned(),
            kind: "sheet".to_owned(),
            parameters,
            inputs: inputs.iter().map(|(name, binding)| ((*name).to_owned(), binding.clone())).collect(),
            outputs: BTreeMap::from([("page".to_owned(), page.clone())]),
            scratch: self.0.path().join("scratch"),
            threads: 1,
            earlier: BTreeMap::new(),
        };
        std::fs::create_dir_all(&job.scratch).unwrap();
        let (done, replies) = run_in_place(&Sheet, &job);
        (done, replies, std::fs::read_to_string(page).unwrap_or_default())
    }
}

fn one(path: &Path) -> Binding {
    Binding::One(path.to_owned())
}

#[test]
fn crops_are_shown_beside_their_images_and_evenly_spread() {
    let place = Place::new();
    let images = place.set("images", &["a", "b", "c", "d", "e", "f"], 40);
    let crops = place.set("crops", &["b", "c", "d", "e"], 16);
    let inputs = [("dataset", one(&crops)), ("source", one(&images))];
    let (done, _, page) = place.draw(json!({ "images": 2 }), &inputs);
    done.unwrap();
    assert!(page.contains("Crops – 2 of 4"), "{page}");
    assert_eq!(page.matches("<img").count(), 4);
    assert!(page.contains("<div>b</div><div>crops person 0</div>") && page.contains("<div>d</div>"));
    assert!(!page.contains("http") && !page.contains("<script"), "the page needs nothing else");
}

#[test]
fn dropped_images_are_shown_by_reason_and_duplicates_beside_the_one_that_was_kept() {
    let place = Place::new();
    let images = place.set("images", &["a", "b & <c>", "broken", "d (1)", "e", "f"], 20);
    let report = place.file(
        "report/dropped.csv",
        "name,identity,reason,detail\nb & <c>,x,near-duplicate,of a (6 of 256 bits differ)\n\
         broken,x,undecodable,no JPEG\ne,x,near-duplicate,of d (1)\n",
    );
    let (done, _, page) = place.draw(json!({}), &[("dataset", one(&images)), ("report", one(&report))]);
    done.unwrap();
    let [near, broken] = ["near-duplicate – 2", "undecodable – 1"].map(|t| page.find(t).unwrap());
    assert!(near < broken, "the most frequent reason comes first");
    assert_eq!(page.matches("<img").count(), 4, "two pairs");
    assert!(
        page.contains("alt=\"d (1)\"")
            && page.contains("b &amp; &lt;c&gt;")
            && page.contains("cannot be decoded")
    );
}

#[test]
fn persons_in_both_sets_are_shown_side_by_side() {
    let place = Place::new();
    let train = place.set("train", &["a", "b", "c", "d"], 20);
    let test = place.set("test", &["x", "y"], 20);
    let matches = place.file(
        "matches/matches.csv",
        "training-identity,test-set,test-identity,rule,images-dropped,how,evidence,status\n\
         train person 1,lfw-2,test person 0,name,2,same name,name: same name,shared\n\
         train person 0,lfw-2,test person 0,name,0,near miss,name: near miss,review\n",
    );
    // An overlap stage writes `lfw-2` for this name.
    let labels: Labels = [("set".to_owned(), "lfw 2".to_owned())].into();
    let tests = Binding::Several(vec![Member { from: "tests".to_owned(), labels, path: test }]);
    let inputs = [("dataset", one(&train)), ("matches", one(&matches)), ("tests", tests)];
    let (done, _, page) = place.draw(json!({}), &inputs);
    done.unwrap();
    assert!(page.contains("Persons in the training set and in a test set – 1"), "{page}");
    assert_eq!(page.matches("<img").count(), 4);
    assert!(
        page.contains("alt=\"c\"") && !page.contains("alt=\"a\"") && page.contains("test person 0 in lfw-2")
    );
    let (done, ..) = place.draw(json!({}), &inputs[..2]);
    assert!(done.unwrap_err().to_string().contains("`tests` is missing"));
}

#[test]
fn a_report_of_another_data_set_is_refused_and_an_empty_one_says_so() {
    let place = Place::new();
    let images = place.set("images", &["a", "b"], 20);
    let report = place.file("report/dropped.csv", "name,reason\nz,too small\n");
    let (done, ..) = place.draw(json!({}), &[("dataset", one(&images)), ("report", one(&report))]);
    assert!(done.unwrap_err().to_string().contains("names `z`, which is not in `dataset`"));
    place.file("report/dropped.csv", "name,reason\n");
    let (done, _, page) = place.draw(json!({}), &[("dataset", one(&images)), ("report", one(&report))]);
    done.unwrap();
    assert!(page.contains("There is nothing to show"));
}

#[test]
fn a_pair_that_was_dropped_itself_is_not_shown_as_kept_and_a_label_has_no_pair() {
    let place = Place::new();
    let images = place.set("images", &["a", "b", "x", "d"], 20);
    let report = place.file(
        "report/dropped.csv",
        "name,identity,reason,detail\na,p,too-few-images,the identity keeps 1\nb,p,exact-duplicate,of a\n\
         d,p,label-flip,\"of x (2), with probability 0.98\"\n",
    );
    let (done, _, page) = place.draw(json!({}), &[("dataset", one(&images)), ("report", one(&report))]);
    done.unwrap();
    assert!(
        page.contains("dropped, too") && !page.contains(">kept<") && !page.contains("alt=\"x\""),
        "{page}"
    );
}

#[test]
fn a_page_has_ten_megabytes_at_most() {
    let place = Place::new();
    let names: Vec<String> = (0..1500).map(|k| format!("{}{k}", "long/".repeat(400))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let images = place.set("images", &names, 16);
    let (done, _, page) = place.draw(json!({ "images": 2000 }), &[("dataset", one(&images))]);
    done.unwrap();
    assert!(page.len() < 10_000_000 && page.contains("of 1500"), "{}", page.len());
}
