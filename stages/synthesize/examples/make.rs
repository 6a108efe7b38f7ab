//! Generates a world in a folder and reports the rate: `cargo run --release -p lfs-synthesize --example make -- FOLDER [threads]
//! ['{"identities": 200}']`

use std::collections::BTreeMap;
use std::path::PathBuf;

use lfs_stage::{Job, Stage, run_in_place};
use lfs_synthesize::Synthesize;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().unwrap_or_else(|| "world".to_owned()));
    let threads = args.next().and_then(|a| a.parse().ok()).unwrap_or(2);
    let parameters = serde_json::from_str(&args.next().unwrap_or_else(|| "{}".to_owned()))?;
    let outputs = Synthesize::OUTPUTS.iter().map(|o| (o.name.to_owned(), folder.join(o.path))).collect();
    let scratch = folder.join("scratch");
    let (node, kind) = ("world".to_owned(), "synthesize".to_owned());
    let job = Job {
        node,
        kind,
        parameters,
        inputs: BTreeMap::new(),
        outputs,
        scratch,
        threads,
        earlier: BTreeMap::new(),
    };
    let start = std::time::Instant::now();
    let (result, _) = run_in_place(&Synthesize, &job);
    result?;
    let seconds = start.elapsed().as_secs_f64();
    let images = std::fs::read_to_string(folder.join("truth/truth.csv"))?.lines().count() - 1;
    println!(
        "{images} images in {seconds:.1} s: {:.0} images/s on {threads} threads",
        images as f64 / seconds
    );
    Ok(())
}
