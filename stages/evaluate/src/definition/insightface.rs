//! `insightface`: squared L2 distances of unit vectors on a grid of 400 thresholds.

use super::weighted::Preferred;
use super::{Cuts, Definition, Rule, Unit, population_spread, squared_distance};

/// Accept if the squared distance is < t; t = 0, 0.01 .. 3.99, the first that maximises the accuracy on the
/// training folds; population standard deviation. The tool sums the embeddings of an image and its mirror
/// image before normalising (`flip = "sum"`).
pub const RULE: Rule = Rule {
    definition: Definition::Insightface,
    unit: Unit::SquaredDistance,
    threshold,
    cuts: |scores, _| {
        let accepted = |step| scores.partition_point(|s| squared_distance(*s) < f64::from(step) / 100.0);
        Cuts::grid((0..STEPS).map(accepted), Preferred::Strict, false)
    },
    correct: |score, threshold, same| (squared_distance(score) < threshold) == same,
    spread: population_spread,
};

/// The number of thresholds. They cover distances from 0 to 4, which is the whole range of the cosine.
const STEPS: u32 = 400;

fn threshold(scores: &[f64], same: &[bool]) -> f64 {
    let mut best = (0, 0.0);
    for step in 0..STEPS {
        let t = f64::from(step) / 100.0;
        let right = scores.iter().zip(same).filter(|&(&s, &y)| (squared_distance(s) < t) == y).count();
        // The first of equals is kept.
        if right > best.0 {
            best = (right, t);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_covers_distances_far_above_one() {
        // Two scripts in use sweep -1..1 over distances of 0..4 and miss these: the best distances are 3.2
        // and 3.6.
        let t = threshold(&[-0.6, -0.8], &[true, false]);
        assert!((3.2..3.6).contains(&t), "{t}");
        assert!((RULE.correct)(-0.6, t, true) && (RULE.correct)(-0.8, t, false));
    }

    #[test]
    fn the_first_of_the_best_thresholds_is_taken() {
        // Distances 0.5 and 1.5: 0.51 is the first threshold above 0.5.
        assert_eq!(threshold(&[0.75, 0.25], &[true, false]), 0.51);
    }
}
