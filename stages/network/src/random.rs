//! Named random streams.
//!
//! A stream is derived from a seed, a purpose and numbers (an epoch, an index). No generator state is carried
//! over, so nothing is lost when a run is interrupted.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The stream for a purpose: `stream(seed, "data order", &[epoch])`.
pub fn stream(seed: u64, purpose: &str, numbers: &[u64]) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key("lfs-pipe random stream v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&(purpose.len() as u64).to_le_bytes());
    hasher.update(purpose.as_bytes());
    for number in numbers {
        hasher.update(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn a_stream_is_fixed_by_seed_purpose_and_numbers() {
        let draw = |seed, purpose, numbers: &[u64]| stream(seed, purpose, numbers).random::<u64>();
        assert_eq!(draw(1, "order", &[2]), draw(1, "order", &[2]));
        let all =
            [draw(1, "order", &[2]), draw(2, "order", &[2]), draw(1, "flips", &[2]), draw(1, "order", &[3])];
        assert!((0..4).all(|i| (0..i).all(|j| all[i] != all[j])), "{all:?}");
    }
}
