//! Where the five points of a face go.

/// The name that a data set carries in `crop.template`.
pub const NAME: &str = "arcface-112";

/// The side of the crop for which [`POINTS`] are given, in pixels.
pub const SIDE: f64 = 112.0;

/// Left eye, right eye, nose, left mouth corner, right mouth corner in a crop of 112 by 112 pixels, as the field uses them
/// since ArcFace (Deng et al., CVPR 2019).
pub const POINTS: [[f64; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];

/// The points in a crop of `size` by `size` pixels. For sizes other than 112 no coordinates were published: these are scaled by
/// `size / 112`.
pub fn points(size: u32) -> [[f64; 2]; 5] {
    POINTS.map(|p| p.map(|c| c * f64::from(size) / SIDE))
}
