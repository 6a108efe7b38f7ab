//! `facexzoo`: cosine, 1000 steps between the extremes of the training scores.

use super::weighted::Preferred;
use super::{Cuts, Definition, Rule, Unit, mean_std};

/// argmax(TPR - FPR) over `min + i (max - min) / 1000`, i = 1 .. 1000, the first of equals. A positive is
/// correct if strictly above, a negative if strictly below, so a score equal to the threshold is always
/// wrong. The deviation that the tool prints is the sample deviation (ddof 1) over sqrt(folds): here the
/// standard error.
pub const RULE: Rule = Rule {
    definition: Definition::Facexzoo,
    unit: Unit::Cosine,
    threshold,
    cuts: |scores, _| {
        let (min, max) = super::verify::extremes(scores);
        let at = |i| min + (max - min) / f64::from(STEPS) * f64::from(i);
        let accepted = |i| scores.partition_point(|s| *s > at(i));
        Cuts::grid((1..=STEPS).map(accepted), Preferred::Lenient, true)
    },
    correct: |score, threshold, same| if same { score > threshold } else { score < threshold },
    spread: |folds| {
        let std = mean_std(folds, 1).1;
        (std, std / (folds.len() as f64).sqrt())
    },
};

const STEPS: u32 = 1000;

fn threshold(scores: &[f64], same: &[bool]) -> f64 {
    let (min, max) = super::verify::extremes(scores);
    let step = (max - min) / f64::from(STEPS);
    let positives = same.iter().filter(|s| **s).count() as f64;
    let negatives = same.len() as f64 - positives;
    let mut best = (f64::NEG_INFINITY, min);
    for i in 1..=STEPS {
        let t = min + step * f64::from(i);
        let (mut tp, mut fp) = (0_u64, 0_u64);
        for (&s, &y) in scores.iter().zip(same) {
            let above = u64::from(s > t);
            if y { tp += above } else { fp += above }
        }
        let gain = tp as f64 / positives - fp as f64 / negatives;
        if gain > best.0 {
            best = (gain, t);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_on_the_threshold_is_wrong_either_way() {
        assert!(!(RULE.correct)(0.5, 0.5, true));
        assert!(!(RULE.correct)(0.5, 0.5, false));
    }

    #[test]
    fn the_rates_are_balanced_whatever_the_class_sizes() {
        // Accuracy alone would accept all: 9 of 10. The balanced gain puts the threshold above the one
        // negative.
        let scores = [0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.2, 0.2, 0.2, 0.6];
        let mut same = [true; 10];
        same[9] = false;
        let t = threshold(&scores, &same);
        assert!((0.6..0.7).contains(&t), "{t}");
    }
}
