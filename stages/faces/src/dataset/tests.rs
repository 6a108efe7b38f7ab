use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn face(k: u32) -> Face {
    let x = k as f32;
    Face {
        image: (0..k % 7 * 50).map(|b| (b * k) as u8).collect(),
        identity: k % 3,
        name: format!("id{}/image é {k}.jpg", k % 3),
        points: k.is_multiple_of(2).then_some([[x, 1.0], [x + 2.0, 1.5], [x, 3.0], [0.5, 4.0], [2.5, -4.0]]),
        group: k.is_multiple_of(5).then(|| "Asian".to_owned()),
        flags: k,
    }
}

fn info() -> Info {
    Info { identities: ["id0", "id1", "id2"].map(str::to_owned).to_vec(), ..Info::default() }
}

fn write(folder: &Path, faces: &[Face], info: Info) -> Result<(), DataError> {
    let mut writer = Writer::create(folder)?;
    for face in faces {
        writer.push(face)?;
    }
    writer.finish(info)
}

#[test]
fn what_is_written_is_read_whatever_the_number_of_rows() {
    for n in [0, 1, 1023, 1024, 1025, 3000] {
        let dir = tempfile::tempdir().unwrap();
        let faces: Vec<Face> = (0..n).map(face).collect();
        write(dir.path(), &faces, info()).unwrap();
        let set = Dataset::open(dir.path()).unwrap();
        assert_eq!(set.len(), faces.len());
        assert_eq!(set.is_empty(), n == 0);
        assert_eq!(set.info().images, u64::from(n));
        assert!(set.iter().map(|f| f.to_face()).eq(faces.iter().cloned()));
        for i in (0..faces.len()).rev().step_by(97) {
            assert_eq!(set.face(i).to_face(), faces[i]);
        }
    }
}

#[test]
fn the_same_faces_give_the_same_bytes() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut faces: Vec<Face> = (0..1500).map(face).collect();
    faces[4].points =
        Some([[1.0, 2.0], [f32::NAN, 0.0], [f32::from_bits(0xffc0_0001); 2], [3.0, 4.0], [5.0, 6.0]]);
    write(a.path(), &faces, info()).unwrap();
    faces[4].points = Some([[1.0, 2.0], [f32::NAN; 2], [f32::INFINITY; 2], [3.0, 4.0], [5.0, 6.0]]);
    write(b.path(), &faces, info()).unwrap();
    for file in [FACES_FILE, INFO_FILE] {
        assert_eq!(fs::read(a.path().join(file)).unwrap(), fs::read(b.path().join(file)).unwrap(), "{file}");
    }
    let set = Dataset::open(a.path()).unwrap();
    assert_eq!(known(&set.face(4).points.unwrap()).collect::<Vec<_>>(), [0, 3, 4]);
}

#[test]
fn images_are_read_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let faces: Vec<Face> = (0..20).map(|k| Face { image: vec![k as u8; 10_000], ..face(k) }).collect();
    write(dir.path(), &faces, info()).unwrap();
    let set = Dataset::open(dir.path()).unwrap();
    let ends: Vec<usize> = set.iter().map(|f| f.image.as_ptr() as usize).collect();
    assert!(ends.windows(2).all(|w| w[1] - w[0] == 10_000), "neighbours in one map");
}

#[test]
fn large_images_end_a_batch_early() {
    let dir = tempfile::tempdir().unwrap();
    let faces: Vec<Face> = (0..5).map(|k| Face { image: vec![k as u8; 12 << 20], ..face(k) }).collect();
    write(dir.path(), &faces, info()).unwrap();
    let set = Dataset::open(dir.path()).unwrap();
    assert_eq!(set.iter().map(|f| f.image[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(set.face(4).name, faces[4].name);
}

#[test]
fn an_identity_without_a_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let faces = [face(0), Face { identity: 3, ..face(1) }];
    let text = write(dir.path(), &faces, info()).unwrap_err().to_string();
    assert!(
        text.contains("id1/image é 1.jpg") && text.contains("identity 3") && text.contains("names 3"),
        "{text}"
    );
}

#[test]
fn a_folder_that_is_no_data_set_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let text = Dataset::open(dir.path()).err().unwrap().to_string();
    assert!(text.contains("is not a data set"), "{text}");
}

#[test]
fn a_count_that_differs_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[face(0)], info()).unwrap();
    let path = dir.path().join(INFO_FILE);
    let text = fs::read_to_string(&path).unwrap().replace("\"images\": 1", "\"images\": 2");
    fs::write(&path, text).unwrap();
    assert!(Dataset::open(dir.path()).err().unwrap().to_string().contains("counts 2 images"));
}

#[test]
fn a_file_cut_short_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &(0..50).map(face).collect::<Vec<_>>(), info()).unwrap();
    let path = dir.path().join(FACES_FILE);
    let bytes = fs::read(&path).unwrap();
    for n in [0, 1, 9, 10, 100, bytes.len() - 1] {
        fs::write(&path, &bytes[..n]).unwrap();
        assert!(Dataset::open(dir.path()).is_err(), "{n} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_damaged_file_is_an_error_or_readable_never_a_panic(at in any::<prop::sample::Index>(), byte: u8) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &(0..9).map(face).collect::<Vec<_>>(), info()).unwrap();
        let path = dir.path().join(FACES_FILE);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        fs::write(&path, &bytes).unwrap();
        if let Ok(set) = Dataset::open(dir.path()) {
            for i in 0..set.len() {
                let _ = set.face(i).to_face();
            }
        }
    }
}
