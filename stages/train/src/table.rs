//! The table of methods.
//!
//! A row only binds a name to code, and that code is part of the key for the name. So this file is not part
//! of any key, and adding a method invalidates no training of another.

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
    /// Plain softmax, on cosines or on inner products.
    Softmax "softmax" softmax => softmax::Softmax,
        counts "loss/softmax.rs";
    /// A factor on the angle, annealed (SphereFace).
    ASoftmax "a-softmax" a_softmax => a_softmax::ASoftmax,
        counts "loss/a_softmax.rs";
    /// An extra class aligned with each image (Virtual Softmax).
    VSoftmax "v-softmax" v_softmax => v_softmax::VSoftmax,
        counts "loss/v_softmax.rs";
    /// A margin on the angle (ArcFace).
    ArcSoftmax "arc-softmax" arc_softmax => arc_softmax::ArcSoftmax,
        counts "loss/arc_softmax.rs";
    /// A margin on the cosine (AM-Softmax, CosFace).
    AmSoftmax "am-softmax" am_softmax => am_softmax::AmSoftmax,
        counts "loss/am_softmax.rs";
    /// A factor on the angle, and margins on the angle and the cosine.
    CombinedMargin "combined-margin" combined_margin => combined::Combined,
        counts "loss/combined.rs";
    /// Higher weight of misclassified classes (MV-Softmax).
    MvSoftmax "mv-softmax" mv_softmax => mv_softmax::MvSoftmax,
        counts "loss/mv_softmax.rs" "loss/arc_softmax.rs";
    /// Hard classes gain weight as training progresses (CurricularFace).
    CurricularFace "curricularface" curricularface => curricular::CurricularFace,
        counts "loss/curricular.rs" "loss/arc_softmax.rs";
    /// A margin that adapts to the norm of the embedding (AdaFace).
    AdaFace "adaface" adaface => adaface::AdaFace,
        counts "loss/adaface.rs" "loss/combined.rs";
    /// Each similarity weighted by its distance from the optimum (Circle loss).
    CircleLoss "circle-loss" circle_loss => circle::Circle,
        counts "loss/circle.rs";
    /// Softmax plus a pull of embeddings towards class centres (centre loss).
    CentreLoss "centre-loss" centre_loss => centre::Centre,
        counts "loss/centre.rs";
    /// Triplet loss, mined in each batch.
    Triplet "triplet" triplet => triplet::Triplet,
        counts "loss/triplet.rs";
    /// Contrastive loss over all pairs of a batch.
    Contrastive "contrastive" contrastive => contrastive::Contrastive,
        counts "loss/contrastive.rs";
    /// Piecewise linear transforms searched by reward (AM-LFS).
    AmLfs "am-lfs" am_lfs => am_lfs::PiecewiseLinear,
        counts "loss/am_lfs.rs" "search/am_lfs.rs" "search/policy.rs";
    /// L5 with a random a in each epoch.
    RandomSoftmax "random-softmax" random_softmax => l5::L5,
        counts "loss/l5.rs" "search/random.rs";
    /// A search of the parameter of a margin loss: random, by reward, on a grid, or by a population.
    Search "search" search => margin::Margined,
        counts "search/margin.rs" "search/policy.rs" "loss/l5.rs" "loss/am_softmax.rs" "loss/arc_softmax.rs"
            "loss/mv_softmax.rs" "loss/curricular.rs" "loss/adaface.rs" "loss/combined.rs" "loss/circle.rs";
    /// L5 with the parameter a searched by reward.
    SearchSoftmax "search-softmax" search_softmax => l5::L5,
        counts "loss/l5.rs" "search/reward.rs" "search/policy.rs";
}
