//! Real photographs, if `LFS_DATA` names a folder that has them.

use lfs_faces::dataset::{Dataset, known};
use serde_json::json;

use super::{acquire, lists};

#[test]
fn cfp_is_read_whole_with_five_points_in_front_and_three_in_profile() {
    let Some(cfp) = lfs_testing::data("cfp") else { return };
    let dir = tempfile::tempdir().unwrap();
    acquire(&cfp, None, dir.path(), json!({"layout": "cfp"})).unwrap();
    let set = Dataset::open(&dir.path().join("dataset")).unwrap();
    assert_eq!((set.len(), set.info().identities.len()), (7000, 500));
    assert_eq!(lists(dir.path()).len(), 3 + 40);
    for face in set.iter() {
        let wanted = if face.name.contains("/frontal/") { 5 } else { 3 };
        assert_eq!(face.points.map(|p| known(&p).count()), Some(wanted), "{}", face.name);
    }
    let first = set.face(0);
    assert_eq!(first.name, "Data/Images/001/frontal/01.jpg");
    assert_eq!(set.info().identities[first.identity as usize], "50 Cent");
}

#[test]
fn the_lfw_subset_is_read_as_folders_with_a_landmark_list() {
    let (Some(images), Some(list)) =
        (lfs_testing::data("lfw-subset/images"), lfs_testing::data("lfw-subset/landmarks.tsv"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    acquire(&images, Some(&list), dir.path(), json!({"layout": "folders"})).unwrap();
    let set = Dataset::open(&dir.path().join("dataset")).unwrap();
    assert_eq!((set.len(), set.info().identities.len()), (5985, 423));
    assert!(set.iter().all(|f| f.points.is_some()));
}

#[test]
fn portable_grey_maps_are_read_as_folders() {
    let Some(orl) = lfs_testing::data("orl") else { return };
    let dir = tempfile::tempdir().unwrap();
    acquire(&orl, None, dir.path(), json!({"layout": "folders"})).unwrap();
    let set = Dataset::open(&dir.path().join("dataset")).unwrap();
    assert_eq!((set.len(), set.info().identities.len()), (400, 40));
    assert_eq!(lfs_faces::image::decode(set.face(0).image).unwrap().width, 92);
}
