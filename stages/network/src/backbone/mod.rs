//! The table of networks.

pub mod iresnet;
pub mod layers;
pub mod mobilefacenet;
pub mod residual;
pub mod resnet_4stage;
pub mod resnet_small;
mod table;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use table::{Network, Settings, check_widths};

table::backbones! {
    /// A residual network of three stages, for two cores and crops of 32 x 32.
    ResnetSmall "resnet-small" resnet_small::ResnetSmall;
    /// A residual network of four stages, for crops of 56 x 56 to 112 x 112.
    Resnet4Stage "resnet-4stage" resnet_4stage::Resnet4Stage;
    /// IResNet-18 to -100, with squeeze-excitation or without, for crops of 112 x 112.
    IResNet "iresnet" iresnet::IResNet;
    /// MobileFaceNet (Chen et al. 2018).
    MobileFaceNet "mobilefacenet" mobilefacenet::MobileFaceNet;
}

impl Architecture {
    /// Checks constraints that the schema cannot express.
    ///
    /// # Errors
    /// A message that names the setting.
    pub fn check(&self) -> lfs_stage::Result<()> {
        self.settings().check()
    }

    /// Builds the network for crops of `side` x `side` pixels and embeddings of `size` numbers.
    pub fn build(&self, b: &mut crate::builder::Builder, side: i64, size: i64) -> Box<dyn Network> {
        self.settings().build(b, side, size)
    }
}
