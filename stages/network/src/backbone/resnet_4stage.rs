//! A residual network of four stages, for crops of 56 x 56 to 112 x 112.

use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::residual::Residual;
use super::{Network, Settings, check_widths};
use crate::builder::Builder;

/// A residual network of four stages, for crops of 56 x 56 to 112 x 112.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Resnet4Stage {
    /// Channels of each stage.
    pub widths: Vec<u32>,
    /// Residual units of each stage; stages beyond the list have one.
    pub depths: Vec<u32>,
}

impl Default for Resnet4Stage {
    fn default() -> Self {
        Self { widths: vec![32, 64, 128, 256], depths: Vec::new() }
    }
}

impl Settings for Resnet4Stage {
    fn check(&self) -> Result<()> {
        check_widths("resnet-4stage", &self.widths, &self.depths)
    }

    fn build(&self, b: &mut Builder, side: i64, size: i64) -> Box<dyn Network> {
        Box::new(Residual::new(b, &self.widths, &self.depths, side, size))
    }
}
