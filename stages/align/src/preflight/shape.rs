//! Classifies five points by their shape alone.

use lfs_faces::dataset::{Points, known};

/// Whether five points are those of a profile head, upright within 60 degrees: eyes, nose and mouth follow each other from top to
/// bottom, both eyes are close together, and so are both mouth corners, and the nose lies to one side of both eyes. A frontal face
/// that was squeezed has its nose between the eyes.
pub(super) fn is_profile(points: &Points) -> bool {
    if known(points).count() < 5 {
        return false;
    }
    let p = points.map(|q| q.map(f64::from));
    let middle = |a: usize, b: usize| [0, 1].map(|c| f64::midpoint(p[a][c], p[b][c]));
    let (eyes, mouth) = (middle(0, 1), middle(3, 4));
    let axis = [mouth[0] - eyes[0], mouth[1] - eyes[1]];
    let height = libm::hypot(axis[0], axis[1]);
    if height <= 0.0 || axis[1] < 0.5 * height {
        return false;
    }
    // Along and across the axis, as fractions of the distance from eyes to mouth.
    let along =
        |k: usize| ((p[k][0] - eyes[0]) * axis[0] + (p[k][1] - eyes[1]) * axis[1]) / (height * height);
    let across =
        |k: usize| ((p[k][0] - eyes[0]) * axis[1] - (p[k][1] - eyes[1]) * axis[0]) / (height * height);
    let apart = |of: &dyn Fn(usize) -> f64, a: usize, b: usize| (of(a) - of(b)).abs();
    let span = apart(&across, 0, 1);
    (0.2..0.9).contains(&along(2))
        && span < 0.5
        && apart(&across, 3, 4) < 0.6
        && apart(&along, 0, 1) < 0.3
        && apart(&along, 3, 4) < 0.3
        && (0.5 * span..1.2).contains(&across(2).abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template;

    /// A head turned to the side, with a nose 18 pixels deep.
    fn turned(degrees: f64) -> Points {
        let (sin, cos) = libm::sincos(degrees.to_radians());
        let depth = [0.0, 0.0, 18.0, 5.0, 5.0];
        let mut points = Points::default();
        for k in 0..5 {
            let [x, y] = template::POINTS[k];
            points[k] = [(56.0 + (x - 56.0) * cos + depth[k] * sin) as f32, y as f32];
        }
        points
    }

    #[test]
    fn profile_heads_are_distinguished_from_non_faces() {
        for degrees in [75.0, 80.0, 85.0, 90.0, -75.0, -90.0] {
            assert!(is_profile(&turned(degrees)), "{degrees}");
        }
        let p = turned(0.0);
        let squeezed = p.map(|q| [q[0] * 0.3, q[1]]);
        let side = turned(85.0);
        let upside_down = side.map(|q| [112.0 - q[0], 112.0 - q[1]]);
        let sideways = side.map(|q| [112.0 - q[1], q[0]]);
        let exchanged = [p[1], p[0], p[2], p[4], p[3]];
        let axes = p.map(|q| [q[1], q[0]]);
        for other in [p, turned(30.0), squeezed, upside_down, sideways, exchanged, axes, [[3.0; 2]; 5]] {
            assert!(!is_profile(&other), "{other:?}");
        }
    }
}
