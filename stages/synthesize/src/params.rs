//! The parameters of the synthetic world.

use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::factors::Hardness;

/// A set that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Set {
    /// The training set.
    Train,
    /// LFW.
    Lfw,
    /// SLLFW.
    Sllfw,
    /// CALFW.
    Calfw,
    /// CPLFW.
    Cplfw,
    /// AgeDB.
    Agedb,
    /// CFP.
    Cfp,
    /// RFW.
    Rfw,
    /// MegaFace.
    Megaface,
    /// Trillion-Pairs.
    TrillionPairs,
    /// XQLFW.
    Xqlfw,
    /// IJB-B.
    IjbB,
    /// IJB-C.
    IjbC,
    /// TinyFace.
    Tinyface,
}

impl Set {
    /// All, in the order in which they are written.
    pub const ALL: [Set; 14] = [
        Set::Train,
        Set::Lfw,
        Set::Sllfw,
        Set::Calfw,
        Set::Cplfw,
        Set::Agedb,
        Set::Cfp,
        Set::Rfw,
        Set::Megaface,
        Set::TrillionPairs,
        Set::Xqlfw,
        Set::IjbB,
        Set::IjbC,
        Set::Tinyface,
    ];

    /// The training set and the nine test sets of the paper: the first ten.
    pub fn of_the_paper() -> Vec<Set> {
        Self::ALL.into_iter().take_while(|set| *set != Set::Xqlfw).collect()
    }

    /// The name of the output.
    pub const fn name(self) -> &'static str {
        match self {
            Set::Train => "train",
            Set::Lfw => "lfw",
            Set::Sllfw => "sllfw",
            Set::Calfw => "calfw",
            Set::Cplfw => "cplfw",
            Set::Agedb => "agedb",
            Set::Cfp => "cfp",
            Set::Rfw => "rfw",
            Set::Megaface => "megaface",
            Set::TrillionPairs => "trillion-pairs",
            Set::Xqlfw => "xqlfw",
            Set::IjbB => "ijb-b",
            Set::IjbC => "ijb-c",
            Set::Tinyface => "tinyface",
        }
    }
}

/// Parameters of the kind `synthesize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Params {
    /// Another seed, another world.
    pub seed: u64,
    /// Identities in the training set.
    #[schemars(range(min = 2, max = 200_000))]
    pub identities: u64,
    /// Mean number of training images an identity.
    #[schemars(range(min = 2.0, max = 1000.0))]
    pub images_per_identity: f64,
    /// Standard deviation of the number of training images an identity.
    #[schemars(range(min = 0.0, max = 500.0))]
    pub images_spread: f64,
    /// Width and height of an image in pixels; each side varies by some percent.
    #[schemars(range(min = 48, max = 512))]
    pub size: u32,
    /// Identities of each test set (RFW: half of them in each group, 20 at least; sets with a gallery: two thirds).
    #[schemars(range(min = 20, max = 999))]
    pub test_identities: u64,
    /// Same pairs, and different pairs, in a fold; fewer where a fold's identities do not give so many.
    #[schemars(range(min = 1, max = 600))]
    pub pairs_per_fold: usize,
    /// Distractors of MegaFace, of Trillion-Pairs and of TinyFace.
    #[schemars(range(min = 10, max = 1_000_000))]
    pub distractors: u64,
    /// Shares of the groups African, Asian, Caucasian, Indian in the training set, and in test sets without groups.
    /// Only their proportions count.
    pub group_shares: [f64; 4],
    /// The sets to write. The others are left empty; what is written does not depend on the choice.
    pub sets: Vec<Set>,

    /// Distance between people of one group in the vector space, in standard units; smaller is harder.
    #[schemars(range(min = 0.05, max = 3.0))]
    pub identity_spread: f64,
    /// Strength of the head's rotation; 1 is usual, 0 is none. So for all strengths below.
    #[schemars(range(min = 0.0, max = 3.0))]
    pub pose: f64,
    /// Strength of the light's direction, colour and brightness.
    #[schemars(range(min = 0.0, max = 3.0))]
    pub light: f64,
    /// Strength of expressions.
    #[schemars(range(min = 0.0, max = 3.0))]
    pub expression: f64,
    /// Strength of the years between photographs of one person.
    #[schemars(range(min = 0.0, max = 3.0))]
    pub age: f64,
    /// How frequent glasses, hats, masks and hands are.
    #[schemars(range(min = 0.0, max = 3.0))]
    pub occlusion: f64,
    /// Strength of the blur.
    #[schemars(range(min = 0.0, max = 5.0))]
    pub blur: f64,
    /// Strength of the noise and of the JPEG compression.
    #[schemars(range(min = 0.0, max = 5.0))]
    pub noise: f64,

    /// Part of the training images that show another identity of the training set.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub label_flips: f64,
    /// Part of the training images that show a person who is nowhere else.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub strangers: f64,
    /// Part of the training images that show no face.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub non_faces: f64,
    /// Part of the training images that are copies, byte for byte, of another.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub exact_duplicates: f64,
    /// Share of the training images that duplicate another one, encoded again, a little brighter and shifted.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub near_duplicates: f64,
    /// Part of the training files that are cut short.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub truncated: f64,
    /// Part of the training identities that are also in a test set: under the same name, another spelling, or another
    /// name altogether, a third each.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub overlaps: f64,
    /// Part of MegaFace's probes that show another person, and of its distractors that show a probe's person.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub noisy: f64,
}

impl Default for Params {
    fn default() -> Self {
        let usual = Hardness::default();
        Self {
            seed: 0,
            identities: 200,
            images_per_identity: 20.0,
            images_spread: 6.0,
            size: 112,
            test_identities: 60,
            pairs_per_fold: 50,
            distractors: 400,
            group_shares: [0.14, 0.22, 0.50, 0.14],
            sets: Set::of_the_paper(),
            identity_spread: usual.identity_spread,
            pose: usual.pose,
            light: usual.light,
            expression: usual.expression,
            age: usual.age,
            occlusion: usual.occlusion,
            blur: usual.blur,
            noise: usual.noise,
            label_flips: 0.02,
            strangers: 0.01,
            non_faces: 0.01,
            exact_duplicates: 0.01,
            near_duplicates: 0.01,
            truncated: 0.005,
            overlaps: 0.06,
            noisy: 0.02,
        }
    }
}

impl Params {
    /// The strengths of the nuisances.
    pub fn hardness(&self) -> Hardness {
        Hardness {
            identity_spread: self.identity_spread,
            pose: self.pose,
            light: self.light,
            expression: self.expression,
            age: self.age,
            occlusion: self.occlusion,
            blur: self.blur,
            noise: self.noise,
        }
    }

    /// Checks parameters against each other.
    ///
    /// # Errors
    /// If shares or rates are inconsistent.
    pub fn check(&self) -> Result<()> {
        let shares = &self.group_shares;
        if shares.iter().any(|s| !s.is_finite() || *s < 0.0) || shares.iter().sum::<f64>() <= 0.0 {
            return Err(Failure::new(format!(
                "`group-shares` wants four numbers of 0 or more, not all 0; found {shares:?}"
            )));
        }
        let rates = self.label_flips
            + self.strangers
            + self.non_faces
            + self.exact_duplicates
            + self.near_duplicates
            + self.truncated;
        if rates > 0.9 {
            return Err(Failure::new(format!("the rates of faulty images add up to {rates:.2}"))
                .help("an image has one fault at most: keep the sum of the rates at 0.9 or below"));
        }
        if self.sets.is_empty() {
            return Err(
                Failure::new("`sets` names no set").help("leave it out to write the sets of the paper")
            );
        }
        Ok(())
    }

    /// Whether a set is to be written.
    pub fn writes(&self, set: Set) -> bool {
        self.sets.contains(&set)
    }
}
