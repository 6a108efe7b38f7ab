//! The parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `clean`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// The least width and height of an image in pixels.
    pub min_side: u32,
    /// Drop an image whose file is byte for byte that of an earlier one, under any identity.
    pub exact_duplicates: bool,
    /// What to do with an image that looks like an earlier one of the same identity.
    pub near_duplicates: Near,
    /// How many of the 256 bits of two perceptual hashes may differ between near duplicates. The hash is of the face, brought upright by
    /// its landmarks, and without landmarks of the whole image; mirrored images are duplicates, too.
    #[schemars(range(max = 64))]
    pub near_distance: u32,
    /// With the input `embeddings`: images that look alike, but whose embeddings have a smaller cosine than this, are no duplicates.
    #[schemars(range(min = -1.0, max = 1.0))]
    pub near_cosine: f64,
    /// Identities that keep fewer images than this are dropped.
    pub min_images: u32,
    /// With the input `embeddings`: what to do with an image that belongs to another identity than its label says.
    pub labels: Labels,
    /// With the input `embeddings`: what to do with an image that is like no identity of the set.
    pub strangers: Strangers,
    /// With the input `embeddings`: what to do with doubtful images of identities that have one or two images. There is little to
    /// judge them by.
    pub few_images: Few,
    /// With the input `embeddings`: the probability of a wrong label from which on an image is doubtful.
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

/// What to do with near duplicates of the same identity. Those under two identities are reported unless this is `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Near {
    /// Drop all but the first.
    Drop,
    /// Keep them; count them in the summary.
    Report,
    /// Do not look for them.
    Off,
}

/// What to do with an image that belongs to another identity than its label says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// Drop it.
    Drop,
    /// Give it the label of the identity that it belongs to.
    Relabel,
    /// Keep it; say so in the report.
    Report,
}

/// What to do with an image that is like no identity of the set, or shows no face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strangers {
    /// Drop it.
    Drop,
    /// Keep it; say so in the report.
    Report,
}

/// What to do with doubtful images of identities that have one or two images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Few {
    /// Keep them; say so in the report.
    Report,
    /// What is done with those of other identities.
    AsOthers,
}

/// What to do with an image that is far less sharp than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Blur {
    /// Drop it.
    Drop,
    /// Keep it; say so in the report.
    Report,
    /// Do not look.
    Off,
}
