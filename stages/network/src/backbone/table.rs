//! The traits of networks, and the macro that turns table rows into names, parameters and code dependencies.

use lfs_stage::{Failure, Result};
use tch::Tensor;

use crate::builder::Builder;
use crate::steps::{Map, Steps};

/// A network.
pub trait Network {
    /// Computes embeddings `[n, size]`, not normalised, of `[n, 3, side, side]` with values in about [-1, 1].
    fn forward(&self, x: &Tensor, train: bool) -> Tensor;

    /// Says which steps lead from `x` to the embeddings outside of training, for other formats.
    fn steps(&self, to: &mut dyn Steps, x: Map) -> Map;
}

/// The settings of a network.
pub trait Settings {
    /// Checks constraints that the schema cannot express.
    ///
    /// # Errors
    /// A message that names the setting.
    fn check(&self) -> Result<()>;

    /// Builds the network for crops of `side` x `side` pixels and embeddings of `size` numbers.
    fn build(&self, b: &mut Builder, side: i64, size: i64) -> Box<dyn Network>;
}

/// Checks the number of stages, their channels and their units.
///
/// # Errors
/// A message that names the setting.
pub fn check_widths(name: &str, widths: &[u32], depths: &[u32]) -> Result<()> {
    let problem = if !(1..=5).contains(&widths.len()) {
        format!("{name}.widths has {} entries, but must have one for each of 1 to 5 stages", widths.len())
    } else if let Some(width) = widths.iter().find(|w| !(1..=4096).contains(*w)) {
        format!("{name}.widths has a stage of {width} channels, but must stay in 1 to 4096")
    } else if depths.len() > widths.len() {
        format!("{name}.depths has {} entries for {} stages", depths.len(), widths.len())
    } else if let Some(depth) = depths.iter().find(|d| !(1..=100).contains(*d)) {
        format!("{name}.depths has a stage of {depth} units, but must stay in 1 to 100")
    } else {
        return Ok(());
    };
    Err(Failure::new(problem))
}

/// Expands each row `Variant "name" module` to the name in manifests, the variant of [`super::Architecture`]
/// and the source file that is part of the key.
macro_rules! backbones {
    ($($(#[$doc:meta])* $variant:ident $name:literal $module:ident::$settings:ident;)*) => {
        /// The name of a network.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum Backbone {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        /// A network with its settings.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub enum Architecture {
            $($(#[$doc])* #[serde(rename = $name)] $variant($module::$settings),)*
        }

        /// The settings of every network.
        #[derive(Debug, Clone, Copy)]
        pub struct AllSettings<'a> {
            $($(#[$doc])* pub $module: &'a $module::$settings,)*
        }

        impl Backbone {
            /// Every network.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in manifests.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The network with its settings, chosen from those of all networks.
            pub fn with(self, all: &AllSettings<'_>) -> Architecture {
                match self { $(Self::$variant => Architecture::$variant(all.$module.clone())),* }
            }

            /// The network with its default settings.
            pub fn with_defaults(self) -> Architecture {
                match self { $(Self::$variant => Architecture::$variant($module::$settings::default())),* }
            }

            /// The source file that is part of the key for this network only.
            pub fn source(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("network/src/backbone/", stringify!($module), ".rs")),*
                }
            }
        }

        impl Architecture {
            fn settings(&self) -> &dyn Settings {
                match self { $(Self::$variant(settings) => settings),* }
            }

            /// The name of the network.
            pub fn backbone(&self) -> Backbone {
                match self { $(Self::$variant(_) => Backbone::$variant),* }
            }
        }
    };
}
pub(crate) use backbones;
