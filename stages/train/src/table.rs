//! The methods, one row each.
//!
//! A row binds a name to code and says nothing else, and what it binds is itself counted for that name. So this
//! file counts for no result: a further method leaves the trainings of all others valid.

use std::collections::BTreeMap;

use lfs_stage::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::loss::head::Loss;
use crate::loss::{a_softmax, am_lfs, am_softmax, arc_softmax, l5, softmax, v_softmax};
use crate::method::{Draw, Now, Settings, methods};
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
    /// Piecewise linear transforms, searched by reward (AM-LFS).
    AmLfs "am-lfs" am_lfs => am_lfs::PiecewiseLinear,
        counts "loss/am_lfs.rs" "search/am_lfs.rs" "search/policy.rs";
    /// L5 with a drawn anew each epoch.
    RandomSoftmax "random-softmax" random_softmax => l5::L5,
        counts "loss/l5.rs" "search/random.rs";
    /// L5 with a searched by reward.
    SearchSoftmax "search-softmax" search_softmax => l5::L5,
        counts "loss/l5.rs" "search/reward.rs" "search/policy.rs";
}
