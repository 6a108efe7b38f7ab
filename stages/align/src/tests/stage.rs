use std::collections::BTreeMap;
use std::path::Path;

use lfs_faces::dataset::{Dataset, Face, Info, Points, Writer};
use lfs_faces::image::{Pixels, decode, encode_jpeg};
use lfs_stage::{Binding, Job, Reply, Result, run_in_place};
use serde_json::{Value, json};

use crate::{Align, template};

/// Runs the stage on a data set; its outputs are `out/dataset` and `out/report`.
pub(super) fn align(
    dataset: &Path,
    out: &Path,
    parameters: Value,
    threads: usize,
) -> (Result<()>, Vec<Reply>) {
    align_after(None, dataset, out, parameters, threads)
}

/// The same, with an earlier result in a folder.
fn align_after(
    earlier: Option<&Path>,
    dataset: &Path,
    out: &Path,
    parameters: Value,
    threads: usize,
) -> (Result<()>, Vec<Reply>) {
    let scratch = out.join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let outputs = ["dataset", "report"].map(|n| (n.to_owned(), out.join(n)));
    let job = Job {
        node: "align".to_owned(),
        kind: "align".to_owned(),
        parameters,
        inputs: BTreeMap::from([("dataset".to_owned(), Binding::One(dataset.to_owned()))]),
        outputs: outputs.into(),
        scratch,
        threads,
        earlier: earlier
            .iter()
            .flat_map(|folder| ["dataset", "report"].map(|n| (n.to_owned(), folder.join(n))))
            .collect(),
    };
    run_in_place(&Align, &job)
}

/// A picture whose pixels encode their position.
fn picture() -> Pixels {
    let rgb = (0..150_u32).flat_map(|y| (0..160_u32).flat_map(move |x| [x as u8, y as u8, 40])).collect();
    Pixels { width: 160, height: 150, rgb }
}

fn face(k: usize, points: Option<Points>) -> Face {
    let image = encode_jpeg(&picture(), 95).unwrap();
    Face { image, identity: 0, name: format!("a/{k:04}.jpg"), points, group: None, flags: 0 }
}

fn shifted(d: f32) -> Points {
    template::POINTS.map(|p| [p[0] as f32 + d, p[1] as f32 + d])
}

fn write(folder: &Path, faces: &[Face]) {
    let mut writer = Writer::create(folder).unwrap();
    for face in faces {
        writer.push(face).unwrap();
    }
    writer.finish(Info { identities: vec!["a".to_owned()], ..Info::default() }).unwrap();
}

#[test]
fn crops_show_the_place_that_the_landmarks_mark_at_any_size() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("in"), &[face(0, Some(shifted(20.0)))]);
    for size in [24, 64, 112, 144, 224] {
        let out = dir.path().join(size.to_string());
        align(&dir.path().join("in"), &out, json!({"size": size, "encoding": "png"}), 1).0.unwrap();
        let set = Dataset::open(&out.join("dataset")).unwrap();
        let crop = decode(set.face(0).image).unwrap();
        assert_eq!((crop.width, crop.height), (size, size));
        let middle = (size / 2 * size + size / 2) as usize * 3;
        let expected = f64::from(size / 2) * 112.0 / f64::from(size) + 20.0;
        assert!(
            (f64::from(crop.rgb[middle]) - expected).abs() < 6.0,
            "{size}: {} {expected}",
            crop.rgb[middle]
        );
        let info = set.info().crop.clone().unwrap();
        assert_eq!((info.size, info.template.as_str(), info.encoding.as_str()), (size, "arcface-112", "png"));
        let nose = set.face(0).points.unwrap()[2];
        assert!((f64::from(nose[0]) - 56.0252 * f64::from(size) / 112.0).abs() < 0.01);
    }
}

#[test]
fn crops_have_the_points_of_the_template_and_the_data_set_names_it() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("in"), &[face(0, Some(shifted(20.0)))]);
    for (name, width, height, nose) in [
        ("arcface-112", 112, 112, [56.0252, 71.7366]),
        ("arcface-96x112", 96, 112, [48.0252, 71.7366]),
        ("arcface-144", 144, 144, [56.0252 * 9.0 / 7.0, 71.7366 * 9.0 / 7.0]),
    ] {
        let out = dir.path().join(name);
        align(&dir.path().join("in"), &out, json!({"template": name, "encoding": "png"}), 1).0.unwrap();
        let set = Dataset::open(&out.join("dataset")).unwrap();
        let info = set.info().crop.clone().unwrap();
        assert_eq!((info.template.as_str(), info.width(), info.size), (name, width, height));
        let crop = decode(set.face(0).image).unwrap();
        assert_eq!((crop.width, crop.height), (width, height));
        let found = set.face(0).points.unwrap()[2].map(f64::from);
        assert!((found[0] - nose[0]).abs() < 0.01 && (found[1] - nose[1]).abs() < 0.01, "{name}: {found:?}");
        // Pixels encode their position: the crop's nose shows the marked position.
        let at = (nose[1].round() as u32 * width + nose[0].round() as u32) as usize * 3;
        assert!(
            (f64::from(crop.rgb[at]) - 76.0).abs() < 3.0 && (f64::from(crop.rgb[at + 1]) - 92.0).abs() < 3.0
        );
    }
}

#[test]
fn images_without_landmarks_fail_drop_or_are_cropped_around_the_centre() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in");
    write(&input, &[face(0, Some(shifted(5.0))), face(1, None)]);
    let failed = align(&input, &dir.path().join("a"), json!({}), 2).0.unwrap_err().to_string();
    assert!(failed.contains("a/0001.jpg") && failed.contains("without-landmarks"), "{failed}");
    align(&input, &dir.path().join("b"), json!({"without-landmarks": "drop"}), 2).0.unwrap();
    assert_eq!(Dataset::open(&dir.path().join("b/dataset")).unwrap().len(), 1);
    let rows = std::fs::read_to_string(dir.path().join("b/report/dropped.csv")).unwrap();
    assert_eq!(rows, "name,reason\na/0001.jpg,it has no landmarks\n");
    align(&input, &dir.path().join("c"), json!({"without-landmarks": "centre-crop"}), 2).0.unwrap();
    let set = Dataset::open(&dir.path().join("c/dataset")).unwrap();
    assert_eq!((set.len(), set.face(1).points), (2, None));
}

#[test]
fn an_unreadable_image_fails_or_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in");
    let broken = Face { image: b"no image".to_vec(), ..face(1, Some(shifted(0.0))) };
    write(&input, &[face(0, Some(shifted(5.0))), broken]);
    let failed = align(&input, &dir.path().join("a"), json!({}), 1).0.unwrap_err().to_string();
    assert!(failed.contains("a/0001.jpg") && failed.contains("`clean`"), "{failed}");
    align(&input, &dir.path().join("b"), json!({"unreadable": "drop"}), 1).0.unwrap();
    assert_eq!(Dataset::open(&dir.path().join("b/dataset")).unwrap().len(), 1);
}

#[test]
fn points_in_another_order_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let p = shifted(10.0);
    let swapped = [p[1], p[0], p[2], p[4], p[3]];
    write(&dir.path().join("in"), &[face(0, Some(swapped))]);
    let text = align(&dir.path().join("in"), &dir.path().join("a"), json!({}), 1).0.unwrap_err().to_string();
    assert!(text.contains("another order"), "{text}");
    let (done, said) = align(&dir.path().join("in"), &dir.path().join("b"), json!({"check": "warn"}), 1);
    done.unwrap();
    assert!(said.iter().any(|r| matches!(r, Reply::Warning { text } if text.contains("another order"))));
}

/// The warnings and the report.
fn told(out: &Path, said: &[Reply]) -> (Vec<String>, Value) {
    let text = |r: &Reply| if let Reply::Warning { text } = r { Some(text.clone()) } else { None };
    let report = std::fs::read(out.join("report/residuals.json")).unwrap();
    (said.iter().filter_map(text).collect(), serde_json::from_slice(&report).unwrap())
}

#[test]
fn points_within_a_few_pixels_are_refused_for_any_shape() {
    let dir = tempfile::tempdir().unwrap();
    for (name, scale, shift) in [("fractions", 1.0 / 112.0, 0.0), ("small", 0.05, 60.0), ("far", 1.0, 400.0)]
    {
        let input = dir.path().join(name);
        let points = template::POINTS.map(|p| p.map(|v| v as f32 * scale + shift));
        let faces: Vec<Face> = (0..4).map(|k| face(k, Some(points))).collect();
        write(&input, &faces);
        let text = align(&input, &dir.path().join("a"), json!({}), 1).0.unwrap_err().to_string();
        let wanted = if name == "far" { "outside of the picture" } else { "fractions" };
        assert!(text.contains(wanted), "{name}: {text}");
        let out = dir.path().join(format!("{name}-out"));
        let (done, said) = align(&input, &out, json!({"check": "off"}), 1);
        done.unwrap();
        let (warnings, report) = told(&out, &said);
        assert!(warnings.iter().any(|w| w.contains("4 of 4 images lie within a few pixels")), "{warnings:?}");
        assert_eq!(report["misplaced"], 4);
    }
}

#[test]
fn a_share_of_bad_landmarks_is_seen_behind_a_good_median_and_counted_whatever_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in");
    let p = shifted(10.0);
    let swapped = [p[1], p[0], p[2], p[4], p[3]];
    let faces =
        |bad: usize| (0..30).map(|k| face(k, Some(if k < bad { swapped } else { p }))).collect::<Vec<_>>();
    write(&input, &faces(4));
    let text = align(&input, &dir.path().join("a"), json!({}), 1).0.unwrap_err().to_string();
    assert!(text.contains("landmarks of 4 of 30 images"), "{text}");
    for (bad, check) in [(4, "warn"), (4, "off"), (3, "refuse")] {
        write(&input, &faces(bad));
        let out = dir.path().join(format!("{bad}-{check}"));
        let (done, said) = align(&input, &out, json!({"check": check}), 1);
        done.unwrap();
        let (warnings, report) = told(&out, &said);
        let wanted = format!("{bad} of 30 images fit the template worse than `max-residual`, 12 pixels");
        assert!(warnings.iter().any(|w| w.contains(&wanted)), "{check}: {warnings:?}");
        assert_eq!(report["above_max_residual"], bad);
    }
}

#[test]
fn landmarks_made_without_turning_the_pictures_are_refused_and_a_few_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in");
    let upright = shifted(10.0);
    let turns: [fn([f32; 2]) -> [f32; 2]; 3] =
        [|q| [130.0 - q[1], q[0]], |q| [q[1], 130.0 - q[0]], |q| [130.0 - q[0], 130.0 - q[1]]];
    for turn in turns {
        let faces = |turned: usize| {
            (0..30)
                .map(|k| face(k, Some(if k < turned { upright.map(turn) } else { upright })))
                .collect::<Vec<_>>()
        };
        write(&input, &faces(4));
        let text = align(&input, &dir.path().join("a"), json!({}), 1).0.unwrap_err().to_string();
        assert!(text.contains("4 of 30 images are turned") && text.contains("EXIF"), "{text}");
        write(&input, &faces(3));
        let (done, said) = align(&input, &dir.path().join("b"), json!({}), 1);
        done.unwrap();
        let (warnings, report) = told(&dir.path().join("b"), &said);
        assert!(warnings.iter().any(|w| w.contains("3 of 30 images are turned")), "{warnings:?}");
        assert_eq!(report["preflight"]["turned"], 3);
        std::fs::remove_dir_all(dir.path().join("b")).unwrap();
    }
}

#[test]
fn heads_seen_from_the_side_are_counted_and_do_not_refuse_a_set() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in");
    let side: Points = [[58.0, 61.0], [60.0, 61.0], [80.0, 81.0], [63.0, 102.0], [64.0, 102.0]];
    for profiles in [8, 20] {
        let faces: Vec<Face> =
            (0..20).map(|k| face(k, Some(if k < profiles { side } else { shifted(10.0) }))).collect();
        write(&input, &faces);
        let out = dir.path().join(profiles.to_string());
        let (done, said) = align(&input, &out, json!({}), 1);
        done.unwrap();
        let (warnings, report) = told(&out, &said);
        assert!(
            warnings[0].contains(&format!("({profiles} of them have the shape of heads seen from the side)"))
        );
        assert_eq!(report["profiles"], profiles);
    }
}

#[test]
fn a_photograph_stored_on_its_side_is_cropped_upright() {
    let dir = tempfile::tempdir().unwrap();
    let seen = face(0, Some(shifted(20.0)));
    // The same picture stored on its side, with the EXIF tag for this orientation.
    let upright = picture();
    let mut rgb = Vec::new();
    for y in 0..160_u32 {
        for x in 0..150_u32 {
            let at = ((x * 160) + 159 - y) as usize * 3;
            rgb.extend_from_slice(&upright.rgb[at..at + 3]);
        }
    }
    let jpeg = encode_jpeg(&Pixels { width: 150, height: 160, rgb }, 95).unwrap();
    let exif = b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let image = [&jpeg[..2], exif, &jpeg[2..]].concat();
    write(&dir.path().join("seen"), std::slice::from_ref(&seen));
    write(&dir.path().join("stored"), &[Face { image, ..seen }]);
    let crop = |name: &str, parameters: Value| {
        let out = dir.path().join(format!("{name}-out"));
        align(&dir.path().join(name), &out, parameters, 1).0.unwrap();
        decode(Dataset::open(&out.join("dataset")).unwrap().face(0).image).unwrap()
    };
    let (a, b) = (crop("seen", json!({"encoding": "png"})), crop("stored", json!({"encoding": "png"})));
    let worst = a.rgb.iter().zip(&b.rgb).map(|(x, y)| x.abs_diff(*y)).max();
    assert!(worst < Some(20), "{worst:?}");
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let faces: Vec<Face> = (0..600).map(|k| face(k, Some(shifted((k % 30) as f32)))).collect();
    write(&dir.path().join("in"), &faces);
    for threads in [1, 3] {
        align(
            &dir.path().join("in"),
            &dir.path().join(threads.to_string()),
            json!({"size": 48, "check": "warn"}),
            threads,
        )
        .0
        .unwrap();
    }
    for file in ["dataset/faces.arrow", "dataset/dataset.json", "report/residuals.json", "report/dropped.csv"]
    {
        let read = |t: &str| std::fs::read(dir.path().join(t).join(file)).unwrap();
        assert_eq!(read("1"), read("3"), "{file}");
    }
}

/// A head with eyes and a mouth on a mottled background; its position depends on `k`.
fn drawn(k: usize) -> (Pixels, Points) {
    let (x0, y0) = (30.0 + (k * 37 % 60) as f32, 30.0 + (k * 53 % 50) as f32);
    let points = template::POINTS.map(|p| [p[0] as f32 + x0, p[1] as f32 + y0]);
    let near = |p: [f32; 2], x: f32, y: f32, w: f32, h: f32| {
        ((x - p[0]) / w).powi(2) + ((y - p[1]) / h).powi(2) < 1.0
    };
    let (mut seed, mut rgb) = (k as u32 + 1, Vec::new());
    for y in 0..250_u32 {
        for x in 0..250_u32 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (seed >> 28) as u8 + 8 * ((x / 25 * 7 + y / 25 * 3 + k as u32) % 5) as u8;
            let (fx, fy) = (x as f32, y as f32);
            let [left, right, nose, ..] = points;
            let dark = near(left, fx, fy, 7.0, 4.0) || near(right, fx, fy, 7.0, 4.0);
            let brow = near([left[0], left[1] - 10.0], fx, fy, 12.0, 2.5)
                || near([right[0], right[1] - 10.0], fx, fy, 12.0, 2.5);
            let mouth = near([nose[0], nose[1] + 21.0], fx, fy, 15.0, 4.0);
            let value = if dark {
                20
            } else if brow || mouth {
                70
            } else if near(nose, fx, fy, 40.0, 52.0) {
                190
            } else {
                90
            };
            rgb.extend([value + noise; 3]);
        }
    }
    (Pixels { width: 250, height: 250, rgb }, points)
}

#[test]
fn landmarks_of_which_a_few_were_made_for_another_size_are_refused_with_the_factor() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in");
    let faces = |every: usize, factor: f32| {
        let one = |k: usize| {
            let (pixels, points) = drawn(k);
            let factor = if k.is_multiple_of(every) { factor } else { 1.0 };
            let image = encode_jpeg(&pixels, 95).unwrap();
            Face { image, ..face(k, Some(points.map(|p| p.map(|v| v * factor)))) }
        };
        (0..60).map(one).collect::<Vec<_>>()
    };
    write(&input, &faces(1, 1.0));
    align(&input, &dir.path().join("right"), json!({}), 2).0.unwrap();
    for (every, factor, back) in [(3, 0.5, "2.01"), (6, 0.5, "2.01"), (3, 0.8, "1.26"), (6, 1.25, "0.79")] {
        write(&input, &faces(every, factor));
        let text = align(&input, &dir.path().join("wrong"), json!({}), 2).0.unwrap_err().to_string();
        assert!(text.contains("made for another size"), "{every} {factor}: {text}");
        assert!(text.contains(&format!("multiplied by about {back}")), "{every} {factor}: {text}");
        assert!(text.contains("`a/0000.jpg`"), "{text}");
        let (done, said) = align(&input, &dir.path().join("warned"), json!({"check": "warn"}), 2);
        done.unwrap();
        let (warnings, report) = told(&dir.path().join("warned"), &said);
        assert!(warnings.iter().any(|w| w.contains("made for another size")), "{warnings:?}");
        assert!(
            report["preflight"]["other_scale"]["images"].as_array().is_some_and(|i| i.len() > 60 / every / 2)
        );
        for folder in ["warned", "wrong"] {
            std::fs::remove_dir_all(dir.path().join(folder)).unwrap();
        }
    }
}

/// The stage's note on reused rows.
fn taken_over(said: &[Reply]) -> Option<String> {
    said.iter().find_map(|r| match r {
        Reply::Note { text } if text.contains("taken over") => Some(text.clone()),
        _ => None,
    })
}

fn same_files(a: &Path, b: &Path) {
    for name in [
        "dataset/faces.arrow",
        "dataset/dataset.json",
        "report/residuals.json",
        "report/dropped.csv",
        "report/rows.jsonl",
    ] {
        assert_eq!(std::fs::read(a.join(name)).unwrap(), std::fs::read(b.join(name)).unwrap(), "{name}");
    }
}

#[test]
fn images_that_did_not_change_are_taken_over_and_every_byte_is_as_without() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut faces: Vec<Face> = (0..30).map(|k| face(k, Some(shifted(k as f32 / 4.0)))).collect();
    faces[7].image = b"no image".to_vec();
    faces[9].points = None;
    let parameters = json!({"unreadable": "drop", "without-landmarks": "centre-crop", "check": "off"});
    write(&at("one"), &faces);
    let (done, said) = align(&at("one"), &at("first"), parameters.clone(), 2);
    done.unwrap();
    assert_eq!(taken_over(&said), None);
    // One image is removed, one added, one has other landmarks, one another picture, and one another position.
    faces.remove(3);
    faces.insert(11, face(90, Some(shifted(19.0))));
    faces[5].points = Some(shifted(5.125));
    faces[20].image = encode_jpeg(&picture(), 80).unwrap();
    faces.swap(1, 25);
    write(&at("two"), &faces);
    let (done, said) = align_after(Some(&at("first")), &at("two"), &at("helped"), parameters.clone(), 2);
    done.unwrap();
    assert_eq!(
        taken_over(&said).unwrap(),
        "27 of 30 images are unchanged since an earlier result, and were taken over"
    );
    align(&at("two"), &at("alone"), parameters, 1).0.unwrap();
    same_files(&at("helped"), &at("alone"));
}

#[test]
fn an_earlier_result_that_is_no_such_result_is_no_help_and_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let faces: Vec<Face> = (0..4).map(|k| face(k, Some(shifted(k as f32)))).collect();
    write(&at("in"), &faces);
    align(&at("in"), &at("alone"), json!({}), 1).0.unwrap();
    for (name, bytes) in [
        ("report/rows.jsonl", "{\"source\":\"zz\"}\n"),
        ("dataset/faces.arrow", "x"),
        ("report/rows.jsonl", ""),
    ] {
        align(&at("in"), &at("earlier"), json!({}), 1).0.unwrap();
        std::fs::write(at("earlier").join(name), bytes).unwrap();
        align_after(Some(&at("earlier")), &at("in"), &at("again"), json!({}), 1).0.unwrap();
        same_files(&at("again"), &at("alone"));
        std::fs::remove_dir_all(at("earlier")).unwrap();
        std::fs::remove_dir_all(at("again")).unwrap();
    }
}
