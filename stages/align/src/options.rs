//! The parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::template::{Layout, Template};

/// The parameters of `align`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Where the points of a face go, and the crop's size. Networks here take squares alone.
    pub template: Template,
    /// Width and height of the crops in pixels. The template is that of 112 pixels, scaled by `size / 112`.
    #[schemars(range(min = 24, max = 224), extend("x-when" = {"template": ["arcface-112"]}))]
    pub size: u32,
    /// How crops are encoded.
    pub encoding: Encoding,
    /// The quality of JPEG crops.
    #[schemars(range(min = 1, max = 100), extend("x-when" = {"encoding": ["jpeg"]}))]
    pub quality: u8,
    /// What to do with an image that has no landmarks.
    pub without_landmarks: WithoutLandmarks,
    /// What to do with an image that cannot be decoded.
    pub unreadable: Unreadable,
    /// What to do when the landmarks do not fit their images: by shape (the median, and the share of those far off), by turn (more
    /// than 60 degrees), by size and place (points within a few pixels, or outside of the picture), and by where eyes are seen in a
    /// sample. Where a sample is not enough to decide, a warning is given.
    pub check: Check,
    /// The largest distance between template and fitted landmarks, root mean square over the points, in pixels of a 112-pixel crop:
    /// `check` uses the median and whether more than 10 % of the images exceed it. The report always has their number. Heads seen
    /// from the side exceed it, too (12 to 15 pixels at 75 to 90 degrees); they are recognised by the shape of their points, and
    /// are no reason to refuse the landmarks.
    #[schemars(range(min = 0.0, max = 112.0))]
    pub max_residual: f64,
    /// How far eyes may lie from where the landmarks put them before landmarks that are no better than the mean position are refused:
    /// median over the sample, in pixels of a 112-pixel crop.
    #[schemars(range(min = 0.0, max = 8.0), extend("x-when" = {"check": ["refuse", "warn"]}))]
    pub max_wander: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            template: Template::Arcface112,
            size: 112,
            encoding: Encoding::Jpeg,
            quality: 95,
            without_landmarks: WithoutLandmarks::Fail,
            unreadable: Unreadable::Fail,
            check: Check::Refuse,
            max_residual: 12.0,
            max_wander: 3.0,
        }
    }
}

impl Options {
    /// The layout of the crops.
    pub fn layout(&self) -> Layout {
        Layout::of(self.template, self.size)
    }
}

/// How crops are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// JPEG of the given quality.
    Jpeg,
    /// PNG, without loss.
    Png,
}

/// What to do with an image that has no landmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutLandmarks {
    /// Stop with a message.
    Fail,
    /// Take the largest square around the centre of the image.
    CentreCrop,
    /// Skip the image.
    Drop,
}

/// What to do with an image that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unreadable {
    /// Stop with a message.
    Fail,
    /// Skip the image.
    Drop,
}

/// What to do when the landmarks of a sample do not fit its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Stop with a message.
    Refuse,
    /// Warn and continue.
    Warn,
    /// Skip the check.
    Off,
}
