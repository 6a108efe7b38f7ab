//! Trains a network with a margin loss, fixed or searched.
//!
//! - [`spec`]: the parameters; [`table`]: the methods.
//! - [`loss`]: the losses; [`search`]: the loss searches.
//! - [`chain`]: the training, a chain of epochs; [`epoch`]: one epoch; [`feed`]: its batches; [`step`]: a
//!   training step.

use std::collections::BTreeMap;
use std::path::Path;

use lfs_network::backbone::Backbone;
use lfs_network::device;
use lfs_stage::{
    Choice, Context, Cpu, Gpus, Input, Output, Result, Source, Stage, Step, choice, one, optional,
};

pub mod chain;
pub mod checkpoint;
pub mod epoch;
pub mod feed;
pub mod figures;
pub mod log;
pub mod loss;
pub mod method;
pub mod schedule;
pub mod search;
pub mod spec;
pub mod split;
pub mod step;
pub mod table;
pub mod verify;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The kind `train`.
#[derive(Debug, Clone, Copy)]
pub struct Train;

/// Files that affect a result only through what the key has anyway (names bound to files in the key,
/// parameters with their values), and tests. They are attributed to a value that cannot be chosen.
const DECLARATIONS: &[&str] = &[
    "network/src/backbone/mod.rs",
    "train/src/loss/mod.rs",
    "train/src/search/mod.rs",
    "train/src/spec.rs",
    "train/src/table.rs",
];

impl Stage for Train {
    const KIND: &'static str = "train";
    const SUMMARY: &'static str = "Trains a network with a margin loss, fixed or searched";
    const CODE: &'static [&'static [Source]] =
        &[lfs_faces::SOURCE, lfs_network::SOURCE, lfs_products::SOURCE, crate::SOURCE];
    const INPUTS: &'static [Input] = &[
        one("dataset", "aligned crops to train on"),
        optional("validation", "aligned crops of other identities, for the reward of a search"),
        optional(
            "start",
            "a network of kind train to start from: the same backbone, embedding and size; the head is new",
        ),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output { name: "model", path: "model", about: "the network: model.safetensors, model.json" },
        Output { name: "log", path: "log", about: "what was seen of each epoch: epochs.csv, epochs.json" },
    ];
    type Params = spec::Params;

    fn cpu() -> Cpu {
        Cpu::Parameter("threads".to_owned())
    }

    fn facts() -> BTreeMap<String, String> {
        device::facts()
    }

    fn choices() -> BTreeMap<String, BTreeMap<String, Choice>> {
        let mut methods: BTreeMap<String, Choice> =
            table::Method::ALL.iter().map(|m| (m.name().to_owned(), choice(m.sources()))).collect();
        methods.insert("(none)".to_owned(), choice(DECLARATIONS));
        let backbones = Backbone::ALL.iter().map(|b| (b.name().to_owned(), choice(&[b.source()]))).collect();
        let mut devices = device::choices();
        if let Some(cuda) = devices.get_mut("cuda") {
            cuda.gpus = Some(Gpus::Parameter("replicas".to_owned()));
        }
        BTreeMap::from([
            ("method".to_owned(), methods),
            ("backbone".to_owned(), backbones),
            ("device".to_owned(), devices),
            ("precision".to_owned(), device::precisions()),
            ("arithmetic".to_owned(), device::arithmetics()),
        ])
    }

    fn check(params: &Self::Params) -> Result<()> {
        params.check()
    }

    fn run(params: &Self::Params, cx: &mut Context<'_>) -> Result<()> {
        chain::run(params, cx)
    }

    fn step(
        params: &Self::Params,
        step: &Step,
        after: &[&Path],
        folder: &Path,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        chain::step(params, step, after, folder, cx)
    }
}
