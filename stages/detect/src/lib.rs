//! Detects faces and their five landmarks, for sets without landmarks.
//!
//! A [`detector`] finds all faces of a picture, each with a score, a box and five points. Of several faces in one picture, `choose`
//! selects one by the policy; the report has a row for every image. [`torch_file`] reads weights in PyTorch's format, [`lfs_onnx`]
//! reads networks in the ONNX format.

mod area;
mod boxes;
mod choose;
pub mod detector;
mod options;
mod report;
mod run;
mod taken_over;
pub mod torch_file;

use std::collections::BTreeMap;

use lfs_network::device;
use lfs_stage::{Choice, Context, Cpu, Input, Output, Result, Source, Stage, choice, one};

pub use options::{DetectorName, Options, Policy, Unreadable, WithoutFace};

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;

/// The kind `detect`.
#[derive(Debug, Clone, Copy)]
pub struct Detect;

/// Sources of the crate of networks that do not affect detection; see [`Stage::choices`].
const ELSEWHERE: &[&str] = &[
    "network/src/backbone/iresnet.rs",
    "network/src/backbone/layers.rs",
    "network/src/backbone/mobilefacenet.rs",
    "network/src/backbone/mod.rs",
    "network/src/backbone/residual.rs",
    "network/src/backbone/resnet_4stage.rs",
    "network/src/backbone/resnet_small.rs",
    "network/src/backbone/table.rs",
    "network/src/builder.rs",
    "network/src/crops.rs",
    "network/src/memory.rs",
    "network/src/model.rs",
    "network/src/random.rs",
    "network/src/sgd.rs",
    "network/src/weights.rs",
];

impl Stage for Detect {
    const KIND: &'static str = "detect";
    const SUMMARY: &'static str = "Finds faces and their five points";
    const CODE: &'static [&'static [Source]] = &[
        lfs_faces::SOURCE,
        lfs_network::SOURCE,
        lfs_products::SOURCE,
        lfs_onnx::SOURCE,
        lfs_rows::SOURCE,
        SOURCE,
    ];
    const INPUTS: &'static [Input] = &[
        one("dataset", "images unchanged"),
        one("model", "the detector's weights: a folder that has them at any depth, or their file"),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output { name: "dataset", path: "dataset", about: "the same images, with five points each" },
        Output {
            name: "report",
            path: "report",
            about: "faces.csv: for every image what was found and what was done; summary.json: how many of each; rows.jsonl: the same for a \
                    later run to take over",
        },
    ];
    const BY_ROW: &'static [&'static str] = &["dataset"];
    type Params = Options;

    fn cpu() -> Cpu {
        Cpu::All
    }

    fn facts() -> BTreeMap<String, String> {
        device::facts()
    }

    fn choices() -> BTreeMap<String, BTreeMap<String, Choice>> {
        let mut devices = device::choices();
        devices.insert("(none)".to_owned(), choice(ELSEWHERE));
        BTreeMap::from([
            ("device".to_owned(), devices),
            ("arithmetic".to_owned(), device::arithmetics()),
            ("detector".to_owned(), DetectorName::choices()),
        ])
    }

    fn check(options: &Options) -> Result<()> {
        options.check()
    }

    fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
        run::run(options, cx)
    }
}
