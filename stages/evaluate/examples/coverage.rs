//! How often the 95 % intervals cover the truth, over many made worlds.
//!
//!     cargo run --release -p lfs-evaluate --example coverage -- [WORLDS [KIND]]
//!
//! A world is a number of persons with embeddings of their images: a centre for each person, some of them nearer to all others than
//! the rest (so that errors depend on persons), and noise for each image. All pairs are compared. The truth is the mean over
//! many other worlds. FMR and FNMR are at a fixed threshold, TPR at a FAR at that which the world itself chooses.

use lfs_evaluate::draws;
use lfs_evaluate::resample::{Bootstrap, Persons, deviations, second_order, weight};
use lfs_evaluate::tpr_at_far::tpr_at_far;
use lfs_metrics::{Draws, student, wilson};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const WIDTH: usize = 24;
const HOW: Bootstrap = Bootstrap { replicates: 400, seed: 0, confidence: 0.95 };

/// A kind of world.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    persons: usize,
    images: usize,
    /// How many pairs of two persons are compared: 0 for all.
    negatives: usize,
    /// How unequal persons are.
    spread: f64,
}

const KINDS: [Kind; 5] = [
    Kind { name: "all pairs, equal persons", persons: 100, images: 3, negatives: 0, spread: 0.0 },
    Kind { name: "all pairs, unequal persons", persons: 100, images: 3, negatives: 0, spread: 0.2 },
    Kind { name: "all pairs, more persons", persons: 250, images: 2, negatives: 0, spread: 0.2 },
    Kind {
        name: "all pairs, a few persons make most errors",
        persons: 250,
        images: 2,
        negatives: 0,
        spread: 0.5,
    },
    Kind { name: "as LFW, 3,000 pairs of each", persons: 2000, images: 3, negatives: 3000, spread: 0.2 },
];

/// The scored pairs of a world.
struct World {
    scores: Vec<f64>,
    same: Vec<bool>,
    pairs: Vec<[u32; 2]>,
}

fn normal(random: &mut impl Rng) -> f64 {
    let (a, b): (f64, f64) = (random.random::<f64>().max(1e-300), random.random());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

fn world(kind: &Kind, seed: u64) -> World {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut images: Vec<(u32, [f32; WIDTH])> = Vec::new();
    for person in 0..kind.persons {
        let mut centre = [0.0; WIDTH];
        centre.iter_mut().for_each(|x| *x = normal(&mut random));
        // A person who leans towards one direction is nearer to all who do.
        centre[0] += (kind.spread * normal(&mut random)).exp() * 4.0 * kind.spread;
        let noise = 0.55 * (0.5 * kind.spread * normal(&mut random)).exp();
        for _ in 0..kind.images {
            let mut image = [0.0_f32; WIDTH];
            for (x, c) in image.iter_mut().zip(&centre) {
                *x = (c + noise * normal(&mut random)) as f32;
            }
            let norm = image.iter().map(|x| x * x).sum::<f32>().sqrt();
            image.iter_mut().for_each(|x| *x /= norm);
            images.push((person as u32, image));
        }
    }
    let mut out = World { scores: Vec::new(), same: Vec::new(), pairs: Vec::new() };
    let mut push = |i: usize, j: usize| {
        let ((a, x), (b, y)) = (&images[i], &images[j]);
        out.scores.push(f64::from(x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>()));
        out.same.push(a == b);
        out.pairs.push([*a, *b]);
    };
    let n = images.len();
    if kind.negatives == 0 {
        (0..n).for_each(|i| (i + 1..n).for_each(|j| push(i, j)));
        return out;
    }
    for k in 0..kind.negatives {
        let (i, j) = (random.random_range(0..n), random.random_range(0..n));
        if i / kind.images != j / kind.images {
            push(i, j);
        }
        let person = k % kind.persons * kind.images;
        push(person + k / kind.persons % kind.images, person + (k / kind.persons + 1) % kind.images);
    }
    out
}

/// A share of a world's pairs at a fixed threshold: errors of one label.
fn rate(world: &World, label: bool, threshold: f64, persons: &Persons) -> (f64, Draws, u64) {
    let pairs: Vec<([u32; 2], f64)> = (0..world.scores.len())
        .filter(|i| world.same[*i] == label)
        .map(|i| (world.pairs[i], f64::from(u8::from((world.scores[i] > threshold) != label))))
        .collect();
    let count = pairs.len() as f64;
    let value = pairs.iter().map(|p| p.1).sum::<f64>() / count;
    let found = HOW.sample(persons, |weights| {
        let (mut errors, mut all, mut second) = (0.0, 0.0, 0.0);
        for (pair, error) in &pairs {
            let weight = weight(weights, *pair);
            errors += weight * error;
            all += weight;
            second += second_order(weights, *pair) * (error - value);
        }
        vec![errors / all, second / count]
    });
    (value, draws::without_second_order(deviations(&found[0], value), found[1].clone()), pairs.len() as u64)
}

fn tpr(world: &World, far: f64, persons: &Persons) -> (f64, Draws, u64) {
    let of = |label: bool| {
        let all = world.scores.iter().zip(&world.same);
        all.filter(|(_, same)| **same == label).map(|(s, _)| *s as f32).collect::<Vec<f32>>()
    };
    let (positives, mut negatives) = (of(true), of(false));
    negatives.sort_unstable_by(|a, b| b.total_cmp(a));
    let at = tpr_at_far(far, &positives, &negatives, negatives.len() as u64);
    let trials = lfs_evaluate::definition::Trials {
        scores: world.scores.clone(),
        same: world.same.clone(),
        fold: vec![0; world.same.len()],
    };
    let draws = draws::pair_tprs(&[at], &trials, &world.pairs, persons, &HOW).remove(0);
    (at.tpr.unwrap_or(f64::NAN), draws, at.positives)
}

/// How often an interval covered the truth, was above it, below it; and its mean length.
#[derive(Default, Clone, Copy)]
struct Tally {
    covered: u32,
    above: u32,
    below: u32,
    length: f64,
}

impl Tally {
    fn add(&mut self, [low, high]: [f64; 2], truth: f64) {
        self.length += high - low;
        match () {
            () if low > truth => self.above += 1,
            () if high < truth => self.below += 1,
            () => self.covered += 1,
        }
    }
}

fn report(name: &str, truth: f64, results: Vec<(f64, Draws, u64)>, persons: usize) {
    let t = student::quantile(0.95, persons as f64 - 1.0);
    let (mut adjusted, mut bootstrap, mut naive) = (Tally::default(), Tally::default(), Tally::default());
    let (mut zero, mut square, mut claimed) = (0, 0.0, 0.0);
    for (value, draws, trials) in &results {
        let variance = draws.variance().unwrap_or(0.0);
        adjusted.add(wilson::interval(*value, variance, *trials as f64, t), truth);
        naive.add(wilson::interval(*value, 0.0, *trials as f64, t), truth);
        bootstrap.add(draws.interval(*value, 0.95).unwrap_or([*value; 2]), truth);
        zero += u32::from(*value == 0.0);
        square += (value - truth).powi(2);
        claimed += variance;
    }
    let n = results.len() as f64;
    let one = |tally: Tally| {
        let percent = |count: u32| 100.0 * f64::from(count) / n;
        format!(
            "{:5.1} % ({:.1} / {:.1})",
            percent(tally.covered),
            percent(tally.below),
            percent(tally.above)
        )
    };
    println!(
        "  {name:<14} {truth:9.2e}  {:5.1} %   {:<24} {:<24} {:<24} {:.2}",
        100.0 * f64::from(zero) / n,
        one(adjusted),
        one(bootstrap),
        one(naive),
        (claimed / square).sqrt()
    );
}

fn main() {
    let worlds: u64 = std::env::args().nth(1).and_then(|w| w.parse().ok()).unwrap_or(1000);
    let wanted = std::env::args().nth(2).unwrap_or_default();
    println!(
        "coverage of 95 % intervals over {worlds} worlds: covered (truth above / truth below); the last column is the mean"
    );
    println!("standard error that was computed over the true one");
    for kind in KINDS.iter().filter(|kind| kind.name.contains(&wanted)) {
        println!("\n{}: {} persons x {} images", kind.name, kind.persons, kind.images);
        println!(
            "  {:<14} {:<9}  {:<8}  {:<24} {:<24} {:<24} error",
            "number", "truth", "zero", "Wilson, dependent", "bootstrap", "Wilson, independent"
        );
        // Thresholds out of other worlds.
        let mut pool: Vec<f64> = Vec::new();
        for seed in 0..(6_000_000 / (kind.persons * kind.images).pow(2) as u64).clamp(8, 800) {
            let w = world(kind, (1 << 40) + seed);
            pool.extend(w.scores.iter().zip(&w.same).filter(|(_, same)| !**same).map(|(s, _)| *s));
        }
        pool.sort_by(|a, b| b.total_cmp(a));
        let names: Vec<String> = (0..kind.persons).map(|i| i.to_string()).collect();
        let persons = Persons::new("made", names.iter().map(String::as_str));
        for fmr in [1e-2, 1e-3, 1e-4] {
            let threshold = pool[(fmr * pool.len() as f64) as usize];
            let truth: Vec<[f64; 2]> = (0..4 * worlds)
                .into_par_iter()
                .map(|seed| {
                    let w = world(kind, (1 << 41) + seed);
                    [false, true].map(|label| {
                        let some = w.scores.iter().zip(&w.same).filter(|(_, same)| **same == label);
                        let errors = some.clone().filter(|(s, _)| (**s > threshold) != label).count();
                        errors as f64 / some.count() as f64
                    })
                })
                .collect();
            let mean = |k: usize| truth.iter().map(|rates| rates[k]).sum::<f64>() / truth.len() as f64;
            for (name, label, truth) in [("FMR", false, mean(0)), ("FNMR", true, mean(1))] {
                let results =
                    (0..worlds).map(|seed| rate(&world(kind, seed), label, threshold, &persons)).collect();
                report(&format!("{name} {fmr:e}"), truth, results, kind.persons);
            }
            let negatives = (kind.persons * kind.images) as f64;
            let negatives =
                if kind.negatives > 0 { kind.negatives as f64 } else { negatives * negatives / 2.0 };
            if fmr * negatives >= 5.0 {
                let results: Vec<_> =
                    (0..worlds).map(|seed| tpr(&world(kind, seed), fmr, &persons)).collect();
                // The mean of such worlds: the threshold of a world is biased by its size.
                let truth = results.iter().map(|r| r.0).sum::<f64>() / results.len() as f64;
                report(&format!("TPR@{fmr:e}"), truth, results, kind.persons);
            }
        }
    }
}
