//! The parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `clean`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Identities that keep fewer images than this are dropped.
    pub min_images: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            min_side: 32,
            exact_duplicates: true,
            near_duplicates: Near::Drop,
            near_distance: 48,
            min_images: 2,
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
