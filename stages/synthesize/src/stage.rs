//! The kind `synthesize`.

use lfs_stage::{Context, Cpu, Failure, Input, Output, Result, Source, Stage};

use crate::layout;
use crate::params::{Params, Set};
use crate::training::Training;
use crate::truth::Truth;
use crate::world::World;
use crate::write::Press;

/// Generates a world of faces with a known ground truth.
pub struct Synthesize;

const fn output(name: &'static str, about: &'static str) -> Output {
    Output { name, path: name, about }
}

impl Stage for Synthesize {
    const KIND: &'static str = "synthesize";
    const SUMMARY: &'static str = "Draws a world of faces with a known truth, in every protocol's own layout";
    const CODE: &'static [&'static [Source]] = &[lfs_faces::SOURCE, lfs_formats::SOURCE, crate::SOURCE];
    const INPUTS: &'static [Input] = &[];
    const OUTPUTS: &'static [Output] = &[
        output("train", "the training set: a folder an identity, with planted faults"),
        output("lfw", "LFW's layout"),
        output("sllfw", "SLLFW's layout: different pairs look alike"),
        output("calfw", "CALFW's layout: pairs years apart"),
        output("cplfw", "CPLFW's layout: pairs that differ in pose"),
        output("agedb", "AgeDB's layout"),
        output("cfp", "CFP's layout: frontal and profile"),
        output("rfw", "RFW's layout: four groups"),
        output("megaface", "MegaFace's layout: probes and distractors"),
        output("trillion-pairs", "the layout of Trillion-Pairs, with labels"),
        output("xqlfw", "XQLFW's layout: pairs of unequal quality"),
        output("ijb-b", "the layout of IJB-B: templates, two galleries"),
        output("ijb-c", "the layout of IJB-C"),
        output("tinyface", "TinyFace's layout: small probes, gallery and distractors"),
        output("truth", "who is shown, how, and what was planted where"),
    ];
    type Params = Params;

    fn cpu() -> Cpu {
        Cpu::All
    }

    fn check(params: &Params) -> Result<()> {
        params.check()
    }

    fn run(params: &Params, cx: &mut Context<'_>) -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(cx.threads())
            .build()
            .map_err(|e| Failure::new(format!("cannot start {} threads: {e}", cx.threads())))?;
        let world = World::new(params);
        let mut truth = Truth::create(&world, cx.output("truth")?)?;
        let mut press = Press::new(&world, &pool, &mut truth, layout::estimate(&world));
        for set in Set::ALL {
            let root = cx.output(set.name())?;
            if params.writes(set) {
                layout::write(&mut press, cx, set, root)?;
            } else {
                std::fs::create_dir_all(root)
                    .map_err(|e| Failure::new(format!("cannot create {}: {e}", root.display())))?;
            }
        }
        let images = press.done();
        let overlaps = if params.writes(Set::Train) { Training::new(&world).overlaps } else { Vec::new() };
        cx.metric("images", images as f64);
        cx.metric("overlaps", overlaps.len() as f64);
        truth.finish(&overlaps)
    }
}
