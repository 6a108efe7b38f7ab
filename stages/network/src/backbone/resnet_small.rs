//! A residual network of three stages, for two cores and crops of 32 x 32.

use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::residual::Residual;
use super::{Network, Settings, check_widths};
use crate::builder::Builder;

/// A residual network of three stages, for two cores and crops of 32 x 32.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ResnetSmall {
    /// Channels of each stage.
    pub widths: Vec<u32>,
    /// Residual units of each stage; stages beyond the list have one.
    pub depths: Vec<u32>,
}

impl Default for ResnetSmall {
    fn default() -> Self {
        Self { widths: vec![16, 32, 64], depths: Vec::new() }
    }
}

impl Settings for ResnetSmall {
    fn check(&self) -> Result<()> {
        check_widths("resnet-small", &self.widths, &self.depths)
    }

    fn build(&self, b: &mut Builder, side: i64, size: i64) -> Box<dyn Network> {
        Box::new(Residual::new(b, &self.widths, &self.depths, side, size))
    }
}
