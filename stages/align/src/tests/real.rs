//! Real photographs, if `LFS_DATA` names a folder that has them.

use std::collections::HashMap;
use std::path::Path;

use lfs_faces::dataset::{Dataset, Face, Info, Points, Writer};
use lfs_formats::landmarks::cfp::{self, View};
use lfs_formats::landmarks::list;
use serde_json::json;

use super::stage::align;
use crate::preflight::look;

fn write(folder: &Path, faces: impl IntoIterator<Item = (String, Vec<u8>, Points)>) {
    let mut writer = Writer::create(folder).unwrap();
    for (name, image, points) in faces {
        let points = Some(points);
        writer.push(&Face { image, identity: 0, name, points, group: None, flags: 0 }).unwrap();
    }
    writer.finish(Info { identities: vec!["all".to_owned()], ..Info::default() }).unwrap();
}

/// Every seventh photograph of LFW with modified landmarks of a list.
fn lfw(folder: &Path, landmarks: &Path, change: impl FnMut(&mut Points)) -> Option<()> {
    some_of_lfw(folder, landmarks, 7, change)
}

fn some_of_lfw(
    folder: &Path,
    landmarks: &Path,
    step: usize,
    mut change: impl FnMut(&mut Points),
) -> Option<()> {
    let images = lfs_testing::data("lfw-subset/images")?;
    let text = std::fs::read_to_string(landmarks).unwrap();
    let points: HashMap<String, Points> = list::read(&text).unwrap().into_iter().collect();
    let own = std::fs::read_to_string(lfs_testing::data("lfw-subset/landmarks.tsv")?).unwrap();
    let names = list::read(&own).unwrap().into_iter().map(|(n, _)| n).step_by(step);
    write(
        folder,
        names.map(|name| {
            let mut p = points[&name];
            change(&mut p);
            (name.clone(), std::fs::read(images.join(&name)).unwrap(), p)
        }),
    );
    Some(())
}

#[test]
fn landmarks_of_these_photographs_are_accepted() {
    let Some(list) = lfs_testing::data("lfw-subset/landmarks.tsv") else { return };
    let dir = tempfile::tempdir().unwrap();
    lfw(&dir.path().join("in"), &list, |_| ());
    println!("{:?}", look(&Dataset::open(&dir.path().join("in")).unwrap()));
    align(&dir.path().join("in"), dir.path(), json!({}), 2).0.unwrap();
}

#[test]
fn landmarks_of_another_variant_of_the_set_are_refused() {
    let Some(list) = lfs_testing::data("lists/lfw_landmarks_original_not_deepfunneled.txt") else { return };
    let dir = tempfile::tempdir().unwrap();
    if lfw(&dir.path().join("in"), &list, |_| ()).is_none() {
        return;
    }
    println!("{:?}", look(&Dataset::open(&dir.path().join("in")).unwrap()));
    let text = align(&dir.path().join("in"), dir.path(), json!({}), 2).0.unwrap_err().to_string();
    assert!(text.contains("another variant"), "{text}");
}

#[test]
fn landmarks_of_which_a_part_is_of_another_variant_are_refused_and_their_own_are_not() {
    let (Some(own), Some(before)) = (
        lfs_testing::data("lfw-subset/landmarks.tsv"),
        lfs_testing::data("lists/lfw_landmarks_original_not_deepfunneled.txt"),
    ) else {
        return;
    };
    let text = std::fs::read_to_string(&before).unwrap();
    let before: HashMap<String, Points> = list::read(&text).unwrap().into_iter().collect();
    let names = list::read(&std::fs::read_to_string(&own).unwrap()).unwrap();
    // None, one in ten, and three in ten lines are wrong; also noise of a pixel and a half, which is no other variant.
    for (name, wrong, noise) in
        [("own", 0, 0.0), ("noisy", 0, 1.5), ("a tenth", 1, 0.0), ("three tenths", 3, 0.0)]
    {
        let dir = tempfile::tempdir().unwrap();
        let (mut k, mut state) = (0_usize, 5_u32);
        let made = some_of_lfw(&dir.path().join("in"), &own, 1, |p| {
            if k % 10 < wrong {
                *p = before[&names[k].0];
            }
            for v in p.as_flattened_mut() {
                // Uniform, with the standard deviation `noise`.
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *v += noise * 3.464 * ((state >> 8) as f32 / (1 << 24) as f32 - 0.5);
            }
            k += 1;
        });
        if made.is_none() {
            return;
        }
        println!("{name}: {:?}", look(&Dataset::open(&dir.path().join("in")).unwrap()).turned_heads);
        let done = align(&dir.path().join("in"), dir.path(), json!({}), 2).0;
        match wrong > 0 {
            true => {
                let text = done.unwrap_err().to_string();
                assert!(text.contains("a part of the images are of another variant"), "{name}: {text}");
            }
            false => done.unwrap(),
        }
    }
}

#[test]
fn landmarks_that_are_all_off_by_the_same_amount_are_refused() {
    let Some(list) = lfs_testing::data("lfw-subset/landmarks.tsv") else { return };
    let dir = tempfile::tempdir().unwrap();
    for (name, change) in [("right", [1.0, 15.0]), ("larger", [1.12, 0.0])] {
        let folder = dir.path().join(name);
        lfw(&folder.join("in"), &list, |p| *p = p.map(|q| [q[0] * change[0] + change[1], q[1] * change[0]]));
        println!("{name} {:?}", look(&Dataset::open(&folder.join("in")).unwrap()));
        let text = align(&folder.join("in"), &folder, json!({}), 2).0.unwrap_err().to_string();
        assert!(text.contains("off by the same amount"), "{name}: {text}");
    }
}

#[test]
fn landmarks_of_non_faces_are_refused_and_distinguished_from_those_of_faces() {
    let Some(list) = lfs_testing::data("lfw-subset/landmarks.tsv") else { return };
    let dir = tempfile::tempdir().unwrap();
    type Change = fn([f32; 2]) -> [f32; 2];
    let wrong: [(&str, Change, &str); 9] = [
        ("half", |q| q.map(|v| v * 0.5), ""),
        ("three-quarters", |q| q.map(|v| v * 0.75), ""),
        ("down", |q| [q[0], q[1] + 20.0], ""),
        ("aside", |q| [q[0] + 12.0, q[1]], ""),
        ("smaller", |q| q.map(|v| (v - 125.0) * 0.7 + 125.0), ""),
        ("larger", |q| q.map(|v| (v - 125.0) * 1.4 + 125.0), ""),
        ("sideways", |q| [249.0 - q[1], q[0]], "EXIF"),
        ("other-side", |q| [q[1], 249.0 - q[0]], "EXIF"),
        ("upside-down", |q| q.map(|v| 249.0 - v), "EXIF"),
    ];
    for (name, change, says) in wrong {
        let folder = dir.path().join(name);
        lfw(&folder.join("in"), &list, |p| *p = p.map(change));
        let look = crate::preflight::Look {
            residuals: Vec::new(),
            ..look(&Dataset::open(&folder.join("in")).unwrap())
        };
        println!("{name} {look:?}");
        let done = align(&folder.join("in"), &folder, json!({}), 2).0;
        let text = done.unwrap_err().to_string();
        println!("  {text}");
        assert!(text.contains(says), "{name}: {text}");
    }
}

/// Neither a median nor a mean reveals it.
#[test]
fn landmarks_of_which_a_part_was_made_for_another_size_are_refused_with_the_factor() {
    let Some(list) = lfs_testing::data("lfw-subset/landmarks.tsv") else { return };
    let dir = tempfile::tempdir().unwrap();
    for (name, factor, back) in
        [("half", 0.5, "2.01"), ("three-quarters", 0.75, "1.34"), ("larger", 1.25, "0.79")]
    {
        for part in [3, 7] {
            let folder = dir.path().join(format!("{name}-{part}"));
            let mut n = 0_u32;
            lfw(&folder.join("in"), &list, |p| {
                n += 1;
                if n.is_multiple_of(part) {
                    *p = p.map(|q| q.map(|v| v * factor));
                }
            });
            let text = align(&folder.join("in"), &folder, json!({}), 2).0.unwrap_err().to_string();
            println!("{name}, one in {part}: {text}");
            assert!(text.contains("a part of the images were made for another size"), "{name}: {text}");
            assert!(text.contains(&format!("multiplied by about {back}")), "{name}: {text}");
        }
    }
}

#[test]
fn cfp_fiducials_fit_frontal_and_profile_photographs() {
    let Some(root) = lfs_testing::data("cfp/Data") else { return };
    let dir = tempfile::tempdir().unwrap();
    for (view, of, folder) in [(View::Frontal, 10, "frontal"), (View::Profile, 4, "profile")] {
        let faces = (1..=500)
            .step_by(9)
            .flat_map(|id| (1..=of).step_by(2).map(move |n| format!("{id:03}/{folder}/{n:02}")));
        let faces = faces.map(|name| {
            let text = std::fs::read_to_string(root.join(format!("Fiducials/{name}.txt"))).unwrap();
            let image = std::fs::read(root.join(format!("Images/{name}.jpg"))).unwrap();
            (name, image, cfp::read(&text, view).unwrap())
        });
        write(&dir.path().join(folder), faces);
        println!("{folder} {:?}", look(&Dataset::open(&dir.path().join(folder)).unwrap()));
        align(&dir.path().join(folder), &dir.path().join(format!("{folder}-out")), json!({}), 2).0.unwrap();
        println!(
            "{}",
            std::fs::read_to_string(dir.path().join(format!("{folder}-out/report/residuals.json"))).unwrap()
        );
    }
}
