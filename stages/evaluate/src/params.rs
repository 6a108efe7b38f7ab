//! The parameters of the kind `evaluate`.

use lfs_faces::TestSet;
use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::{Definition, Verification};
use crate::protocol::Split;
use crate::resample::Bootstrap;
use crate::score::Flip;

/// The parameters of the kind `evaluate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Params {
    /// The test set, which is also the layout of the input `lists`.
    pub set: TestSet,
    /// CFP's pairs: frontal-profile or frontal-frontal.
    #[serde(default)]
    #[schemars(extend("x-when" = {"set": ["cfp"]}))]
    pub split: Split,
    /// How a number is computed. It is printed with every number. Galleries and templates have `exact` and `insightface`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"set": ["lfw", "sllfw", "calfw", "cplfw", "agedb", "cfp", "rfw", "xqlfw", "ijb-b", "ijb-c", "tinyface", "pairs", "gallery"]}))]
    pub definition: Verification,
    /// The treatment of the embeddings of mirror images.
    #[serde(default)]
    pub flip: Flip,
    /// FARs of a verification TPR; if empty, the protocol's (MegaFace 1e-6, Trillion-Pairs 1e-9, IJB 1e-6 .. 1e-1, none
    /// for other sets).
    #[serde(default)]
    pub fars: Vec<f64>,
    /// FARs of the open-set identification TPR, over searches without a mate; if empty, the protocol's (Trillion-Pairs 1e-3,
    /// IJB 1e-2 and 1e-1, own galleries 1e-2).
    #[serde(default)]
    #[schemars(extend("x-when" = {"set": ["trillion-pairs", "ijb-b", "ijb-c", "tinyface", "gallery"]}))]
    pub identification_fars: Vec<f64>,
    /// The ranks to report; if empty, the protocol's (MegaFace 1, TinyFace 1, 5, 20, IJB and own galleries 1, 5, 10).
    #[serde(default)]
    #[schemars(extend("x-when" = {"set": ["megaface", "ijb-b", "ijb-c", "tinyface", "gallery"]}))]
    pub ranks: Vec<u32>,
    /// The number of distractors: the list of that size; 0 for the largest.
    #[serde(default)]
    #[schemars(extend("x-when" = {"set": ["megaface"]}))]
    pub distractors: u64,
    /// What to do if images of the list are missing in the data set.
    #[serde(default)]
    pub missing: Missing,
    /// The number of replicates of the bootstrap over identities; 0 for no interval.
    #[serde(default = "replicates")]
    #[schemars(range(max = 1_000_000))]
    pub bootstrap: u32,
    /// The coverage probability of the intervals.
    #[serde(default = "confidence")]
    #[schemars(range(min = 0.5, max = 0.9999))]
    pub confidence: f64,
    /// The seed of the bootstrap.
    #[serde(default)]
    pub seed: u64,
}

/// What to do if images of the list are missing in the data set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// Stop, and name the first one.
    #[default]
    Fail,
    /// Skip their pairs; the result gives their number.
    Skip,
}

fn replicates() -> u32 {
    1000
}

fn confidence() -> f64 {
    0.95
}

impl Params {
    /// Checks the ranges of the parameters.
    pub(crate) fn check(&self) -> Result<()> {
        for (name, fars) in [("fars", &self.fars), ("identification-fars", &self.identification_fars)] {
            if let Some(bad) = fars.iter().find(|f| !(**f > 0.0 && **f <= 1.0)) {
                return Err(Failure::new(format!(
                    "`{name}` holds {bad}; a FAR lies above 0 and is at most 1"
                )));
            }
        }
        if self.ranks.iter().any(|r| *r == 0 || *r > 1000) {
            return Err(Failure::new(format!("`ranks` is {:?}; expected ranks from 1 to 1000", self.ranks)));
        }
        if !(0.5..1.0).contains(&self.confidence) {
            return Err(Failure::new(format!(
                "`confidence` is {}; expected 0.5 to below 1",
                self.confidence
            )));
        }
        Ok(())
    }

    /// The treatment of mirror images under this definition.
    pub(crate) fn flip(&self, definition: Definition) -> Flip {
        match (self.flip, definition) {
            (Flip::ByDefinition, Definition::Insightface) => Flip::Sum,
            (Flip::ByDefinition, _) => Flip::None,
            (said, _) => said,
        }
    }

    pub(crate) fn bootstrap(&self) -> Bootstrap {
        Bootstrap { replicates: self.bootstrap, seed: self.seed, confidence: self.confidence }
    }
}
