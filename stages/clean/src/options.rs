//! The parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `clean`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// The minimum width and height of an image in pixels.
    pub min_side: u32,
    /// Drop an image whose file is byte-identical to an earlier one, under any identity.
    pub exact_duplicates: bool,
    /// What to do with a near-duplicate of an earlier image of the same identity.
    pub near_duplicates: Near,
    /// How many of the 256 bits of two perceptual hashes may differ between near-duplicates. The hash is of
    /// the face, aligned by its landmarks; without landmarks, of the whole image. Mirrored images are
    /// duplicates, too.
    #[schemars(range(max = 64))]
    pub near_distance: u32,
    /// With the input `embeddings`: similar images whose embeddings have a smaller cosine than this are no
    /// duplicates.
    #[schemars(range(min = -1.0, max = 1.0))]
    pub near_cosine: f64,
    /// Identities with fewer remaining images than this are dropped.
    pub min_images: u32,
    /// With the input `embeddings`: what to do with an image that belongs to another identity than that of
    /// its label.
    pub labels: Labels,
    /// With the input `embeddings`: what to do with an image that resembles no identity of the set.
    pub strangers: Strangers,
    /// With the input `embeddings`: what to do with doubtful images of identities with one or two images.
    /// There is little evidence to judge them by.
    pub few_images: Few,
    /// With the input `embeddings`: the probability of a wrong label from which an image is doubtful.
    #[schemars(range(min = 0.05, max = 0.999))]
    pub sure: f64,
    /// With the input `embeddings`: what to do with an image that is far less sharp than the others.
    pub blur: Blur,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            min_side: 32,
            exact_duplicates: true,
            near_duplicates: Near::Drop,
            near_distance: 48,
            near_cosine: 0.6,
            min_images: 2,
            labels: Labels::Drop,
            strangers: Strangers::Drop,
            few_images: Few::Report,
            sure: 0.5,
            blur: Blur::Report,
        }
    }
}

/// What to do with near-duplicates of the same identity. Those under two identities are reported unless this
/// is `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Near {
    /// Drop all but the first.
    Drop,
    /// Keep them, and count them in the summary.
    Report,
    /// Do not look for them.
    Off,
}

/// What to do with an image that belongs to another identity than that of its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// Drop it.
    Drop,
    /// Relabel it with the identity that it belongs to.
    Relabel,
    /// Keep it, and report it.
    Report,
}

/// What to do with an image that resembles no identity of the set, or shows no face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strangers {
    /// Drop it.
    Drop,
    /// Keep it, and report it.
    Report,
}

/// What to do with doubtful images of identities with one or two images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Few {
    /// Keep them, and report them.
    Report,
    /// Treat them like those of other identities.
    AsOthers,
}

/// What to do with an image that is far less sharp than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Blur {
    /// Drop it.
    Drop,
    /// Keep it, and report it.
    Report,
    /// Do not measure sharpness.
    Off,
}
