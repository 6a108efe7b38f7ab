//! The parameters: their names, bounds, defaults and help.
//!
//! This file affects results only through the values of parameters, which are part of every key. So the file
//! itself is not part of any key, and a new parameter does not invalidate trainings that do not use it.

use lfs_network::arithmetic::Arithmetic;
use lfs_network::backbone::iresnet::IResNet;
use lfs_network::backbone::mobilefacenet::MobileFaceNet;
use lfs_network::backbone::resnet_4stage::Resnet4Stage;
use lfs_network::backbone::resnet_small::ResnetSmall;
use lfs_network::backbone::{AllSettings, Architecture, Backbone};
use lfs_network::device::{Device, Precision};
use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::loss::a_softmax::ASoftmax;
use crate::loss::adaface::AdaFace;
use crate::loss::am_softmax::AmSoftmax;
use crate::loss::arc_softmax::ArcSoftmax;
use crate::loss::centre::Centre;
use crate::loss::circle::Circle;
use crate::loss::combined::Combined;
use crate::loss::contrastive::Contrastive;
use crate::loss::curricular::CurricularFace;
use crate::loss::head::within;
use crate::loss::mv_softmax::MvSoftmax;
use crate::loss::softmax::Softmax;
use crate::loss::triplet::Triplet;
use crate::loss::v_softmax::VSoftmax;
use crate::search::am_lfs::AmLfs;
use crate::search::margin::Search;
use crate::search::random::Random;
use crate::search::reward::Reward;
use crate::table::Method;

/// The parameters of kind `train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Params {
    /// The training method.
    pub method: Method,
    /// The seed of everything random: initial weights, order of images, flips, draws of a search.
    #[serde(default)]
    pub seed: u64,
    /// Passes over the training images.
    #[serde(default = "default::epochs")]
    #[schemars(range(min = 1, max = 10_000))]
    pub epochs: u32,
    /// Batch size. Images that do not fill a last batch are left out of the epoch.
    #[serde(default = "default::batch")]
    #[schemars(range(min = 2, max = 65_536))]
    pub batch: u32,
    /// Initial learning rate.
    #[serde(default = "default::lr")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub lr: f64,
    /// Epochs, counted from 0, at which the learning rate is multiplied by `gamma`.
    #[serde(default = "default::milestones")]
    pub milestones: Vec<u32>,
    /// The factor on the learning rate at each milestone.
    #[serde(default = "default::gamma")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub gamma: f64,
    /// Epochs of linear warm-up of the learning rate from 0.
    #[serde(default)]
    pub warmup: u32,
    /// Momentum of SGD.
    #[serde(default = "default::momentum")]
    #[schemars(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
    /// Weight decay of SGD, on all weights.
    #[serde(default = "default::weight_decay")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub weight_decay: f64,
    /// The scale s of the cosine logits.
    #[serde(default = "default::scale")]
    #[schemars(range(min = 0.1, max = 1000.0))]
    pub scale: f64,
    /// The numeric format of training: `float32`, or `bfloat16`, faster on CPUs and GPUs that support it. The
    /// rewards and the embeddings are always computed in float32.
    #[serde(default)]
    pub precision: Precision,
    /// How a margin enters the gradient: `true`, or `straight-through`, as if the margin did not depend on
    /// the cosine.
    #[serde(default)]
    pub gradient: Gradient,
    /// Sub-centres per class, of which the nearest counts (Deng et al. 2020, "Sub-center ArcFace").
    #[serde(default = "default::one")]
    #[schemars(range(min = 1, max = 64))]
    pub sub_centres: u32,
    /// Share of the classes that a step uses: those of its images, and random others (for very many
    /// identities). Classes that a step leaves out are still subject to momentum and weight decay.
    #[serde(default = "default::whole")]
    #[schemars(range(min = 0.0001, max = 1.0))]
    pub class_sample: f64,
    /// Probability with which a training image is flipped left to right.
    #[serde(default = "default::flip")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub flip: f64,
    /// Dimension of the embeddings.
    #[serde(default = "default::embedding")]
    #[schemars(range(min = 2, max = 4096))]
    pub embedding: u32,
    /// The network.
    #[serde(default = "default::backbone")]
    pub backbone: Backbone,
    /// Settings of the network `resnet-small`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"backbone": ["resnet-small"]}))]
    pub resnet_small: ResnetSmall,
    /// Settings of the network `resnet-4stage`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"backbone": ["resnet-4stage"]}))]
    pub resnet_4stage: Resnet4Stage,
    /// Settings of the network `iresnet`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"backbone": ["iresnet"]}))]
    pub iresnet: IResNet,
    /// Settings of the network `mobilefacenet`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"backbone": ["mobilefacenet"]}))]
    pub mobilefacenet: MobileFaceNet,
    /// Share of the identities held out from training, whose images give the reward. Ignored if there is the
    /// input `validation`.
    #[serde(default = "default::holdout")]
    #[schemars(range(min = 0.0, max = 0.9))]
    pub holdout: f64,
    /// Maximum number of pairs of images for a reward, half of them of the same identity.
    #[serde(default = "default::pairs")]
    #[schemars(range(min = 20, max = 1_000_000))]
    pub pairs: u32,
    /// Which model is the result: the winner of the last epoch, or that with the highest reward of all epochs
    /// (of equal ones, the latest).
    #[serde(default = "default::keep")]
    pub keep: Keep,
    /// Threads for computing, and for decoding, which has to keep up with a GPU. On a CPU another number
    /// gives other last bits.
    #[serde(default = "default::threads")]
    #[schemars(range(min = 1, max = 1024))]
    pub threads: u32,
    /// The device to compute on.
    #[serde(default)]
    pub device: Device,
    /// How float32 is computed on the CPU: `portable`, the same bits on every x86-64 processor with AVX2 and
    /// FMA, or `fastest`, with the kernels that libraries choose for the processor. bfloat16 always uses
    /// those.
    #[serde(default)]
    #[schemars(extend("x-when" = {"precision": ["float32"], "device": ["auto", "cpu"]}))]
    pub arithmetic: Arithmetic,
    /// Replicas of the network that share each batch, each on its own GPU; their gradients are averaged. Each
    /// normalises its own part of the batch, and a loss that compares images compares only those of a part.
    /// Running means of a loss are averaged. On the CPU the replicas run one after another.
    #[serde(default = "default::one")]
    #[schemars(range(min = 1, max = 64))]
    pub replicas: u32,
    /// Whether a GPU uses only deterministic kernels. If not, it may also round the factors of float32
    /// products to 11 bits (TF32). It has no effect on the CPU.
    #[serde(default = "default::yes")]
    pub deterministic: bool,
    /// Settings of the method `softmax`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["softmax"]}))]
    pub softmax: Softmax,
    /// Settings of the method `a-softmax`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["a-softmax"]}))]
    pub a_softmax: ASoftmax,
    /// Settings of the method `v-softmax`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["v-softmax"]}))]
    pub v_softmax: VSoftmax,
    /// Settings of the method `arc-softmax`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["arc-softmax"]}))]
    pub arc_softmax: ArcSoftmax,
    /// Settings of the method `am-softmax`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["am-softmax"]}))]
    pub am_softmax: AmSoftmax,
    /// Settings of the method `combined-margin`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["combined-margin"]}))]
    pub combined_margin: Combined,
    /// Settings of the method `mv-softmax`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["mv-softmax"]}))]
    pub mv_softmax: MvSoftmax,
    /// Settings of the method `curricularface`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["curricularface"]}))]
    pub curricularface: CurricularFace,
    /// Settings of the method `adaface`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["adaface"]}))]
    pub adaface: AdaFace,
    /// Settings of the method `circle-loss`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["circle-loss"]}))]
    pub circle_loss: Circle,
    /// Settings of the method `centre-loss`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["centre-loss"]}))]
    pub centre_loss: Centre,
    /// Settings of the method `triplet`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["triplet"]}))]
    pub triplet: Triplet,
    /// Settings of the method `contrastive`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["contrastive"]}))]
    pub contrastive: Contrastive,
    /// Settings of the method `am-lfs`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["am-lfs"]}))]
    pub am_lfs: AmLfs,
    /// Settings of the method `random-softmax`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["random-softmax"]}))]
    pub random_softmax: Random,
    /// Settings of the method `search`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["search"]}))]
    pub search: Search,
    /// Settings of the method `search-softmax`.
    #[serde(default)]
    #[schemars(extend("x-when" = {"method": ["search-softmax"]}))]
    pub search_softmax: Reward,
}

/// How a margin enters the gradient.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gradient {
    /// The true gradient of the loss.
    #[default]
    True,
    /// The gradient of plain softmax at the margin-adjusted cosine: the derivative of the margin is left out.
    StraightThrough,
}

/// Which model is the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The winner of the last epoch.
    LastEpoch,
    /// The model with the highest reward of all epochs.
    BestEpoch,
}

mod default {
    use super::{Backbone, Keep};

    pub fn epochs() -> u32 {
        12
    }
    pub fn batch() -> u32 {
        64
    }
    pub fn lr() -> f64 {
        0.1
    }
    pub fn milestones() -> Vec<u32> {
        vec![6, 10]
    }
    pub fn gamma() -> f64 {
        0.1
    }
    pub fn momentum() -> f64 {
        0.9
    }
    pub fn weight_decay() -> f64 {
        5e-4
    }
    pub fn scale() -> f64 {
        32.0
    }
    pub fn one() -> u32 {
        1
    }
    pub fn yes() -> bool {
        true
    }
    pub fn whole() -> f64 {
        1.0
    }
    pub fn flip() -> f64 {
        0.5
    }
    pub fn embedding() -> u32 {
        128
    }
    pub fn backbone() -> Backbone {
        Backbone::ResnetSmall
    }
    pub fn holdout() -> f64 {
        0.1
    }
    pub fn pairs() -> u32 {
        2000
    }
    pub fn keep() -> Keep {
        Keep::LastEpoch
    }
    pub fn threads() -> u32 {
        1
    }
}

impl Params {
    /// The chosen network with its settings.
    pub fn architecture(&self) -> Architecture {
        self.backbone.with(&AllSettings {
            resnet_small: &self.resnet_small,
            resnet_4stage: &self.resnet_4stage,
            iresnet: &self.iresnet,
            mobilefacenet: &self.mobilefacenet,
        })
    }

    /// Checks constraints that the schema cannot express.
    ///
    /// # Errors
    /// A message that names the parameter.
    pub fn check(&self) -> Result<()> {
        within("epochs", f64::from(self.epochs), 1.0, 1e4)?;
        within("batch", f64::from(self.batch), 2.0, 65_536.0)?;
        within("lr", self.lr, 0.0, 100.0)?;
        within("gamma", self.gamma, 0.0, 1.0)?;
        within("momentum", self.momentum, 0.0, 0.9999)?;
        within("weight-decay", self.weight_decay, 0.0, 1.0)?;
        within("scale", self.scale, 0.1, 1000.0)?;
        within("sub-centres", f64::from(self.sub_centres), 1.0, 64.0)?;
        within("class-sample", self.class_sample, 1e-4, 1.0)?;
        if self.method == Method::Softmax && !self.softmax.normalised && self.sub_centres > 1 {
            return Err(Failure::new(
                "softmax.normalised = false has one weight a class, but sub-centres is more",
            )
            .help("set sub-centres = 1, or softmax.normalised = true"));
        }
        within("flip", self.flip, 0.0, 1.0)?;
        within("embedding", f64::from(self.embedding), 2.0, 4096.0)?;
        within("holdout", self.holdout, 0.0, 0.9)?;
        within("pairs", f64::from(self.pairs), 20.0, 1e6)?;
        within("threads", f64::from(self.threads), 1.0, 1024.0)?;
        within("replicas", f64::from(self.replicas), 1.0, 64.0)?;
        if self.replicas > 1 && self.method == Method::CentreLoss {
            return Err(Failure::new(
                "centre-loss moves a centre by the images of its class in the whole batch, but replicas is more than 1",
            )
            .help("set replicas = 1, or choose another method"));
        }
        if !self.batch.is_multiple_of(self.replicas) || self.batch < 2 * self.replicas {
            return Err(Failure::new(format!(
                "batch = {} cannot be shared by replicas = {}: each wants as many images, and two or more",
                self.batch, self.replicas
            )));
        }
        if let Some(pair) = self.milestones.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Failure::new(format!("milestones must rise, but {} follows {}", pair[1], pair[0])));
        }
        self.architecture().check()?;
        self.method.check(self)
    }
}
