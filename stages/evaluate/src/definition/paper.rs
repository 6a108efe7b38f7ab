//! `paper`: the definition of the paper's own code, a histogram of the training scores.

use super::weighted::Preferred;
use super::{Cuts, Definition, Rule, Unit, mean_std};

/// A histogram of 1000 equal bins between the extremes of the training scores. The threshold is the lower
/// edge of the first bin that maximises (TPR + 1 - FPR) / 2; accept if the score is >= it. No mirror image.
/// The printed deviation is the population deviation over sqrt(folds): here the standard error.
pub const RULE: Rule = Rule {
    definition: Definition::Paper,
    unit: Unit::Cosine,
    threshold,
    cuts: |scores, _| {
        let (min, max) = super::verify::extremes(scores);
        let edge = |bin| min + (max - min) / BINS as f64 * bin as f64;
        let accepted = |bin| scores.partition_point(|s| *s >= edge(bin));
        Cuts::grid((0..BINS).map(accepted), Preferred::Lenient, true)
    },
    correct: |score, threshold, same| (score >= threshold) == same,
    spread: |folds| {
        let std = mean_std(folds, 0).1;
        (std, std / (folds.len() as f64).sqrt())
    },
};

const BINS: usize = 1000;

fn threshold(scores: &[f64], same: &[bool]) -> f64 {
    let (min, max) = super::verify::extremes(scores);
    let step = (max - min) / BINS as f64;
    if step <= 0.0 {
        return min;
    }
    let edge = |bin: usize| min + step * bin as f64;
    let mut counts = [[0_u64; 2]; BINS];
    for (&s, &y) in scores.iter().zip(same) {
        let mut bin = (((s - min) / step) as usize).min(BINS - 1);
        // The division rounds. The edges decide, so that the counts agree with the comparison in the test
        // fold.
        if s < edge(bin) {
            bin -= 1;
        } else if bin + 1 < BINS && s >= edge(bin + 1) {
            bin += 1;
        }
        counts[bin][usize::from(y)] += 1;
    }
    let positives = same.iter().filter(|s| **s).count() as f64;
    let negatives = same.len() as f64 - positives;
    let (mut tp, mut fp) = (positives, negatives);
    let mut best = (f64::NEG_INFINITY, min);
    for (bin, count) in counts.iter().enumerate() {
        let balanced = (tp / positives + 1.0 - fp / negatives) / 2.0;
        if balanced > best.0 {
            best = (balanced, edge(bin));
        }
        fp -= count[0] as f64;
        tp -= count[1] as f64;
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_on_the_threshold_is_accepted() {
        assert!((RULE.correct)(0.5, 0.5, true));
        assert!(!(RULE.correct)(0.5, 0.5, false));
    }

    #[test]
    fn the_histogram_agrees_with_counting_at_its_own_edges() {
        let scores: Vec<f64> = (0..997).map(|i| f64::from(i * 7919 % 997) / 997.0 * 1.7 - 0.9).collect();
        let same: Vec<bool> = scores.iter().enumerate().map(|(i, s)| (i % 5 == 0) != (*s > 0.1)).collect();
        let (min, max) = super::super::verify::extremes(&scores);
        let positives = same.iter().filter(|s| **s).count() as f64;
        let negatives = same.len() as f64 - positives;
        let mut best = (f64::NEG_INFINITY, 0.0);
        for bin in 0..BINS {
            let t = min + (max - min) / BINS as f64 * bin as f64;
            let count =
                |label| scores.iter().zip(&same).filter(|&(&s, &y)| y == label && s >= t).count() as f64;
            let balanced = (count(true) / positives + 1.0 - count(false) / negatives) / 2.0;
            if balanced > best.0 {
                best = (balanced, t);
            }
        }
        assert_eq!(threshold(&scores, &same), best.1);
    }

    #[test]
    fn equal_scores_do_not_divide_by_zero() {
        assert_eq!(threshold(&[0.5, 0.5], &[true, false]), 0.5);
    }
}
