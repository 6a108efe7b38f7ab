//! The positions of the five landmarks in a crop.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The side of the crop for which [`POINTS`] are given, in pixels.
pub const SIDE: f64 = 112.0;

/// Left eye, right eye, nose, left mouth corner, right mouth corner in a crop of 112 by 112 pixels: the template in common use
/// since ArcFace (Deng et al., CVPR 2019).
pub const POINTS: [[f64; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];

/// A template by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// A square of `size` pixels: the points of 112 pixels, scaled by `size / 112`.
    #[serde(rename = "arcface-112")]
    Arcface112,
    /// 96 wide and 112 high: that of 112 pixels without the eight columns at either side.
    #[serde(rename = "arcface-96x112")]
    Arcface96x112,
    /// A square of 144 pixels. No coordinates were published for it: the points of 112 pixels are scaled by `144 / 112`.
    #[serde(rename = "arcface-144")]
    Arcface144,
}

/// The layout of a crop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layout {
    /// The value of `crop.template` in a data set.
    pub name: &'static str,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The positions of the five points.
    pub points: [[f64; 2]; 5],
}

impl Layout {
    /// A square, with the points of 112 pixels scaled to it.
    pub fn square(size: u32) -> Self {
        let points = POINTS.map(|p| p.map(|c| c * f64::from(size) / SIDE));
        Self { name: "arcface-112", width: size, height: size, points }
    }

    /// The layout of a template; `size` counts for `arcface-112` alone.
    pub fn of(template: Template, size: u32) -> Self {
        match template {
            Template::Arcface112 => Self::square(size),
            Template::Arcface144 => Self { name: "arcface-144", ..Self::square(144) },
            Template::Arcface96x112 => {
                let points = POINTS.map(|[x, y]| [x - 8.0, y]);
                Self { name: "arcface-96x112", width: 96, height: 112, points }
            }
        }
    }
}
