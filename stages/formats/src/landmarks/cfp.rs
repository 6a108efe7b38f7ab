//! CFP's fiducial points: a file for each image, 30 lines `x,y` that cover *one half* of the face.
//!
//! 0-8 jaw from ear to chin, 9-11 brow, 12-17 eye, 18-21 bridge to tip of the nose, 22-24 under the nose, 25 mouth corner, 26-29
//! lips on the midline.

use super::coordinates;
use super::pts::mean;
use crate::DataError;
use lfs_faces::dataset::Points;

const UNKNOWN: [f32; 2] = [f32::NAN; 2];

/// The two kinds of photographs in CFP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The other half is the mirror image: all five points are known.
    Frontal,
    /// Only the visible eye, the nose and the visible mouth corner are known; the others are NaN.
    Profile,
}

/// Reads the 30 points and derives the five landmarks.
///
/// Frontal: eye centre and mouth corner are reflected over the line that fits points 18-21, 26-29 and 8 best (least squares of the
/// distances). Profile: if the nose is left of the eye, the face looks to the left of the picture, so that the visible eye is the
/// right one *of the picture's order*, as in the template.
///
/// # Errors
/// If there are not 30 points, or the points on the midline do not determine a line.
pub fn read(text: &str, view: View) -> Result<Points, DataError> {
    let p = coordinates(text)?;
    if p.len() != 30 {
        return Err(DataError::new(format!("expected 30 points, found {}", p.len())));
    }
    let (eye, nose, mouth) = (mean(&p[12..18]), p[21], p[25]);
    // Whether the half is left of the nose in the picture, for both views.
    let left = eye[0] < nose[0];
    let (other_eye, other_mouth) = match view {
        View::Profile => (UNKNOWN, UNKNOWN),
        View::Frontal => {
            let midline: Vec<[f32; 2]> = [18, 19, 20, 21, 26, 27, 28, 29, 8].map(|k: usize| p[k]).to_vec();
            let line = Line::fit(&midline).ok_or_else(|| {
                DataError::new("the points of nose, lips and chin are one point, not a line")
            })?;
            (line.reflect(eye), line.reflect(mouth))
        }
    };
    Ok(if left {
        [eye, other_eye, nose, mouth, other_mouth]
    } else {
        [other_eye, eye, nose, other_mouth, mouth]
    })
}

/// A line through a point along a unit direction.
struct Line {
    through: [f64; 2],
    along: [f64; 2],
}

impl Line {
    /// The line with the least sum of squared distances; none if all points coincide.
    fn fit(points: &[[f32; 2]]) -> Option<Self> {
        let points: Vec<[f64; 2]> = points.iter().map(|p| p.map(f64::from)).collect();
        let n = points.len() as f64;
        let through = [0, 1].map(|c| points.iter().map(|p| p[c]).sum::<f64>() / n);
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for p in &points {
            let (x, y) = (p[0] - through[0], p[1] - through[1]);
            xx += x * x;
            xy += x * y;
            yy += y * y;
        }
        // The principal axis of the 2x2 scatter matrix, from its double angle (cos, sin) ~ (xx - yy, 2 xy).
        let (c, s) = (xx - yy, 2.0 * xy);
        let length = (c * c + s * s).sqrt();
        if length <= 1e-9 {
            return None;
        }
        let (c, s) = (c / length, s / length);
        // The half-angle formulas need no trigonometric function, whose last bit may depend on the machine.
        let along = [((1.0 + c) / 2.0).max(0.0).sqrt(), ((1.0 - c) / 2.0).max(0.0).sqrt().copysign(s)];
        Some(Self { through, along })
    }

    fn reflect(&self, p: [f32; 2]) -> [f32; 2] {
        let d = [f64::from(p[0]) - self.through[0], f64::from(p[1]) - self.through[1]];
        let t = d[0] * self.along[0] + d[1] * self.along[1];
        [0, 1].map(|c| (self.through[c] + 2.0 * t * self.along[c] - d[c]) as f32)
    }
}
