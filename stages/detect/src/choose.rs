//! Selects one of several faces.

use lfs_faces::image::Pixels;

use crate::detector::{Box4, Found};
use crate::options::Policy;

/// The index of the selected face, if there is one, and the reason.
pub(crate) fn choose(policy: Policy, picture: &Pixels, faces: &[Found]) -> (Option<usize>, String) {
    let count = faces.len();
    let why = match (policy, count) {
        (_, 0) => return (None, "no face".to_owned()),
        (_, 1) => return (Some(0), "the only face".to_owned()),
        (Policy::ExactlyOne, _) => return (None, format!("{count} faces, where one was wanted")),
        (Policy::Largest, _) => "the largest",
        (Policy::MostCentral, _) => "the most central",
        (Policy::BestScore, _) => "the best score",
    };
    // Faces are sorted by descending score; of equal keys the first is selected.
    let key = |face: &Found| match policy {
        Policy::Largest => -area(&face.place),
        Policy::MostCentral => from_centre(picture, &face.place),
        Policy::BestScore | Policy::ExactlyOne => -f64::from(face.score),
    };
    let best = (0..count).min_by(|a, b| key(&faces[*a]).total_cmp(&key(&faces[*b])));
    (best, format!("{why} of {count}"))
}

fn area(b: &Box4) -> f64 {
    let [left, top, right, bottom] = b.map(f64::from);
    (right - left) * (bottom - top)
}

/// The squared distance between the centres of a box and of the picture.
fn from_centre(picture: &Pixels, b: &Box4) -> f64 {
    let [left, top, right, bottom] = b.map(f64::from);
    let x = (left + right - f64::from(picture.width) + 1.0) / 2.0;
    let y = (top + bottom - f64::from(picture.height) + 1.0) / 2.0;
    x * x + y * y
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(score: f32, place: Box4) -> Found {
        Found { score, place, points: [[0.0; 2]; 5] }
    }

    #[test]
    fn each_policy_takes_its_own_face() {
        let picture = Pixels { width: 101, height: 101, rgb: Vec::new() };
        let faces = [
            face(0.99, [0.0, 0.0, 20.0, 20.0]),
            face(0.95, [30.0, 20.0, 90.0, 80.0]),
            face(0.9, [45.0, 45.0, 55.0, 55.0]),
        ];
        let take = |policy| choose(policy, &picture, &faces).0;
        assert_eq!(take(Policy::BestScore), Some(0));
        assert_eq!(take(Policy::Largest), Some(1));
        assert_eq!(take(Policy::MostCentral), Some(2));
        assert_eq!(take(Policy::ExactlyOne), None);
        for policy in [Policy::BestScore, Policy::Largest, Policy::MostCentral, Policy::ExactlyOne] {
            assert_eq!(choose(policy, &picture, &faces[1..2]).0, Some(0), "{policy:?}");
            assert_eq!(choose(policy, &picture, &[]).0, None, "{policy:?}");
        }
    }

    #[test]
    fn of_equal_faces_the_one_with_the_better_score_is_taken() {
        let picture = Pixels { width: 101, height: 101, rgb: Vec::new() };
        let faces = [face(0.9, [10.0, 40.0, 30.0, 60.0]), face(0.8, [70.0, 40.0, 90.0, 60.0])];
        for policy in [Policy::Largest, Policy::MostCentral] {
            assert_eq!(choose(policy, &picture, &faces).0, Some(0), "{policy:?}");
        }
    }
}
