//! Speed of the bootstrap and of the scan, in seconds: `cargo run --release -p lfs-evaluate --example speed -- [bootstrap|scan]`.
//!
//! - `bootstrap`: 8 methods, each 6,000 pairs in ten folds with 10,000 replicates over 3,000 persons; accuracies of 96 %.
//! - `scan`: 3,530 probes against 100,000 gallery images of 512 numbers, the best image of each probe.

#![allow(clippy::unwrap_used, missing_docs)] // an example can only stop with a message

use std::time::Instant;

use lfs_evaluate::definition::{Trials, Verification, verify};
use lfs_evaluate::draws;
use lfs_evaluate::resample::{Bootstrap, Persons};
use lfs_evaluate::scan::{Identities, Keep, scan};
use lfs_evaluate::score::Embeddings;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ROUNDS: usize = 5;

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    if what != "scan" {
        times("bootstrap, 8 methods x 6,000 pairs x 10,000 replicates", bootstrap());
    }
    if what != "bootstrap" {
        times("scan, 3,530 x 100,000 x 512", scans());
    }
}

fn times(what: &str, run: impl Fn()) {
    let mut all: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    all.sort_by(f64::total_cmp);
    println!("{what}: median {:.2} s, {:.2} to {:.2}", all[ROUNDS / 2], all[0], all[ROUNDS - 1]);
}

fn bootstrap() -> impl Fn() {
    const PERSONS: u32 = 3000;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let names: Vec<String> = (0..PERSONS).map(|i| i.to_string()).collect();
    let persons = Persons::new("speed", names.iter().map(String::as_str));
    let mut pairs = Vec::new();
    let (mut same, mut fold) = (Vec::new(), Vec::new());
    for k in 0..6000_u32 {
        let (f, genuine) = (k / 600, k % 600 < 300);
        let mut draw = || f * (PERSONS / 10) + random.random_range(0..PERSONS / 10);
        let a = draw();
        pairs.push([a, if genuine { a } else { draw() }]);
        same.push(genuine);
        fold.push(f);
    }
    let methods: Vec<Trials> = (0..8)
        .map(|_| {
            let score = |same: &bool| if *same { 0.46 } else { 0.0 } + 0.5 * random.random::<f64>();
            Trials { scores: same.iter().map(score).collect(), same: same.clone(), fold: fold.clone() }
        })
        .collect();
    let how = Bootstrap { replicates: 10_000, seed: 0, confidence: 0.95 };
    move || {
        for trials in &methods {
            let rule = Verification::Exact.rule();
            let verified = verify(rule, trials).unwrap();
            let draws = draws::accuracy(rule, &verified, trials, &pairs, &persons, &how);
            assert_eq!(draws.len(), 10_000);
        }
    }
}

fn scans() -> impl Fn() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut rows = |n: usize| {
        let values = (0..n * 512).map(|_| random.random::<f32>() - 0.5).collect();
        Embeddings::new(values, 512).unwrap()
    };
    let (probes, gallery) = (rows(3530), rows(100_000));
    move || {
        let found = scan(&probes, &gallery, Identities::default(), Keep { per_probe: 1, tail: 0 }, &|_| {});
        assert!(found.best(0, 1) > -1.0);
    }
}
