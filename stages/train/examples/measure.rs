//! How fast an epoch is trained: `measure BACKBONE SIDE CLASSES BATCH STEPS THREADS [bfloat16] [cuda]`, the backbone as JSON. Prints images a
//! second after the first fifth of the steps, the share of the time that batches took to be ready, and peak memory.
//! `benches/training` runs it beside PyTorch.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a measuring program may stop on anything

use std::time::Instant;

use lfs_faces::dataset::{Crop, Face, Info, Writer};
use lfs_faces::image::{Pixels, encode_png};
use lfs_train::epoch::{self, EpochIn, EpochSpec};

fn main() {
    lfs_network::device::load_gpu_library();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| args[i].parse::<u32>().expect("a number");
    let (side, classes, batch, steps, threads) = (number(1), number(2), number(3), number(4), number(5));
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(dir.path()).unwrap();
    for i in 0..batch * steps {
        let rgb = (0..side * side * 3).map(|p| (p.wrapping_mul(2_654_435_761) >> (i % 20)) as u8).collect();
        let image = encode_png(&Pixels { width: side, height: side, rgb }).unwrap();
        writer
            .push(&Face {
                image,
                identity: i % classes,
                name: format!("{i}"),
                points: None,
                group: None,
                flags: 0,
            })
            .unwrap();
    }
    let crop = Some(Crop { size: side, width: None, template: "arcface-112".into(), encoding: "png".into() });
    let identities = (0..classes).map(|i| i.to_string()).collect();
    writer.finish(Info { identities, crop, ..Info::default() }).unwrap();
    let spec = serde_json::json!({
        "epoch": 0, "seed": 0, "form": { "am-softmax": { "margin": 0.35, "easy-margin": false } }, "scale": 32.0,
        "backbone": serde_json::from_str::<serde_json::Value>(&args[0]).unwrap(), "embedding": 128, "batch": batch,
        "lr": { "from": 0.05, "to": 0.05 }, "gradient": "true", "sub-centres": 1,
        "precision": if args.iter().any(|a| a == "bfloat16") { "bfloat16" } else { "float32" },
        "class-sample": 1.0, "momentum": 0.9,
        "weight-decay": 5e-4, "flip": 0.5, "holdout": null, "pairs": 100, "threads": threads,
        "arithmetic": if args.iter().any(|a| a == "fastest" || a == "bfloat16") { "fastest" } else { "portable" },
        "device": if args.iter().any(|a| a == "cuda") { "cuda" } else { "cpu" },
    });
    let spec: EpochSpec = serde_json::from_value(spec).unwrap();
    let folder = dir.path().join("checkpoint");
    let input = EpochIn {
        spec: &spec,
        dataset: dir.path(),
        validation: None,
        start: None,
        after: &[],
        folder: &folder,
        threads: threads as usize,
    };
    let (mut from, mut last, mut loading) = (None, None, 0.0);
    epoch::run(&input, &mut |progress| {
        let now = (Instant::now(), progress.done);
        if progress.done >= u64::from(batch * steps / 5) {
            from.get_or_insert(now);
        }
        last = Some(now);
        loading = progress.figures["loading"];
    })
    .unwrap();
    let ((begun, first), (ended, done)) = (from.unwrap(), last.unwrap());
    let peak = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = peak.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
    eprintln!("share of the time that batches took to be ready: {loading:.4}");
    println!("{:.2} {}", (done - first) as f64 / (ended - begun).as_secs_f64(), peak.trim_end_matches(" kB"));
}
