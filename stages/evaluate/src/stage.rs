//! The kind `evaluate`.

use std::collections::BTreeMap;

use lfs_stage::{
    Choice, Context, Cpu, Failure, Input, IoContext, Output, Result, Source, Stage, choice, one, optional,
};

use lfs_faces::TestSet;

use crate::params::Params;
use crate::work;

/// The kind `evaluate`: from the embeddings and the lists of a test set to `metrics.json`.
pub struct Evaluate;

/// The modules that a protocol's file depends on, besides its own code.
const fn shared(set: TestSet) -> &'static [&'static str] {
    match set {
        TestSet::Lfw | TestSet::Rfw => &["named"],
        TestSet::Xqlfw => &["lfw", "named"],
        TestSet::Calfw | TestSet::Cplfw => &["labelled"],
        _ => &[],
    }
}

impl Stage for Evaluate {
    const KIND: &'static str = "evaluate";
    const SUMMARY: &'static str = "Scores embeddings by a test set's protocol and a named definition";
    const CODE: &'static [&'static [Source]] =
        &[lfs_faces::SOURCE, lfs_formats::SOURCE, lfs_metrics::SOURCE, lfs_products::SOURCE, crate::SOURCE];
    const INPUTS: &'static [Input] = &[
        one("embeddings", "the embeddings of the test set, from an embed stage or another program"),
        optional("dataset", "the test set whose embeddings they are: names and identities by row"),
        optional(
            "names",
            "without a data set: the name of each row, an image and optionally its person a line",
        ),
        one(
            "lists",
            "the test set's own lists, from the acquire stage; a protocol of one file may be that file",
        ),
    ];
    const OUTPUTS: &'static [Output] = &[Output {
        name: "metrics",
        path: "metrics.json",
        about: "the numbers, with definition and interval",
    }];
    const OPTIONS: &'static [[&'static str; 2]] =
        &[["protocol", "set"], ["pairs", "lists"], ["gallery", "lists"], ["lists", "lists"], ["far", "fars"]];
    type Params = Params;

    fn cpu() -> Cpu {
        Cpu::All
    }

    fn choices() -> BTreeMap<String, BTreeMap<String, Choice>> {
        let sets = TestSet::ALL.iter().map(|set| {
            let own = match set {
                TestSet::IjbB | TestSet::IjbC => "ijb".to_owned(),
                _ => set.name().replace('-', "_"),
            };
            let files = std::iter::once(own.as_str()).chain(shared(*set).iter().copied());
            let files: Vec<String> = files.map(|f| format!("evaluate/src/protocol/{f}.rs")).collect();
            (set.name().to_owned(), choice(&files.iter().map(String::as_str).collect::<Vec<_>>()))
        });
        // `exact` is not listed: the error rates by group use its threshold, too.
        let definitions = ["insightface", "facexzoo", "paper"]
            .map(|d| (d, choice(&[&format!("evaluate/src/definition/{d}.rs")])));
        BTreeMap::from([
            ("set".to_owned(), sets.collect()),
            ("definition".to_owned(), definitions.map(|(k, v)| (k.to_owned(), v)).into()),
        ])
    }

    fn check(params: &Params) -> Result<()> {
        params.check()
    }

    fn run(params: &Params, cx: &mut Context<'_>) -> Result<()> {
        let metrics = work::evaluate(params, cx)?;
        for column in &metrics.columns {
            cx.note(column.to_string());
            if let Some(value) = column.value {
                cx.metric(&column.name, value);
            }
        }
        let mut text = serde_json::to_string_pretty(&metrics)
            .map_err(|e| Failure::new(format!("the metrics cannot be written as JSON: {e}")))?;
        text.push('\n');
        let path = cx.output("metrics")?;
        std::fs::write(path, text).doing("write", path)
    }
}
