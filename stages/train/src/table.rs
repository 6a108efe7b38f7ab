//! The methods, one row each.
//!
//! A row binds a name to code and says nothing else, and what it binds is itself counted for that name. So this
//! file counts for no result: a further method leaves the trainings of all others valid.

use std::collections::BTreeMap;

use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::loss::head::Loss;
use crate::loss::{
    a_softmax, adaface, am_lfs, am_softmax, arc_softmax, centre, circle, combined, contrastive, curricular,
    l5, mv_softmax, softmax, triplet, v_softmax,
};
use crate::method::{Draw, Now, Past, Settings, methods};
use crate::search::margin;
use crate::spec::Params;

methods! {
    /// Plain softmax on normalised embeddings and class weights.
    Softmax "softmax" softmax => softmax::Softmax,
        counts "loss/softmax.rs";
    /// A factor on the angle, annealed (SphereFace).
    ASoftmax "a-softmax" a_softmax => a_softmax::ASoftmax,
        counts "loss/a_softmax.rs";
    /// A virtual class that follows each image (Virtual Softmax).
    VSoftmax "v-softmax" v_softmax => v_softmax::VSoftmax,
        counts "loss/v_softmax.rs";
    /// A margin on the angle (ArcFace).
    ArcSoftmax "arc-softmax" arc_softmax => arc_softmax::ArcSoftmax,
        counts "loss/arc_softmax.rs";
    /// A margin on the cosine (AM-Softmax, CosFace).
    AmSoftmax "am-softmax" am_softmax => am_softmax::AmSoftmax,
        counts "loss/am_softmax.rs";
    /// Margins on the factor, the angle and the cosine together.
    CombinedMargin "combined-margin" combined_margin => combined::Combined,
        counts "loss/combined.rs";
    /// Mistaken classes weigh more (MV-Softmax).
    MvSoftmax "mv-softmax" mv_softmax => mv_softmax::MvSoftmax,
        counts "loss/mv_softmax.rs" "loss/arc_softmax.rs";
    /// Hard classes weigh more as the training goes well (CurricularFace).
    CurricularFace "curricularface" curricularface => curricular::CurricularFace,
        counts "loss/curricular.rs" "loss/arc_softmax.rs";
    /// A margin that follows the length of the embedding (AdaFace).
    AdaFace "adaface" adaface => adaface::AdaFace,
        counts "loss/adaface.rs" "loss/combined.rs";
    /// Each similarity pulled by how far it is off (Circle loss).
    CircleLoss "circle-loss" circle_loss => circle::Circle,
        counts "loss/circle.rs";
    /// Softmax, and embeddings drawn to centres (centre loss).
    CentreLoss "centre-loss" centre_loss => centre::Centre,
        counts "loss/centre.rs";
    /// Triplets, mined in each batch.
    Triplet "triplet" triplet => triplet::Triplet,
        counts "loss/triplet.rs";
    /// Pairs of each batch.
    Contrastive "contrastive" contrastive => contrastive::Contrastive,
        counts "loss/contrastive.rs";
    /// Piecewise linear transforms, searched by reward (AM-LFS).
    AmLfs "am-lfs" am_lfs => am_lfs::PiecewiseLinear,
        counts "loss/am_lfs.rs" "search/am_lfs.rs" "search/policy.rs";
    /// L5 with a drawn anew each epoch.
    RandomSoftmax "random-softmax" random_softmax => l5::L5,
        counts "loss/l5.rs" "search/random.rs";
    /// The number of any margin loss: drawn, by reward, on a grid, by a population.
    Search "search" search => margin::Margined,
        counts "search/margin.rs" "search/policy.rs" "loss/l5.rs" "loss/am_softmax.rs" "loss/arc_softmax.rs"
            "loss/mv_softmax.rs" "loss/curricular.rs" "loss/adaface.rs" "loss/combined.rs" "loss/circle.rs";
    /// L5 with a searched by reward.
    SearchSoftmax "search-softmax" search_softmax => l5::L5,
        counts "loss/l5.rs" "search/reward.rs" "search/policy.rs";
}
