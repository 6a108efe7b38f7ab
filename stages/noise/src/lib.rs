//! Adds label noise, so that methods that find wrong labels can be measured.

mod inject;
mod run;

use lfs_stage::{Context, Failure, Input, Output, Result, Source, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The kind `noise`.
pub struct Noise;

/// The parameters of `noise`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Params {
    /// Which labels become wrong, and how.
    pub noise: Kind,
    /// The share of images that get another label.
    #[schemars(range(min = 0.0, max = 0.9))]
    pub rate: f64,
    /// Which images they are.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self { noise: Kind::Uniform, rate: 0.1, seed: 0 }
    }
}

/// Which labels become wrong, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Images taken at random get the label of any other identity.
    Uniform,
    /// Images taken at random get the label of the identity whose centre is nearest to that of their own; needs the input
    /// `embeddings`.
    LookAlike,
    /// Half of a person's images lie in the folder of another one, for as many persons as it takes.
    Merged,
    /// Persons taken at random lose their identity: their images lie among those of the others.
    Strangers,
}

impl Kind {
    /// The name in `truth.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::LookAlike => "look-alike",
            Self::Merged => "merged",
            Self::Strangers => "strangers",
        }
    }
}

impl Stage for Noise {
    const KIND: &'static str = "noise";
    const SUMMARY: &'static str = "Makes labels wrong on purpose, so that cleaning can be measured";
    const CODE: &'static [&'static [Source]] = &[lfs_faces::SOURCE, lfs_formats::SOURCE, SOURCE];
    const INPUTS: &'static [Input] = &[
        lfs_stage::one("dataset", "faces with right labels"),
        lfs_stage::optional("embeddings", "of these very faces: who looks like whom"),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output {
            name: "dataset",
            path: "dataset",
            about: "the same faces in the same order, some with another label",
        },
        Output {
            name: "truth",
            path: "truth.csv",
            about: "name, identity (who it is), label (who it is said to be), noise (how that came about; empty for a right label)",
        },
    ];
    type Params = Params;

    fn check(params: &Params) -> Result<()> {
        if !(0.0..=0.9).contains(&params.rate) {
            return Err(Failure::new(format!("rate is {}, but must be from 0 to 0.9", params.rate)));
        }
        Ok(())
    }

    fn run(params: &Params, cx: &mut Context<'_>) -> Result<()> {
        run::run(params, cx)
    }
}

#[cfg(test)]
mod tests;
