//! Random streams: one for every purpose and number, so that any item can be generated alone and in any order.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// The stream of (seed, purpose, numbers).
pub fn stream(seed: u64, purpose: &str, numbers: &[u64]) -> ChaCha8Rng {
    let mut hash = blake3::Hasher::new_derive_key("lfs-synthesize random stream 1");
    hash.update(&seed.to_le_bytes());
    hash.update(&(purpose.len() as u64).to_le_bytes());
    hash.update(purpose.as_bytes());
    for n in numbers {
        hash.update(&n.to_le_bytes());
    }
    ChaCha8Rng::from_seed(*hash.finalize().as_bytes())
}

/// Helpers for drawing random numbers.
pub trait Draw {
    /// Uniform in `[lo, hi)`.
    fn uniform(&mut self, lo: f32, hi: f32) -> f32;
    /// Normal with mean 0 and this standard deviation.
    fn normal(&mut self, std: f32) -> f32;
    /// True with probability `p`.
    fn chance(&mut self, p: f64) -> bool;
    /// An integer below `n`; 0 if `n` is 0.
    fn below(&mut self, n: u64) -> u64;
}

impl Draw for ChaCha8Rng {
    fn uniform(&mut self, lo: f32, hi: f32) -> f32 {
        lo + (hi - lo) * self.random::<f32>()
    }

    fn normal(&mut self, std: f32) -> f32 {
        let z: f32 = StandardNormal.sample(self);
        z * std
    }

    fn chance(&mut self, p: f64) -> bool {
        self.random::<f64>() < p
    }

    fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.random_range(0..n) }
    }
}

/// Shuffles `items`.
pub fn shuffle<T>(rng: &mut ChaCha8Rng, items: &mut [T]) {
    for i in (1..items.len()).rev() {
        let j = rng.random_range(0..=i);
        items.swap(i, j);
    }
}
